"""Rows of Cassandra go when their time is over, which counts from their events."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from schemas.dead_letters import DeadLetter
from schemas.errors import StoreError
from schemas.scored import Propensity
from stores.cassandra import tables
from stores.cassandra.tables import DAY
from tests.model.driving import Run
from tests.model.worlds import MODELS
from tests.stores.conftest import ask
from tests.stores.rows import TIME, event, point, scored


def test_rows_live_from_their_event_on(fresh):
    now = int(time.time() * 1000)
    young = event("young", now - 3 * DAY * 1000 - TIME)
    writer = fresh.writer(retention_days=10)
    writer.write(scored(young))
    for rows in Run(MODELS["seed"], 5).feed([replace(young, type="CN", user_id="w")]).scored:
        writer.write(rows)
    writer.write_latest([Propensity("v", now - DAY * 1000, 1, None, "CN", 0.2, 7, 8, "m")])
    writer.flush()
    lives = "TTL(event_id), TTL(campaign), TTL(revenue), TTL(propensity), TTL(seen)"
    (body,) = ask(fresh, f"SELECT {lives} FROM propensity_by_user WHERE user_id = 'u'")
    assert all(7 * DAY - 120 < life <= 7 * DAY for life in body)
    assert max(body) - min(body) <= 1
    (credit,) = ask(fresh, "SELECT TTL(revenue), TTL(credits) FROM conversion_credit WHERE user_id = 'w'")
    assert all(7 * DAY - 120 < life <= 7 * DAY for life in credit)
    (stands,) = ask(fresh, "SELECT TTL(propensity) FROM latest_propensity WHERE user_id = 'u'")
    assert 7 * DAY - 120 < stands[0] <= 7 * DAY
    (restored,) = ask(fresh, "SELECT TTL(propensity) FROM latest_propensity WHERE user_id = 'v'")
    assert 9 * DAY - 120 < restored[0] <= 9 * DAY


def test_rows_with_no_time_left_are_not_written_and_those_of_the_future_live_as_long_as_any(fresh):
    now = int(time.time() * 1000) - TIME
    old, edge = event("old", now - 2 * DAY * 1000), event("edge", now - DAY * 1000 + 60_000)
    future = event("future", now + 50 * DAY * 1000)
    writer = fresh.writer(retention_days=1)
    for each in (old, edge, future):
        writer.write(scored(each))
        writer.write_latest([Propensity("v" + each.event_id, each.timestamp, 1, None, "CN", 0.2, 7, 8, "m")])
    writer.flush()
    reader = fresh.reader()
    assert reader.curve("u") == [point(edge), point(future)]
    assert [each.user_id for each in reader.latest(["vold", "vedge", "vfuture"])] == ["vedge", "vfuture"]
    ((life,),) = ask(fresh, "SELECT TTL(seen) FROM propensity_by_user WHERE user_id = 'u' AND event_time = %s",
                     future.timestamp)  # fmt: skip
    assert DAY - 120 < life <= DAY


def test_rows_go_when_their_time_is_over(fresh):
    now = int(time.time() * 1000) - TIME
    leaving = event("e", now - DAY * 1000 + 6_000)
    writer, reader = fresh.writer(retention_days=1), fresh.reader()
    writer.write(scored(leaving))
    writer.flush()
    shown = reader.curve("u")
    assert shown == [point(leaving)] or time.time() * 1000 > TIME + now + 5_000, "on a very busy machine it may be gone"
    deadline = time.monotonic() + 30
    while reader.curve("u") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert reader.curve("u") == reader.latest(["u"]) == []


def test_what_deletes_letters_is_as_old_as_it_is(fresh, monkeypatch):
    """Times to live count from the start of a period; a deletion that did would be forgotten before its time."""
    letter = DeadLetter("events", 0, 1, "unframed", "", b"")
    writer, sent = fresh.writer(retention_days=10), []
    send = writer._deliveries.send
    monkeypatch.setattr(writer._deliveries, "send", lambda batch: (sent.append(batch), send(batch)))
    writer.write(scored(event("young", int(time.time() * 1000) - TIME)))
    writer.write_dead_letters([letter])
    writer.clear_dead_letters([letter])
    writer.flush()
    rows, letters = (batch._statements_and_parameters for batch in sent)
    assert rows.now == writer._base
    assert (letters.count, letters.now) == (2, None)
    assert fresh.reader().dead_letters(9) == []


@pytest.mark.parametrize("backwards", [False, True])
def test_conflicts_end_the_same_when_rows_have_a_time_to_live(fresh, backwards):
    """Of two equal writes the one that expires later would win, so they must expire in the same second."""
    now = int(time.time() * 1000) - TIME
    bodies = [event("e", now, "PS", campaign=campaign) for campaign in ("a", "b")]
    writer = fresh.writer(retention_days=1)
    for each in reversed(bodies) if backwards else bodies:
        writer.write(scored(each, propensity=0.5 if each.campaign == "a" else 0.6))
        writer.flush()
        time.sleep(2.1)
    assert fresh.reader().curve("u") == [point(bodies[1], 0.6)]


def test_without_a_retention_rows_live_for_ever(clustered):
    writer = clustered.writer()
    writer.write(scored(event()))
    writer.flush()
    assert ask(clustered, "SELECT TTL(seen), TTL(campaign) FROM propensity_by_user WHERE user_id = 'u'") == [
        (None, None)
    ]


@pytest.mark.parametrize(
    ("days", "unit", "size"),
    [(1, "HOURS", 1), (20, "HOURS", 16), (30, "DAYS", 1), (90, "DAYS", 3), (7_300, "DAYS", 243)],
)
def test_time_windows_are_a_thirtieth_of_the_retention(days, unit, size):
    statement = tables.create_statements("k", days)["propensity_by_user"]
    assert "TimeWindowCompactionStrategy" in statement
    assert f"'compaction_window_unit': '{unit}', 'compaction_window_size': '{size}'" in statement
    assert "TimeWindow" not in "".join(tables.create_statements("k").values())


def test_tables_are_made_with_the_compaction_that_suits(fresh, cassandra):
    fresh.writer(retention_days=60)
    with cassandra.session() as session:
        statement = "SELECT table_name, compaction FROM system_schema.tables WHERE keyspace_name = %s"
        rows = list(session.execute(statement, (fresh.address.keyspace,)))
    kinds = {name: compaction["class"].rpartition(".")[2] for name, compaction in rows}
    assert kinds["propensity_by_user"] == kinds["conversion_credit"] == "TimeWindowCompactionStrategy"
    assert kinds["latest_propensity"] == "LeveledCompactionStrategy"


def test_a_retention_that_the_server_cannot_keep_stops_the_start(fresh):
    """Servers whose times end in 2038 say so to the first row; the start is the better moment."""
    try:
        writer = fresh.writer(retention_days=7_300)
    except StoreError as error:
        assert str(error).startswith("ADSTREAMS_RETENTION_DAYS: 7300 days are too many: ")
        return
    writer.write(scored(event("young", int(time.time() * 1000) - TIME)))
    writer.flush()
    ((left,),) = ask(fresh, "SELECT TTL(propensity) FROM propensity_by_user WHERE user_id = 'u'")
    assert 7_299 * DAY < left <= 7_300 * DAY
