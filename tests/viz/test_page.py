import asyncio
import threading
from typing import Any

import pytest
from bokeh.events import Tap

from schemas.errors import StoreError
from schemas.event_types import TYPES
from schemas.events import Event
from stores.base import Reader
from stores.sqlite.reader import SqliteReader
from tests.viz.streams import DAY, HOSTILE, HOUR, START, Stream, journey
from viz.chart import WINDOWS, window_start
from viz.page import MOST, Page
from viz.shared import Shared
from viz.store_reading import Desk
from viz.trace import Trace


@pytest.fixture
def page(stream: Stream, source: Shared) -> Page:
    """A page over a store with four users, opened without a choice."""
    for user, kinds in {"ann": ["IM", "CL", "PS"], "bob": ["IM", "CN"], "cyd": ["CL"], "dan": ["IM"]}.items():
        stream.send(*journey(user, kinds))
    source.feed.poll()
    return opened(source, "")


def opened(source: Shared, query: str) -> Page:
    page = Page(source, query)
    source.feed.poll()
    page.tick()
    return page


def chips(page: Page) -> dict[str, str]:
    return {chip["name"]: chip["value"] for chip in page.chosen.data["users"]}


def rows(page: Page) -> list[str]:
    return [row["name"] for row in page.picker.data["users"]]


def marked(page: Page) -> dict[str, list[Any]]:
    data = page.chart.events.data
    marks = list(zip(data["rank"], data["user"], strict=True))
    return {kind: [user for rank, user in marks if rank == place] for place, kind in enumerate(TYPES)}


def told(page: Page, user: str) -> list[str]:
    data = page.chart.events.data
    return [lines for lines, name in zip(data["lines"], data["user"], strict=True) if name == user]


def test_a_page_without_a_choice_shows_the_most_likely(page: Page) -> None:
    assert list(page.users) == rows(page)[:3]
    assert page.chosen.data["query"] == f"?users={','.join(page.users)}&window=auto"


def test_a_page_with_a_choice_shows_just_that(source: Shared, page: Page) -> None:
    assert opened(source, "?users=dan,cyd&window=1d").users == ("dan", "cyd")
    assert opened(source, "?users=").users == ()


def test_every_event_of_the_chosen_has_a_marker_of_its_type(source: Shared, page: Page) -> None:
    two = opened(source, "?users=ann,bob")
    assert marked(two) == {"IM": ["ann", "bob"], "CL": ["ann"], "PS": ["ann"], "CN": ["bob"]}


def test_a_marker_tells_all_about_its_event(source: Shared, page: Page) -> None:
    bob = opened(source, "?users=bob")
    impression, conversion = told(bob, "bob")
    for fact in (
        "Thu 15 Jun 2017, 05:00:00 UTC",
        "Propensity after it: ",
        "Change it made: +",
        "Campaign: Spring",
        "Publisher: Daily Ledger",
        "Product: Shoes",
        "Revenue: $159.50 for 2",
        "Event number 2 of this user",
    ):
        assert fact in conversion
    assert "Revenue" not in impression
    assert "Product" not in impression


@pytest.mark.parametrize(("touches", "rest"), [(5, "1 other touch"), (6, "2 other touches")])
def test_a_conversion_tells_how_many_other_touches_it_had(
    stream: Stream, source: Shared, touches: int, rest: str
) -> None:
    stream.send(*journey("eve", ["CL"] * touches + ["CN"], gap=HOUR))
    *_, lines = told(opened(source, "?users=eve"), "eve")
    assert any(line.endswith(f"% {rest}") for line in lines.splitlines())


def test_a_huge_revenue_is_told_in_short(stream: Stream, source: Shared) -> None:
    stream.send(Event("huge", "eve", START, "CN", quantity=1, revenue=1.7e308))
    eve = opened(source, "?users=eve")
    assert "Revenue: $1.7e308 for 1" in told(eve, "eve")[0]
    assert eve.insights.credited.data["conversions"][0]["revenue"] == "$1.7e308"


def test_curves_end_now_at_the_propensity_of_the_chip(source: Shared, page: Page) -> None:
    ann = opened(source, "?users=ann,cyd")
    now = source.feed.now
    for curve in ann.chart.curves[:2]:
        assert curve.data["time"][-1] == now
    assert list(ann.chart.ends.data["text"]) == list(chips(ann).values())
    assert not len(ann.chart.curves[2].data["time"])


def test_chips_and_lists_agree_about_now(page: Page) -> None:
    listed = {row["name"]: row["value"] for row in page.picker.data["users"]}
    assert chips(page).items() <= listed.items()


def test_users_can_be_added_and_removed_and_keep_their_colour(source: Shared, page: Page) -> None:
    page.receive({"remove": page.users[0]})
    colours = {chip["user"]: chip["colour"] for chip in page.chosen.data["users"]}
    page.receive({"add": "dan"})
    after = {chip["user"]: chip["colour"] for chip in page.chosen.data["users"]}
    assert colours.items() < after.items()
    assert len(set(after.values())) == 3


def test_no_more_users_than_colours(page: Page) -> None:
    for number in range(MOST + 3):
        page.receive({"add": f"user {number}"})
    assert len(page.users) == MOST
    assert "Remove one" in page.picker.data["message"]


def test_search_offers_ids_that_start_so(page: Page) -> None:
    asyncio.run(page.search("an"))
    assert page.picker.data["found"] == [{"user": "ann", "name": "ann"}]
    asyncio.run(page.search("zz"))
    assert page.picker.data["message"] == "No user id starts with “zz”."
    asyncio.run(page.search(""))
    assert (page.picker.data["found"], page.picker.data["message"]) == ([], "")


def test_a_slow_answer_is_not_offered_after_another_question(stream: Stream, source: Shared, page: Page) -> None:
    """What was typed before Escape does not come back."""
    reads = threading.Event()

    def slow() -> Reader:
        reads.wait()
        return SqliteReader(stream.path)

    async def escape(page: Page) -> None:
        typed = asyncio.create_task(page.search("an"))
        await asyncio.sleep(0)
        await page.search("")
        reads.set()
        await typed

    desk = Desk(slow)
    late = opened(Shared(source.feed, desk), "")
    asyncio.run(escape(late))
    assert late.picker.data["found"] == []
    desk.close()


def test_a_box_is_emptied_of_what_was_entered_only(source: Shared, page: Page) -> None:
    empty = opened(source, "?users=")

    async def type_on() -> None:
        entered = asyncio.create_task(empty.enter("ann"))
        await asyncio.sleep(0)
        await asyncio.gather(entered, empty.search("bo"))

    asyncio.run(type_on())
    assert (empty.users, empty.picker.data["clear"]) == (("ann",), {"count": 1, "text": "ann"})
    assert empty.picker.data["found"] == [{"user": "bob", "name": "bob"}]
    empty.receive({"add": "bob"})
    assert empty.picker.data["clear"] == {"count": 2, "text": "bo"}


def test_enter_adds_the_user_or_says_that_there_is_none(source: Shared, page: Page) -> None:
    empty = opened(source, "?users=")
    asyncio.run(empty.enter("ann"))
    assert empty.users == ("ann",)
    asyncio.run(empty.enter("eve"))
    assert empty.picker.data["message"] == "There is no user “eve” in the store."
    assert empty.users == ("ann",)


def test_a_search_in_a_store_that_fails_says_so(source: Shared, page: Page) -> None:
    def broken() -> Reader:
        raise StoreError("the disk is gone")

    desk = Desk(broken)
    failing = opened(Shared(source.feed, desk), "")
    asyncio.run(failing.search("an"))
    assert failing.picker.data["message"] == "The store cannot be read just now."
    desk.close()


def test_an_unknown_user_in_the_address_is_a_plain_sentence(source: Shared, page: Page) -> None:
    eve = opened(source, "?users=eve")
    assert eve.notice.data["title"] == "There is no user “eve” in the store"
    assert chips(eve) == {"eve": "not in the store"}


def test_an_empty_store_says_how_to_fill_it_and_comes_alive(stream: Stream, source: Shared) -> None:
    page = opened(source, "")
    said = str(page.notice.data)
    for command in ("make run", "ADSTREAMS_SOURCE=file", "python -m bytewax.run dataflow"):
        assert command in said
    stream.send(*journey("ann", ["IM"]))
    source.feed.poll()
    page.tick()
    assert page.users == ("ann",)
    source.feed.poll()
    page.tick()
    assert page.notice.data == {}
    assert len(page.chart.curves[0].data["time"])


def test_a_late_event_redraws_the_history(stream: Stream, source: Shared, page: Page) -> None:
    ann = opened(source, "?users=ann")
    before = dict(zip(*ann.chart.curves[0].data.values(), strict=True))
    stream.send(Event("late", "ann", START + HOUR, "PS"))
    source.feed.poll()
    ann.tick()
    after = dict(zip(*ann.chart.curves[0].data.values(), strict=True))
    assert START + HOUR in after
    later = START + 5 * HOUR
    assert after[later] > before[later]
    assert marked(ann)["PS"] == ["ann", "ann"]


def test_a_paused_page_stays_as_it_is_and_goes_on_afterwards(stream: Stream, source: Shared, page: Page) -> None:
    page.receive({"pause": True})
    ends = dict(page.chart.ends.data)
    for user in ("ann", "bob", "cyd"):  # one of them alone would be taken for a wrong clock
        stream.send(*journey(user, ["CN"], START + 2 * DAY, campaign="Later"))
    source.feed.poll()
    page.tick()
    assert dict(page.chart.ends.data) == ends
    page.receive({"pause": False})
    assert page.chart.ends.data["time"][0] >= START + 2 * DAY


def test_a_paused_page_can_still_get_another_user(source: Shared, page: Page) -> None:
    page.receive({"pause": True})
    page.receive({"add": "dan"})
    source.feed.poll()
    page.tick()
    assert "dan" in marked(page)["IM"]


def test_a_tap_means_the_nearest_curve_and_the_event_within_reach(source: Shared, page: Page) -> None:
    chosen = opened(source, "?users=ann,bob")
    chart = chosen.chart
    pixel = (float(chart.times.end) - float(chart.times.start)) / chart.width
    for user in ("ann", "bob"):
        trace = source.feed.snapshot.traces[user]
        second = trace.points[1].event_time
        for beside, meant in ((-3, 0), (3, 0), (30, 30)):
            moment = round(second + meant * pixel)
            height = source.feed.tracer.at(trace, moment)
            chart.figure._trigger_event(Tap(chart.figure, x=second + beside * pixel, y=height))
            assert (chosen.insights.asked[0], chosen.insights.moment) == (user, moment)
    chart.figure._trigger_event(Tap(chart.figure, x=chart.times.end, y=0.0))
    assert chosen.insights.moment is None


def test_types_of_event_can_be_hidden(page: Page) -> None:
    page.receive({"toggle": "IM"})
    assert [entry["shown"] for entry in page.controls.data["legend"]] == [False, True, True, True]
    assert not marked(page)["IM"]
    assert marked(page)["CL"]
    page.receive({"toggle": "IM"})
    assert marked(page)["IM"]


@pytest.mark.parametrize("message", [{}, {"window": "2y"}, {"toggle": "XX"}, {"add": 7}, {"what": "ever"}])
def test_messages_that_make_no_sense_change_nothing(page: Page, message: dict[str, Any]) -> None:
    users, window = page.users, page.window
    page.receive(message)
    assert (page.users, page.window) == (users, window)


def test_hostile_ids_are_texts_that_can_be_seen(stream: Stream, source: Shared) -> None:
    for text in HOSTILE:
        stream.send(*journey(text, ["IM", "CN"], campaign=text))
    page = opened(source, "")
    for text in HOSTILE:
        page.receive({"add": text})
    source.feed.poll()
    page.tick()
    assert set(page.users) == set(HOSTILE)
    names = set(chips(page))
    assert HOSTILE[0] in names
    assert "nul␀ and \\u202eturned" in names
    assert len(marked(page)["CN"]) == len(HOSTILE)


@pytest.mark.parametrize(
    ("window", "age", "width"),
    [("1d", 400, DAY), ("1m", 400, 30 * DAY), ("auto", 400, 30 * DAY), ("auto", 3, 3 * DAY), ("all", 400, 400 * DAY)],
)  # fmt: skip
def test_windows(stream: Stream, window: str, age: int, width: int) -> None:
    stream.send(*journey("ann", ["IM"]))
    reader = SqliteReader(stream.path)
    trace = Trace.of(reader.curve("ann"), 1_000)
    reader.close()
    now = START + age * DAY
    start = window_start(window, [trace], now)
    assert width <= now - start <= 1.05 * width
    assert window in WINDOWS
