from pathlib import Path

import pytest

from schemas.errors import StoreError
from schemas.events import Event
from schemas.stored_models import StoredModel
from stores.answers import Latest
from stores.base import Reader
from stores.sqlite.reader import SqliteReader
from tests.viz.browsing import wait_for
from tests.viz.streams import DECAY, HOUR, SEED, START, Stream, journey, load
from viz.feed import Feed
from viz.shared import Shared
from viz.trace import Tracer


def test_an_empty_store_is_a_snapshot_too(source: Shared) -> None:
    source.feed.poll()
    assert (source.feed.snapshot.newest, source.feed.now, source.feed.snapshot.problem) == (None, None, "")


def test_only_followed_users_are_read(stream: Stream, source: Shared) -> None:
    stream.send(*journey("ann", ["IM"]), *journey("bob", ["IM"]))
    source.feed.follow("one page", ("ann", "nobody"))
    source.feed.poll()
    assert set(source.feed.snapshot.traces) == {"ann"}
    source.feed.follow("another", ("bob",))
    source.feed.leave("one page")
    source.feed.poll()
    assert set(source.feed.snapshot.traces) == {"bob"}


def test_a_trace_stays_the_same_object_until_its_user_has_news(stream: Stream, source: Shared) -> None:
    stream.send(*journey("ann", ["IM"]))
    source.feed.follow("page", ("ann",))
    source.feed.poll()
    first = source.feed.snapshot.traces["ann"]
    source.feed.poll()
    assert source.feed.snapshot.traces["ann"] is first
    stream.send(Event("late", "ann", START - HOUR, "PS"))
    source.feed.poll()
    late = source.feed.snapshot.traces["ann"]
    assert [point.event_id for point in late.points] == ["late", "ann-0"]
    assert late.points[1].propensity > first.points[0].propensity


def test_what_takes_long_is_not_read_in_the_first_poll(stream: Stream, source: Shared) -> None:
    """The server starts with it, and may be asked at once."""
    stream.send(*journey("ann", ["CL", "CN"]))
    source.feed.poll()
    assert (len(source.feed.snapshot.recent), source.feed.snapshot.credited) == (1, ())
    source.feed.poll()
    assert {each.type for each in source.feed.snapshot.credited} == {"CL", ""}


class Scanned(SqliteReader):
    """A reader that finds the most recent by a scan of now and then, as that of a store with many users does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.scan = super().most_recent(100)

    def most_recent(self, count: int) -> list[Latest]:
        return self.scan[:count]


def test_the_newest_event_is_no_older_than_those_of_the_followed(stream: Stream) -> None:
    """However old the scan is: a curve that is drawn up to now has all its events."""
    stream.send(*journey("ann", ["IM"]))
    feed = Feed(lambda: Scanned(stream.path), Tracer(stream.model, 1_000))
    feed.follow("page", ("ann",))
    for later in (HOUR, 2 * HOUR):
        feed.poll()
        stream.send(Event(f"later by {later}", "ann", START + later, "CL"))
    feed.poll()
    assert (feed.snapshot.newest, feed.snapshot.problem) == (START + 2 * HOUR, "")
    assert (feed.now or 0) >= START + 2 * HOUR
    feed.stop()


def test_lists_rank_by_the_propensity_of_now(stream: Stream, source: Shared) -> None:
    """Who was likeliest after an event of long ago is not likeliest now."""
    stream.send(*journey("faded", ["PS"] * 4, START - 100 * 24 * HOUR))
    stream.send(*journey("fresh", ["CL"], START))
    source.feed.poll()
    snapshot = source.feed.snapshot
    assert [standing.user_id for standing in snapshot.likely] == ["fresh", "faded"]
    assert [standing.user_id for standing in snapshot.recent] == ["fresh", "faded"]


def test_many_who_were_likely_long_ago_do_not_hide_who_is_now(stream: Stream, source: Shared) -> None:
    """Scores after the newest event stay in the store; what has decayed since then must not fill the list."""
    for number in range(60):
        stream.send(*journey(f"faded-{number}", ["PS"] * 4, START - 100 * 24 * HOUR))
    stream.send(*journey("fresh", ["CL"], START))
    for other in ("seen", "seen too"):  # of a clock that is ahead alone, nobody takes the time
        stream.send(*journey(other, ["IM"], START))
    source.feed.poll()
    assert source.feed.snapshot.likely[0].user_id == "fresh"


def test_a_store_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "store.db", load(DECAY))
    stream.send(*journey("ann", ["IM"]))
    broken = [True]

    def open_reader() -> Reader:
        if broken[0]:
            raise StoreError("no such store")
        return SqliteReader(stream.path)

    feed = Feed(open_reader, Tracer(stream.model, 1_000))
    feed.poll()
    assert feed.snapshot.problem == "no such store"
    broken[0] = False
    feed.poll()
    assert (feed.snapshot.problem, feed.snapshot.newest) == ("", START)
    feed.stop()
    stream.close()


def test_it_follows_the_models_of_the_store(tmp_path: Path) -> None:
    later = StoredModel(START + HOUR, "seed", load(SEED).model_dump_json())
    stream = Stream(tmp_path / "store.db", load(DECAY), following=[later])
    tracer = Tracer(stream.model, 1_000)
    feed = Feed(lambda: SqliteReader(stream.path), tracer)
    assert tracer.models.ids == ("decay",)
    feed.poll()
    assert tracer.models.ids == ("decay", "seed")
    feed.stop()
    stream.close()


def test_it_polls_by_itself_once_started_and_at_once_for_a_new_user(
    stream: Stream, source: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the first poll is over, only a new user ends the wait for the second."""
    monkeypatch.setattr("viz.feed.POLL", 600.0)
    stream.send(*journey("ann", ["IM"]))
    source.feed.start()
    wait_for(lambda: source.feed.snapshot.newest == START)
    source.feed.follow("page", ("ann",))
    wait_for(lambda: "ann" in source.feed.snapshot.traces)


def test_the_stream_is_as_old_as_the_first_event_that_is_known(stream: Stream, source: Shared) -> None:
    source.feed.poll()
    assert source.feed.snapshot.oldest is None
    stream.send(*journey("ann", ["IM", "CL"], START + HOUR), *journey("bob", ["IM"]))
    source.feed.poll()
    assert source.feed.snapshot.oldest == START


def test_automated_users_lead_no_list_and_are_counted(stream: Stream) -> None:
    """A crawler of 300 events in a minute, and forty more of them, beside people; nobody is lost without a limit."""
    for number in range(41):
        crawler = [
            Event(f"{number}-{at}", f"bot-{number}", START + at * 200, "CL") for at in range(300 if not number else 21)
        ]
        stream.send(*crawler)
    stream.send(*journey("person", ["CL"] * 20, START))
    for most, likely, apart in ((20, ["person"], 41), (0, ["bot-0"], 0)):
        feed = Feed(lambda: SqliteReader(stream.path), Tracer(stream.model, 1_000, most=most))
        feed.poll()
        found = [standing.user_id for standing in feed.snapshot.likely]
        assert (found[:1], feed.snapshot.set_apart) == (likely, apart)
        assert (len(found) == 1) == bool(most)
        feed.stop()


@pytest.mark.parametrize("ahead", [1, 2])
@pytest.mark.parametrize("followed", [(), ("ahead-0",)])
def test_a_clock_far_ahead_does_not_move_now_for_everybody(
    stream: Stream, source: Shared, ahead: int, followed: tuple[str, ...]
) -> None:
    """Nor that of two users, whoever looks at them; a third tells that it is later."""
    for number in range(20):
        stream.send(*journey(f"user-{number}", ["IM", "CL", "IM"], START + number * 1_000))
    source.feed.poll()
    usual = source.feed.snapshot.newest or 0
    for number in range(ahead):
        stream.send(Event("bad", f"ahead-{number}", START + 70 * 365 * 24 * HOUR + number, "IM"))
    source.feed.follow("page", followed)
    source.feed.poll()
    assert source.feed.snapshot.newest == usual
    assert (source.feed.now or 0) < usual + HOUR
    for number in range(3):
        stream.send(Event("later", f"user-{number}", START + 30 * 24 * HOUR, "IM"))
    source.feed.poll()
    assert source.feed.snapshot.newest == START + 30 * 24 * HOUR


def test_a_pause_of_all_is_over_with_the_third_user(stream: Stream, source: Shared) -> None:
    for number in range(9):
        stream.send(*journey(f"user-{number}", ["IM"], START))
    for number in range(3):
        stream.send(Event("later", f"user-{number}", START + 30 * 24 * HOUR, "IM"))
    source.feed.poll()
    assert source.feed.snapshot.newest == START + 30 * 24 * HOUR
