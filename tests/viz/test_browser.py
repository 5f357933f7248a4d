"""The page in Chromium, served as people serve it."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from schemas.events import Event
from stores.sqlite.reader import SqliteReader
from tests.services.ports import free_port
from tests.viz.browsing import drawn, served, serving, settled, visiting, wait_for
from tests.viz.streams import DAY, DECAY, HOSTILE, HOUR, MINUTE, ROOT, START, Stream, journey, load
from viz.links import write_query
from viz.look import MARKS, USER_COLOURS

DEFAULT = ROOT / "model" / "default.json"
PICTURE = (1400, 900)


@pytest.fixture(scope="module")
def live(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Stream]]:
    """A served page over a store with nine simulated days, hostile users, and three made journeys."""
    stream = Stream(tmp_path_factory.mktemp("live") / "store.db", load(DECAY))
    stream.simulate(9 * DAY, users=400)
    for text in HOSTILE:
        stream.send(*journey(text, ["IM", "CL", "CN"], START + 8 * DAY, 4 * HOUR, campaign=text, publisher=text))
    for user in ("ann", "anna", "bob"):
        stream.send(*journey(user, ["IM", "CL", "IM", "PS", "CN"], START + 7 * DAY, 9 * HOUR))
    with served(stream.path) as address:
        yield address, stream
    stream.close()


def choice(address: str, *users: str, window: str = "auto") -> str:
    return f"{address}/app{write_query(users, window)}"


def colours(page: Page) -> set[tuple[int, ...]]:
    """The colours that are seen in the chart."""
    image = Image.open(BytesIO(page.locator(".plot").screenshot())).convert("RGB")
    return {colour for _, colour in image.getcolors(2**24) or []}  # type: ignore[misc]


def eventful(stream: Stream) -> list[str]:
    """Three of the likeliest users, with the most events that are not impressions."""
    reader = SqliteReader(stream.path)
    users = [latest.user_id for latest in reader.most_likely(40)]
    users.sort(key=lambda user: -sum(point.event_type != "IM" for point in reader.curve(user)))
    reader.close()
    return users[:3]


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def test_curves_and_markers_are_seen(browser: Browser, live: tuple[str, Stream]) -> None:
    address, _ = live
    with visiting(browser) as page:
        page.goto(choice(address, "ann", "bob"))
        found = settled(page, lambda drawn: len(drawn["Conversion"]) == 2)
        assert [len(found[kind]) for kind in ("Impression", "Click", "Paid search")] == [4, 2, 2]
        assert len(found["curve"]) > 900
        seen = colours(page)
        for colour in (*USER_COLOURS[:1], *(mark.colour for mark in MARKS.values())):
            assert rgb(colour) in seen
        for kind in ("Impression", "Click", "Paid search", "Conversion"):
            expect(page.locator(".legend").get_by_text(kind)).to_be_visible()


def test_hovering_tells_about_an_event(browser: Browser, live: tuple[str, Stream]) -> None:
    address, _ = live
    with visiting(browser) as page:
        page.goto(choice(address, "bob", window="all"))
        ((x, y),) = settled(page, lambda drawn: len(drawn["Conversion"]) == 1)["Conversion"]
        page.mouse.move(x, y)
        told = page.locator(".bk-Tooltip")
        for text in ("Conversion", "bob", "Spring", "Daily Ledger", "Shoes", "$159.50 for 2", "Propensity after it"):
            expect(told).to_contain_text(text)


def test_a_new_event_appears_without_a_reload(browser: Browser, live: tuple[str, Stream]) -> None:
    address, stream = live
    with visiting(browser) as page:
        page.goto(choice(address, "anna"))
        settled(page, lambda drawn: len(drawn["Click"]) == 1)
        expect(page.locator(".chip")).to_have_count(1)
        before = page.locator(".chip b").inner_text()
        stream.send(Event("new", "anna", START + 9 * DAY + HOUR, "CL", campaign="Spring"))
        settled(page, lambda drawn: len(drawn["Click"]) == 2)
        expect(page.locator(".chip b")).not_to_have_text(before)


def follow_up(stream: Stream, user: str) -> None:
    """A click of a user, newer than all that is stored."""
    with closing(SqliteReader(stream.path)) as reader:
        (newest,) = reader.most_recent(1)
    time = newest.event_time + MINUTE
    stream.send(Event(f"{user} at {time}", user, time, "CL", campaign="Spring"))


def test_focus_and_clicks_outlast_what_comes_in(browser: Browser, live: tuple[str, Stream]) -> None:
    """A button whose user's number changes meanwhile stays the same button."""
    address, stream = live
    with visiting(browser) as page:
        page.goto(choice(address, "ann", "bob"))
        value, remove = page.locator(".chip b").first, page.get_by_label("Remove ann", exact=True)
        expect(value).to_contain_text("%")
        remove.focus()
        before = value.inner_text()
        follow_up(stream, "ann")
        expect(value).not_to_have_text(before)
        expect(remove).to_be_focused()
        remove.hover()
        page.mouse.down()
        before = value.inner_text()
        follow_up(stream, "ann")
        expect(value).not_to_have_text(before)
        page.mouse.up()
        expect(page.locator(".chip .name")).to_have_text(["bob"])


def test_focus_stays_with_the_user_whose_place_changes(browser: Browser, live: tuple[str, Stream]) -> None:
    """Enter adds whom it would have added before."""
    address, stream = live
    for user in ("anna", "bob"):
        follow_up(stream, user)
    with visiting(browser) as page:
        page.goto(choice(address, "ann"))
        page.get_by_role("button", name="Most recent").click()
        names = page.locator(".lists .name")
        expect(names.first).to_have_text("bob")
        row = page.locator(".lists .row", has=page.get_by_text("bob", exact=True))
        row.focus()
        for number in range(3):
            follow_up(stream, f"user-{number:07d}")
        expect(names.nth(3)).to_have_text("bob")
        expect(row).to_be_focused()
        follow_up(stream, "bob")
        expect(names.first).to_have_text("bob")
        expect(row).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator(".chip .name")).to_have_text(["ann", "bob"])


def test_finding_adding_and_removing_users(browser: Browser, live: tuple[str, Stream]) -> None:
    address, _ = live
    with visiting(browser) as page:
        page.goto(choice(address))
        expect(page.get_by_text("Nobody is shown")).to_be_visible()
        box = page.get_by_label("Find a user by id")
        box.press_sequentially("an")
        expect(page.locator(".found button")).to_have_text(["ann", "anna"])
        name = page.locator(".found .name").first.bounding_box()
        assert name is not None
        assert name["width"] > 25
        page.locator(".found button").first.click()
        expect(page.locator(".chip .name")).to_have_text(["ann"])
        expect(box).to_have_value("")
        box.fill("bob")
        box.press("Enter")
        expect(page.locator(".chip .name")).to_have_text(["ann", "bob"])
        box.fill("nobody at all")
        box.press("Enter")
        expect(page.get_by_text("There is no user “nobody at all” in the store.")).to_be_visible()
        page.wait_for_url("**/app?users=ann,bob&window=auto")
        page.locator(".lists .row[aria-pressed=false]").first.click()
        expect(page.locator(".chip")).to_have_count(3)
        page.get_by_label("Remove ann", exact=True).click()
        expect(page.locator(".chip")).to_have_count(2)
        page.reload()
        expect(page.locator(".chip .name").first).to_have_text("bob")


def test_who_types_on_after_enter_keeps_the_text(browser: Browser, live: tuple[str, Stream]) -> None:
    with visiting(browser) as page:
        page.goto(choice(live[0]))
        box = page.get_by_label("Find a user by id")
        box.fill("bob")
        box.evaluate("""box => {
          box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }))
          box.value = "an"
          box.dispatchEvent(new Event("input"))
        }""")
        expect(page.locator(".chip .name")).to_have_text(["bob"])
        expect(page.locator(".found button")).to_have_text(["ann", "anna"])
        expect(box).to_have_value("an")


def test_zooming_pauses_and_live_goes_on(browser: Browser, live: tuple[str, Stream]) -> None:
    address, _ = live
    with visiting(browser) as page:
        page.goto(choice(address, "ann"))
        settled(page, lambda drawn: len(drawn["Conversion"]) == 1)
        page.mouse.move(700, 400)
        page.mouse.down()
        page.mouse.move(900, 420, steps=4)
        page.mouse.up()
        expect(page.get_by_role("button", name="Paused")).to_be_visible()
        page.get_by_role("button", name="Paused").click()
        expect(page.get_by_role("button", name="Live")).to_be_visible()


def stream_time(address: str) -> int:
    """The stream's now, as the server knows it."""
    with urlopen(f"{address}/api/users/ann/propensity") as answer:
        return int(json.load(answer)["now"])


def test_the_chart_holds_still_while_the_pointer_is_over_it(browser: Browser, live: tuple[str, Stream]) -> None:
    """What somebody is about to read must not move away; it goes on when the pointer leaves."""
    address, stream = live
    with visiting(browser) as page:
        page.goto(choice(address, "bob"))
        expect(page.locator(".chip b").first).to_contain_text("%")
        page.locator(".plot").hover()
        expect(page.get_by_text("Held", exact=True)).to_be_visible()
        before = settled(page, lambda chart: len(chart["Conversion"]) > 0)
        stream.send(Event("held", "bob", START + 10 * DAY, "CL"))
        wait_for(lambda: stream_time(address) >= START + 10 * DAY)
        for name in ("Most recent", "Most likely now"):  # each has the page look at what is new
            page.get_by_role("button", name=name).press("Enter")
            expect(page.locator(".tab[aria-pressed=true]")).to_have_text(name)
        assert drawn(page) == before
        page.mouse.move(5, 5)
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        settled(page, lambda chart: len(chart["Click"]) > len(before["Click"]))


def test_a_server_that_is_gone_is_told_and_a_new_one_taken(browser: Browser, tmp_path: Path) -> None:
    """A page without news must not look like a stream that stands still."""
    port = free_port()
    page = browser.new_page()
    with served(tmp_path / "store.db", port=port) as address:
        page.goto(f"{address}/app")
        expect(page.get_by_text("Waiting for the first event")).to_be_visible()
        expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#lost")).to_be_visible(timeout=60_000)
    with served(tmp_path / "store.db", port=port):
        expect(page.locator("#lost")).to_be_hidden(timeout=60_000)
        expect(page.get_by_text("Waiting for the first event")).to_be_visible(timeout=60_000)
        page.close()


def test_a_server_that_another_answers_for_is_gone_too(browser: Browser, live: tuple[str, Stream]) -> None:
    """A proxy before it says 502 or 503; once it is there again, the page is loaded anew."""
    page = browser.new_page()
    page.goto(choice(live[0], "ann"))
    expect(page.locator(".chip")).to_have_count(1)
    page.route("**/bokeh.min.js", lambda route: route.fulfill(status=503))
    expect(page.locator("#lost")).to_be_visible(timeout=60_000)
    page.unroute_all()
    expect(page.locator("#lost")).to_be_hidden(timeout=60_000)
    expect(page.locator(".chip")).to_have_count(1)
    page.close()


def test_hostile_texts_stay_texts(browser: Browser, live: tuple[str, Stream]) -> None:
    address, _ = live
    with visiting(browser) as page:
        page.goto(choice(address, *HOSTILE))
        stars = settled(page, lambda drawn: len(drawn["Conversion"]) == len(HOSTILE))["Conversion"]
        expect(page.locator(".chip .name").first).to_have_text(HOSTILE[0])
        page.get_by_label("Find a user by id").press_sequentially("<img")
        expect(page.locator(".found .name")).to_have_text(HOSTILE[0])
        page.get_by_role("button", name="Most recent").click()
        page.mouse.move(*stars[0])
        expect(page.locator(".bk-Tooltip")).to_contain_text(f"Campaign: {HOSTILE[0]}")
        for x, y in stars:
            page.mouse.move(x, y)
        page.get_by_label("Find a user by id").fill("<b>no</b>")
        page.get_by_label("Find a user by id").press("Enter")
        expect(page.get_by_text("“<b>no</b>”")).to_be_visible()
        assert page.locator("img, b:has-text('no'), mjx-container").count() == 0
        page.reload()
        expect(page.locator(".chip")).to_have_count(len(HOSTILE))
        assert "not in the store" not in page.locator(".chips").inner_text()


def test_an_empty_store_says_how_to_fill_it_and_comes_alive(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with served(path) as address, visiting(browser) as page:
        page.goto(f"{address}/app")
        expect(page.get_by_text("Waiting for the first event")).to_be_visible()
        expect(page.get_by_text("make run")).to_be_visible()
        message, chart = page.locator(".message").bounding_box(), page.locator(".plot").bounding_box()
        assert message == chart
        stream = Stream(path, load(DECAY))
        stream.send(*journey("ann", ["IM", "CL"]))
        expect(page.locator(".chip .name")).to_have_text(["ann"])
        expect(page.get_by_text("Waiting for the first event")).to_be_hidden()
        settled(page, lambda drawn: len(drawn["Click"]) == 1)
        stream.close()


@pytest.fixture(scope="module")
def trained(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A served page over a store with a few days of the default model's scores."""
    stream = Stream(tmp_path_factory.mktemp("trained") / "store.db", load(DEFAULT))
    stream.simulate(3 * DAY, users=200)
    stream.send(*journey("ann", ["IM", "CL", "IM", "PS", "CN"], START + 2 * DAY, 3 * HOUR))
    stream.send(*journey("bob", ["PS", "IM"], START + 2 * DAY, 3 * HOUR))
    with served(stream.path, DEFAULT) as address:
        yield address
    stream.close()


def summed(page: Page) -> float:
    """The sum of the parts that the page shows."""
    texts = page.locator(".why .part-row:not(.total) .value").all_inner_texts()
    return round(sum(float(text.replace("\N{MINUS SIGN}", "-")) for text in texts), 6)


def test_why_a_propensity_is_what_it_is(browser: Browser, trained: str) -> None:
    """By touch and by campaign the parts that are read add up to the propensity of the user's chip."""
    with visiting(browser) as page:
        page.goto(choice(trained, "ann", "bob"))
        page.get_by_role("button", name="Live").click()  # what is read in turn must not move meanwhile
        expect(page.get_by_role("button", name="Paused")).to_be_visible()
        why = page.locator(".why")
        for place, user in enumerate(("ann", "bob")):
            page.locator(".subject").get_by_role("button", name=user).click()
            expect(page.locator(".subject .choice[aria-pressed=true]")).to_have_text(user)
            chip = page.locator(".chip b").nth(place).inner_text()
            expect(why.locator(".total .value")).to_have_text(chip)
            for by in ("By campaign", "By touch"):
                why.get_by_role("button", name=by).click()
                expect(why.locator(".choice[aria-pressed=true]")).to_have_text(by)
                expect(why.locator(".name", has_text="Paid search, Spring").first).to_be_visible()
                expect(why.get_by_text("once").first).to_be_visible(visible=by == "By campaign")
                assert summed(page) == float(chip.rstrip("%"))


def test_another_moment_is_explained_where_the_chart_is_clicked(browser: Browser, trained: str) -> None:
    """The user whose curve is there, at the event there; the parts add up to what the propensity was then."""
    with visiting(browser) as page:
        page.goto(choice(trained, "ann", "bob"))
        page.get_by_role("button", name="Live").click()
        x, y = settled(page, lambda chart: len(chart["Click"]) == 1)["Click"][0]
        why, chip = page.locator(".why"), page.locator(".chip b").first.inner_text()
        page.locator(".subject").get_by_role("button", name="bob").click()
        expect(page.locator(".subject .choice[aria-pressed=true]")).to_have_text("bob")
        page.mouse.click(x, y)
        expect(page.locator(".subject .choice[aria-pressed=true]")).to_have_text("ann")
        expect(why.locator(".then")).to_have_text("Sat 17 Jun 2017, 03:00:00 UTC")
        expect(why.locator(".total .label")).to_have_text("Propensity then")
        expect(why.locator(".name", has_text="Click, Spring")).to_be_visible()
        expect(why.locator(".name", has_text="search")).to_have_count(0)
        assert summed(page) == float(why.locator(".total .value").inner_text().rstrip("%"))
        why.get_by_role("button", name="Back to now").click()
        expect(why.locator(".total .label")).to_have_text("Propensity now")
        expect(why.locator(".total .value")).to_have_text(chip)


def test_what_to_do_next(browser: Browser, trained: str) -> None:
    with visiting(browser) as page:
        page.goto(choice(trained, "ann"))
        panel = page.locator(".next_move")
        expect(panel.locator(".options .name")).to_have_count(5)
        expect(panel.locator(".bids .name")).to_have_text(
            ["Retargeting click", "Loyalty click", "brand search", "generic search"]
        )
        expect(panel.locator(".said")).to_contain_text("Users with this history plus one impression")
        expect(panel.locator(".said")).to_contain_text("Association, not proven effect: confirm with the hold-out.")
        best = panel.locator(".best .name").inner_text()
        expect(panel.locator(".verdict")).to_have_text(f"Best now: {best}")
        expect(panel.locator(".foot")).to_contain_text("not in the hold-out")


def test_who_is_credited_beside_last_click(browser: Browser, trained: str) -> None:
    with visiting(browser) as page:
        page.goto(choice(trained, "ann"))
        panel = page.locator(".credited")
        expect(panel.locator(".conversion")).to_have_count(1)
        expect(panel.locator(".conversion .last")).to_contain_text("Paid search, Spring")
        shares = panel.locator(".shares .value").all_inner_texts()
        assert round(sum(float(share.rstrip("%")) for share in shares), 6) == 100
        expect(panel.locator(".shares .name").last).to_have_text("No touch")
        expect(panel.locator(".sum-row .name").last).to_have_text("No touch")
        assert panel.locator(".sum-row").count() > 3


def test_how_good_the_model_is(browser: Browser, trained: str, live: tuple[str, Stream]) -> None:
    with visiting(browser) as page:
        page.goto(choice(trained))
        panel = page.locator(".graded")
        expect(panel).to_contain_text("On test users of the simulated world")
        expect(panel).to_contain_text("Scores a user who converts above one who does not")
        expect(panel).to_contain_text("No live grade yet")
        expect(page.locator(".why")).to_contain_text("Choose a user")
        page.goto(choice(live[0]))
        expect(panel).to_contain_text("The model file has no grades")


CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0)
  const parent = (element) => element.parentElement ?? element.getRootNode().host
  const behind = (element) => {
    for (let each = element; each; each = parent(each)) {
      const colour = parse(getComputedStyle(each).backgroundColor)
      if (colour.length < 4 || colour[3] > 0) return colour
    }
    return [255, 255, 255]
  }
  const found = []
  const walk = (root) => {
    for (const each of root.querySelectorAll("*")) {
      if (each.shadowRoot) walk(each.shadowRoot)
      const text = [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())
      if (!text || !each.checkVisibility() || ["STYLE", "SCRIPT"].includes(each.tagName)) continue
      let opacity = 1
      for (let at = each; at; at = parent(at)) opacity *= Number(getComputedStyle(at).opacity)
      const back = behind(each), ink = parse(getComputedStyle(each).color)
      const mixed = ink.slice(0, 3).map((part, at) => part * opacity + back[at] * (1 - opacity))
      const [one, other] = [light(mixed), light(back)]
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
      found.push([each.textContent.trim().slice(0, 40), ratio])
    }
  }
  walk(document)
  return found
}"""
"""Each text that is seen, and its contrast to what is behind it (WCAG 2)."""


def test_texts_can_be_read(browser: Browser, trained: str) -> None:
    """Names that are not chosen and types that are hidden too, also while the panels step back."""
    with visiting(browser) as page:
        page.goto(f"{choice(trained, 'ann', 'bob')}&about=ann&at={START + 2 * DAY + 3 * HOUR}")
        expect(page.locator(".of-now.behind")).to_have_count(3)
        for part in (".why .total", ".next_move .options", ".credited .conversions", ".graded .sets"):
            expect(page.locator(part)).to_be_visible()
        page.get_by_role("button", name="Impression", exact=True).click()
        expect(page.locator(".type[aria-pressed=false]")).to_have_count(1)
        found = dict(page.evaluate(CONTRASTS))
        assert {"bob", "Impression", "Most recent", "By campaign", "Week"} <= found.keys()
        assert {text: ratio for text, ratio in found.items() if ratio < 4.5} == {}


def test_a_moment_that_is_explained_has_its_date_and_the_other_panels_step_back(browser: Browser, trained: str) -> None:
    with visiting(browser) as page:
        page.goto(f"{choice(trained, 'ann', 'bob')}&about=bob&at={START + 2 * DAY + HOUR}")
        then = "Sat 17 Jun 2017, 01:00:00 UTC"
        expect(page.locator(".why .then")).to_have_text(then)
        expect(page.locator(".subject .then")).to_have_text(f"at {then}")
        expect(page.locator(".of-now.behind > .now-note")).to_have_count(3)
        for note in page.locator(".now-note").all():
            expect(note).to_contain_text("As of now, ")
        page.locator(".now-note").first.get_by_role("button", name="Back to now").click()
        expect(page.locator(".behind")).to_have_count(0)
        expect(page.locator(".now-note")).to_have_count(0)
        page.wait_for_url("**/app?users=ann,bob&window=auto&about=bob")


def test_the_chart_by_keyboard(browser: Browser, trained: str) -> None:
    """Its one focus stop has a name; arrows go from event to event, Enter explains one, Escape comes back."""
    with visiting(browser) as page:
        page.goto(choice(trained, "ann", "bob"))
        settled(page, lambda chart: len(chart["Click"]) == 1)
        chart = page.get_by_role("application", name="Propensity curves")
        expect(chart).to_have_count(1)
        page.locator(".live").focus()
        page.keyboard.press("Tab")
        expect(chart).to_be_focused()
        told = page.locator(".told")
        page.keyboard.press("Home")
        expect(told).to_contain_text("Impression of ann")
        page.keyboard.press("ArrowRight")
        expect(told).to_contain_text("Click of ann")
        expect(told).to_contain_text("Sat 17 Jun 2017, 03:00:00 UTC")
        expect(page.get_by_text("Held", exact=True)).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.locator(".why .then")).to_have_text("Sat 17 Jun 2017, 03:00:00 UTC")
        page.keyboard.press("Escape")
        expect(page.locator(".why .then")).to_have_count(0)
        expect(told).to_have_text("")


def test_live_is_green_only_while_events_come(browser: Browser, live: tuple[str, Stream]) -> None:
    address, stream = live
    with visiting(browser) as page:
        page.goto(choice(address, "ann"))
        button = page.get_by_role("button", name="Live")
        expect(button).to_contain_text("no new events")
        dot = "element => getComputedStyle(element.querySelector('.dot')).backgroundColor"
        assert button.evaluate(dot) != "rgb(18, 144, 94)"
        follow_up(stream, "ann")
        expect(page.locator(".live:not(.waiting)")).to_have_count(1)
        assert button.evaluate(dot) == "rgb(18, 144, 94)"
        expect(button).to_contain_text("no new events")


def test_a_narrow_screen_shows_everything(browser: Browser, live: tuple[str, Stream], tmp_path: Path) -> None:
    address, _ = live
    with visiting(browser, 390, 844) as page:
        page.goto(choice(address, "ann", "bob"))
        settled(page, lambda drawn: len(drawn["Conversion"]) == 2)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        chart = page.locator(".plot").bounding_box()
        assert chart is not None
        assert chart["width"] > 300
        right = chart["x"] + chart["width"]
        settled(page, lambda drawn: all(x < right - 60 for x, _ in drawn["now"]))
        for card in page.locator(".cards section").all():
            box = card.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390
        page.screenshot(path=tmp_path / "narrow.png", full_page=True)


def test_the_picture_of_the_readme(browser: Browser, tmp_path: Path) -> None:
    """Set PICTURE to make docs/page.png anew, from a larger and moving stream."""
    wanted = bool(os.environ.get("PICTURE"))
    target = ROOT / "docs" / "page.png" if wanted else tmp_path / "page.png"
    stream = Stream(tmp_path / "store.db", load(DEFAULT))
    stream.simulate(9 * DAY, users=3_000 if wanted else 200)
    with served(stream.path, DEFAULT) as address, visiting(browser, *PICTURE) as page:
        page.goto(choice(address, *eventful(stream)))
        expect(page.locator(".chip")).to_have_count(3)
        chart = page.locator(".plot").bounding_box()
        assert chart is not None
        right = chart["x"] + chart["width"] - 160  # now is near the edge once the page knows how wide the chart is
        settled(page, lambda drawn: len(drawn["curve"]) > 1_000 and all(x > right for x, _ in drawn["now"]))
        for _ in range(8 if wanted else 0):
            stream.simulate(20 * MINUTE)
            page.wait_for_timeout(1_000)
        expect(page.locator(".live.waiting")).to_have_count(0 if wanted else 1)
        target.parent.mkdir(exist_ok=True)
        page.screenshot(path=target, full_page=True)
    stream.close()
    with Image.open(target) as picture:
        assert picture.width == PICTURE[0]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"ADSTREAMS_MODLE": "x"}, "ad-streams: ADSTREAMS_MODLE: no such setting, did you mean ADSTREAMS_MODEL?\n"),
        ({"ADSTREAMS_SQLITE_PATH": str(ROOT / "model" / "seed.json")}, "ad-streams: SQLite file "),
    ],
)  # fmt: skip
def test_what_cannot_work_ends_in_one_plain_line(settings: dict[str, str], line: str) -> None:
    process = serving("--warm", "--port", str(free_port()), **settings)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.decode().startswith(line)
    assert said.count(b"\n") == 1
