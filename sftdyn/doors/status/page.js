// Renews the page while somebody looks at it, filters while they type, and keeps the times true.
(() => {
  const LEAST = 5000; // milliseconds between two looks; ten times as long as one takes, if that is more
  const PARTS = ["summary", "views", "hosts", "pages"];
  const MANY = 1000; // times, which are not counted on between two looks
  const find = (id) => document.getElementById(id);
  const words = find("words");
  let timer, typed, asked = 0;

  const ago = (seconds) => {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]])
      if (seconds >= 2 * size || (seconds >= size && unit !== "d")) return `${Math.floor(seconds / size)} ${unit} ago`;
    return seconds < 1 ? "now" : `${Math.floor(seconds)} s ago`;
  };

  const tell = () => {
    for (const time of document.querySelectorAll("time")) {
      const text = ago((Date.now() - new Date(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const isCopying = () => {
    const selection = getSelection();
    return document.activeElement !== words && !selection.isCollapsed && selection.containsNode(find("hosts"), true);
  };

  const show = (fresh) => {
    const link = document.activeElement?.getAttribute("href"); // of whoever walks through them with the keyboard
    for (const id of PARTS) {
      const now = find(id), then = fresh.getElementById(id);
      if (now.innerHTML !== then.innerHTML) now.replaceChildren(...then.childNodes);
    }
    if (link) [...document.links].find((one) => one.getAttribute("href") === link)?.focus();
    document.title = fresh.title;
    document.body.className = `live ${fresh.body.className}`;
    document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
  };

  const renew = async () => {
    clearTimeout(timer);
    const number = ++asked, began = Date.now();
    try {
      const reply = await fetch(location.origin + location.pathname + location.search, { cache: "no-store" });
      if (!reply.ok) throw new Error(String(reply.status));
      const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
      if (number !== asked) return; // somebody typed on meanwhile
      document.body.classList.remove("cut");
      if (!isCopying()) show(fresh);
      find("renewed").textContent = isCopying() ? "waits while text is selected" : "renews itself";
    } catch {
      if (number !== asked) return;
      document.body.classList.add("cut");
      document.title = "no connection – sftdyn";
      find("renewed").textContent = "no connection to sftdyn; this is how it was";
    }
    if (!document.hidden) timer = setTimeout(renew, Math.max(LEAST, 10 * (Date.now() - began)));
  };

  words.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      const url = new URL(location.href);
      url.searchParams.delete("page");
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
  setInterval(() => document.getElementsByTagName("time").length < MANY && !document.hidden && tell(), 1000);

  document.body.classList.add("live");
  find("renewed").textContent = "renews itself";
  timer = setTimeout(renew, LEAST);
})();
