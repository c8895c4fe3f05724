"""The status page in a real browser: chromium, as a person uses it."""

import re
import signal
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import KEY, ServeFixture
from tests.doors.test_status import NAME, TOKEN, Watched
from tests.lab.bind import Bind
from tests.lab.machine import find_program

playwright = pytest.importorskip("playwright.sync_api")  # only ./tests/all installs it
expect: Any = playwright.expect
pytestmark = pytest.mark.extra

SECOND = 1000  # milliseconds
RENEWAL = 6 * SECOND  # with some time for the machine
PHONE = {"width": 360, "height": 640}
CALLER = {"X-Forwarded-For": "198.51.100.7"}
TROUBLED, QUIET = "refused.policy.example", "quiet.dyn.example"
BRIGHTNESS = (
    "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 3"
)

MANY = """
for letter in "mn":
    clients[letter * 20] = [f"{{letter}}{{number}}.{1}.example" for number in range({0})]
"""
OLD = {
    "Authorization": "Basic " + b64encode(b"me:the key before the last one").decode(),
    "User-Agent": "FRITZ!Box",
    "X-Forwarded-For": "198.51.100.8",
}

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_program("chromium", "chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def watched(serve: ServeFixture, bind: Bind) -> Watched:
    bind.edit("zone dyn.example", f"update delete {NAME}")
    return Watched(serve, bind, clients={KEY: NAME, KEY[::-1]: TROUBLED, "x" * 20: QUIET})


@pytest.fixture
def visit(chromium: Any, watched: Watched) -> Iterator[Open]:
    """Open the page as somebody who knows the token; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def start(password: str = TOKEN, width: int = 1280, path: str = "", **settings: Any) -> Any:
        context = chromium.new_context(
            http_credentials={"username": "me", "password": password},
            **{"viewport": {"width": width, "height": 800}, **settings},
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.extend([message.text] if message.type == "error" else []))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.set_default_timeout(20 * SECOND)
        page.answer = page.goto(f"http://127.0.0.1:{watched.port}/{path}")
        return page

    yield start
    for context in contexts:
        context.close()
    assert [
        text
        for text in complaints
        if "401" not in text and not re.search("ERR_(INTERNET|CONNECTION)|TimeoutError", text)
    ] == []


def names(page: Any) -> list[str]:
    return [text.strip() for text in page.locator("tbody th").all_inner_texts()]


def test_the_browser_asks_for_the_token_and_shows_a_table(watched: Watched, visit: Open) -> None:
    watched.update("198.51.100.7")
    watched.update("198.51.100.7", target="?myip=2001:db8::7")
    watched.update("198.51.100.9", KEY[::-1])
    assert visit("wrong").answer.status == 401
    page = visit()
    assert page.answer.status == 200
    assert page.title() == "1 of 3 host names fails – sftdyn"
    assert names(page) == [TROUBLED, NAME, QUIET]
    row = page.locator("tbody tr").nth(1).inner_text()
    for part in ("198.51.100.7", "2001:db8::7", "inadyn/2.9", "secret URL", "works, unchanged since"):
        assert part in row
    assert "refuses this name" in page.locator("tbody tr").first.inner_text()
    assert re.search("20[0-9]{2}", page.locator("tbody time").first.get_attribute("title"))


def test_it_renews_itself_after_a_change(watched: Watched, visit: Open) -> None:
    page = visit()
    assert page.locator("h1").inner_text() == "Nobody has called yet"
    watched.update("198.51.100.7")
    page.locator("tbody td", has_text="198.51.100.7").first.wait_for()
    watched.update("198.51.100.9", KEY[::-1])
    expect(page).to_have_title("1 of 3 host names fails – sftdyn", timeout=20 * SECOND)
    assert names(page)[0] == TROUBLED
    assert page.locator("body").get_attribute("class") == "live failing few"


def test_a_renewal_takes_neither_what_is_selected_nor_the_focus(watched: Watched, visit: Open) -> None:
    watched.update("198.51.100.7")
    page = visit()
    page.locator("tbody td", has_text="198.51.100.7").first.dblclick()
    selected = page.evaluate("String(getSelection())")
    watched.update("198.51.100.9", KEY[::-1])
    page.get_by_text("waits while text is selected").wait_for()
    assert selected
    assert page.evaluate("String(getSelection())") == selected
    page.evaluate("getSelection().empty()")
    page.get_by_role("link", name="Well").focus()
    expect(page).to_have_title("1 of 3 host names fails – sftdyn", timeout=20 * SECOND)
    assert page.evaluate("document.activeElement.innerText").startswith("Well")


def test_it_says_when_there_is_no_answer_any_more(watched: Watched, visit: Open) -> None:
    watched.update("198.51.100.7")
    page = visit()
    page.context.set_offline(True)
    page.get_by_text("No connection to sftdyn.").wait_for()
    assert names(page)[0] == NAME
    for part in ("header", "main", "footer"):
        expect(page.locator(part)).to_have_css("filter", "grayscale(1)")
    page.context.set_offline(False)
    page.get_by_text("renews itself").wait_for()
    expect(page.locator("main")).to_have_css("filter", "none")
    expect(page.locator("#cut")).to_be_hidden()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_it_turns_grey_within_two_renewals_when_sftdyn_is_dead_or_hangs(
    watched: Watched, visit: Open, number: signal.Signals
) -> None:
    """On 1.1 the page stayed green, with a note in small grey letters; where sftdyn hung, without."""
    watched.update("198.51.100.7")
    page = visit()
    watched.served.process.send_signal(number)
    try:
        big = page.locator("#cut")
        expect(big).to_be_visible(timeout=2 * RENEWAL)
        assert "No connection to sftdyn" in big.inner_text()
        assert float(big.evaluate("one => parseFloat(getComputedStyle(one).fontSize)")) > 24
        expect(page.locator("main")).to_have_css("filter", "grayscale(1)")
        expect(page).to_have_title("no connection – sftdyn")
    finally:
        watched.served.process.send_signal(signal.SIGCONT)


def test_the_filter_follows_what_is_typed_and_stays_over_a_renewal(watched: Watched, visit: Open) -> None:
    watched.update("198.51.100.7")
    page = visit()
    page.get_by_role("searchbox").type("inadyn")
    expect(page.locator("tbody th")).to_have_count(1)
    assert names(page) == [NAME]
    assert page.url.endswith("?q=inadyn")
    watched.update("198.51.100.8")
    page.locator("tbody td", has_text="198.51.100.8").first.wait_for()
    assert names(page) == [NAME]
    page.reload()
    assert (names(page), page.get_by_role("searchbox").input_value()) == ([NAME], "inadyn")


def test_without_scripts_it_is_complete(watched: Watched, visit: Open) -> None:
    watched.update("198.51.100.7")
    watched.update("198.51.100.9", KEY[::-1])
    page = visit(java_script_enabled=False)
    assert names(page) == [TROUBLED, NAME, QUIET]
    page.get_by_role("searchbox").fill("quiet")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**/?q=quiet")
    assert names(page) == [QUIET]
    page.get_by_role("link", name="Failing").click()
    page.wait_for_url("**/?q=quiet&state=failing")
    assert "Nothing matches" in page.locator("tbody").inner_text()


def test_with_the_keyboard_alone(watched: Watched, visit: Open) -> None:
    watched.update("198.51.100.7")
    watched.update("198.51.100.9", KEY[::-1])
    page = visit()
    focused = "document.activeElement.innerText || document.activeElement.id"
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(focused).split()[0])
    assert reached == ["All", "Failing", "Well", "Unheard", "words"]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?state=failing")
    assert names(page) == [TROUBLED]
    page.goto(page.url.partition("?")[0])
    page.keyboard.press("/")
    page.keyboard.type("quiet")
    expect(page.locator("tbody th")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("tbody th")).to_have_count(3)


def test_dark_where_that_is_wanted(watched: Watched, visit: Open) -> None:
    watched.update("198.51.100.7")
    assert visit(color_scheme="light").evaluate(BRIGHTNESS) > 200
    assert visit(color_scheme="dark").evaluate(BRIGHTNESS) < 60


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1280, 1920])
def test_it_fits_whatever_the_width(watched: Watched, visit: Open, width: int) -> None:
    watched.update("198.51.100.7", program="a program with a rather long name/1.2.3.4")
    watched.update("198.51.100.7", target="?myip=2001:db8:4a2:1f00:21f:3bff:fe12:3456")
    watched.update("198.51.100.9", KEY[::-1])
    page = visit(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for row in page.locator("tbody tr").all():
        cells = [cell.bounding_box() for cell in row.locator("th, td").all()]
        boxes = [box for box in cells if box and box["width"] and box["height"]]
        for box in boxes:
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    overflowing = "[...document.querySelectorAll('th, td')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
    assert page.evaluate(overflowing) == 0


def test_what_a_stranger_writes_is_text(watched: Watched, visit: Open) -> None:
    evil = '<script>alert(1)</script><img src=x onerror=alert(2)>"'
    watched.update("198.51.100.7", program=evil)
    page = visit(path="?q=%3Cscript%3E")
    assert names(page) == [NAME]
    assert "<script>alert(1)</script>" in page.locator("tbody tr").inner_text()
    assert page.locator("tbody script, tbody img").count() == 0
    visit(path='?q="><script>alert(3)</script>')


def test_ten_thousand_names_are_there_in_a_second(visit: Open, watched: Watched) -> None:
    more = 'for number in range(9_997): clients[f"a secret key with a {number}"] = f"h{number}.dyn.example"\n'
    reload(watched, more)
    took = []
    for _ in range(3):
        page = visit(path="?state=all")
        assert page.locator("tbody tr").count() == 10_000
        painted = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        took.append(page.evaluate(painted) / SECOND)
    assert min(took) < 1, took


def test_names_that_fail_for_one_reason_are_one_row_that_unfolds_and_stays_open(
    watched: Watched, visit: Open, bind: Bind
) -> None:
    """On 1.1 the same sentence stood there once for each of them."""
    reload(watched, MANY.format(80, "nowhere"))
    for letter in "mn":
        watched.update("198.51.100.9", letter * 20)
    page = visit()
    fold = page.locator("tr.fold")
    expect(fold).to_have_count(1, timeout=20 * SECOND)
    assert page.get_by_text("no zone").count() == 1
    for part in ("160 host names", "failing since"):
        assert part in fold.inner_text()
    fold.locator("summary").click()
    assert fold.locator("li").count() == 101
    watched.update("198.51.100.7")
    page.locator("tbody td", has_text="198.51.100.7").first.wait_for()
    assert fold.locator("details").get_attribute("open") is not None
    fold.get_by_role("link", name="and 60 more").click()
    page.wait_for_url("**/?state=failing")
    assert page.locator("tbody tr").count() == 160


def test_a_phone_shows_six_names_on_its_first_screen(watched: Watched, visit: Open) -> None:
    """On 1.1 it was one."""
    reload(watched, MANY.format(3, "dyn"))
    for key in (KEY, "m" * 20, "n" * 20):
        watched.update("198.51.100.123", key)
    page = visit(viewport=PHONE)
    rows = "[...document.querySelectorAll('tbody tr')].filter(one => one.getBoundingClientRect().bottom <= innerHeight)"
    assert page.evaluate(f"{rows}.length") >= 6
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_of_more_than_a_thousand_names_those_that_are_unwell_come_first(watched: Watched, visit: Open) -> None:
    reload(watched, 'for number in range(1000): clients[f"a secret key with a {number}"] = f"x{number}.dyn.example"\n')
    page = visit()
    assert page.locator("tbody tr").inner_text() == "Nobody is unwell."
    watched.update("198.51.100.9", KEY[::-1])
    page.get_by_text("refuses this name").wait_for()
    assert names(page) == [TROUBLED]
    page.get_by_role("searchbox").type("quiet")
    page.locator("tbody th", has_text=QUIET).wait_for()
    page.get_by_role("searchbox").fill("")
    page.locator("tbody th", has_text=TROUBLED).wait_for()
    page.get_by_role("link", name="All").click()
    expect(page.locator("tbody tr")).to_have_count(1003)


def test_a_router_with_an_old_key_is_told_at_its_name_until_it_has_the_right_one(watched: Watched, visit: Open) -> None:
    """On 1.1 the page said that its name was well, however often it came."""
    watched.update("198.51.100.7")
    for _ in range(20):
        answer = watched.served.get(f"/nic/update?hostname={NAME}", headers=OLD)
        assert answer.text.strip() == "badauth"
    page = visit()
    told = page.locator("tbody tr", has_text=NAME).locator(".key")
    assert re.match(r"10 wrong keys, last .* from 198\.51\.100\.8 via .*, FRITZ!Box: an old key\?", told.inner_text())
    [entry] = watched.widget()["wrong_keys"]
    assert (entry["name"], entry["times"], entry["from"]) == (NAME, 10, "198.51.100.8 via 127.0.0.1")
    watched.update("198.51.100.8")
    expect(told).to_have_count(0, timeout=20 * SECOND)


def test_what_has_not_changed_is_not_sent_again(watched: Watched, visit: Open) -> None:
    page, statuses = visit(), []
    page.on("response", lambda answer: statuses.append(answer.status))
    for _ in range(3):
        page.wait_for_event("response")
    assert statuses[1:] == [304, 304]
    expect(page.locator("#renewed")).to_have_text("renews itself")


def reload(watched: Watched, more: str) -> None:
    """With more lines in the conf."""
    path = watched.served.folder / "conf0"
    path.write_text(path.read_text() + more)
    watched.served.signal(signal.SIGHUP)
    watched.served.wait_for("the conf is read again")
