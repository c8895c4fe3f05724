// Renews the page while somebody looks at it, filters while they type, and keeps the times true.
(() => {
  const LEAST = 5000; // milliseconds between two looks; ten times as long as one takes, if that is more
  const PARTS = ["summary", "views", "hosts", "pages"];
  const MANY = 1000; // times, which are not counted on between two looks
  const find = (id) => document.getElementById(id);
  const words = find("words");
  let timer, typed, asked = 0, title = document.title, tag = "", took = 0, heard = Date.now();

  const ago = (seconds) => {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]])
      if (seconds >= 2 * size || (seconds >= size && unit !== "d")) return `${Math.floor(seconds / size)} ${unit} ago`;
    return seconds < 1 ? "now" : `${Math.floor(seconds)} s ago`;
  };

  // The day on which something began, where the reader is.
  const day = (then) =>
    then.toLocaleDateString("en-GB", Date.now() - then < 6 * 864e5 ? { weekday: "long" } : { day: "numeric", month: "long", year: "numeric" });

  const tell = () => {
    const times = document.querySelectorAll("time[datetime]");
    for (const time of times.length < MANY ? times : []) {
      const then = new Date(time.dateTime);
      const text = time.className === "day" ? day(then) : ago((Date.now() - then) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const isCopying = () => {
    const selection = getSelection();
    return document.activeElement !== words && !selection.isCollapsed && selection.containsNode(find("hosts"), true);
  };

  const cut = (is) => {
    document.body.classList.toggle("cut", is);
    find("cut").hidden = !is;
    find("cut").querySelector("time").dateTime = new Date(heard).toISOString();
    find("renewed").textContent = is ? "no connection" : isCopying() ? "waits while text is selected" : "renews itself";
    if (is) document.title = "no connection – sftdyn";
    tell();
  };

  const show = (fresh) => {
    const open = [...document.querySelectorAll("details[open]")].map((one) => one.closest("tr").querySelector("small").textContent);
    const link = document.activeElement?.getAttribute("href"); // of whoever walks through them with the keyboard
    for (const id of PARTS) {
      const now = find(id), then = fresh.getElementById(id);
      if (now.innerHTML !== then.innerHTML) now.replaceChildren(...then.childNodes);
    }
    for (const one of document.querySelectorAll("details"))
      one.open = open.includes(one.closest("tr").querySelector("small").textContent);
    if (link) [...document.links].find((one) => one.getAttribute("href") === link)?.focus();
    document.title = fresh.title;
    document.body.className = `live ${fresh.body.className}`;
    document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
  };

  const renew = async () => {
    clearTimeout(timer);
    const number = ++asked, began = Date.now();
    try {
      const reply = await fetch(location.origin + location.pathname + location.search, {
        cache: "no-store",
        headers: tag ? { "If-None-Match": tag } : {},
        signal: AbortSignal.timeout(Math.max(LEAST, 3 * took)),
      });
      if (!reply.ok && reply.status !== 304) throw new Error(String(reply.status));
      const fresh = reply.ok && new DOMParser().parseFromString(await reply.text(), "text/html");
      if (number !== asked) return; // somebody typed on meanwhile
      took = Date.now() - began;
      heard = Date.now();
      if (fresh && !isCopying()) {
        show(fresh);
        tag = reply.headers.get("ETag") ?? "";
        title = document.title;
      }
      document.title = title;
      cut(false);
    } catch {
      if (number !== asked) return;
      cut(true);
    }
    if (!document.hidden) timer = setTimeout(renew, Math.max(LEAST, 10 * (Date.now() - began)));
  };

  words.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      const url = new URL(location.href);
      url.searchParams.delete("page");
      tag = "";
      if (words.value) url.searchParams.set("q", words.value);
      else url.searchParams.delete("q");
      history.replaceState(null, "", url);
      renew();
    }, 150);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== words && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      words.focus();
    } else if (event.key === "Escape" && document.activeElement === words && words.value) {
      words.value = "";
      words.dispatchEvent(new Event("input"));
    }
  });
  document.addEventListener("mouseover", ({ target }) => {
    if (target.dateTime) target.title = new Date(target.dateTime).toLocaleString(); // where the reader is
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : renew()));
  setInterval(() => document.hidden || tell(), 1000);

  document.body.classList.add("live");
  tell();
  find("renewed").textContent = "renews itself";
  timer = setTimeout(renew, LEAST);
})();
