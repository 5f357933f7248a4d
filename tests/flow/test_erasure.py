"""People who ask to be forgotten, through the whole flow."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from bytewax.testing import TestingSource, run_main

from dataflow import build_flow
from schemas.avro.codec import codec
from schemas.erasures import Erasure
from schemas.events import Event
from schemas.messages import MessageBatch
from settings import Settings
from steps.flow_parts import parts_of
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter
from stores.store_registry import reader_of
from tests.flow.exactness import MODEL
from tests.flow.running import PATIENCE, count, make_recovery, processes, query, run_flow, running_flow, wait_for
from tests.flow.streaming import Stream
from tests.jobs.running import complaint, jobs
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka
from topics.publisher import Publisher
from topics.whole_topic import read_topic

TIME = 1_500_000_000_000


def messages(first: int, *items: Event | tuple[bytes, int]) -> MessageBatch:
    """Events, and messages without a value: (key, time)."""
    payloads = [codec().encode_one(each) if isinstance(each, Event) else b"" for each in items]
    batch = MessageBatch.of("events", 0, first, payloads)
    times = np.array([each.timestamp if isinstance(each, Event) else each[1] for each in items])
    erasing = tuple((place, each[0]) for place, each in enumerate(items) if not isinstance(each, Event))
    return MessageBatch("events", 0, batch.offsets, batch.data, batch.bounds, times, erasing=erasing)


def run(batches: list[MessageBatch], store: Path, known: tuple[Erasure, ...] = ()) -> None:
    settings = Settings(sqlite_path=store)
    source, model = TestingSource(batches), settings.loaded_model
    run_main(build_flow(source, parts_of(model, lambda: SqliteWriter(store), settings, erasures=known)))


def event(event_id: str, time: int, user: str = "u", **more: float) -> Event:
    return Event(event_id, user, TIME + time, "IM", **more)  # type: ignore[arg-type]


def points(store: Path, user: str) -> list[tuple[str, int]]:
    reader = SqliteReader(store)
    try:
        return [(point.event_id, point.seen) for point in reader.curve(user)]
    finally:
        reader.close()


def test_a_message_without_a_value_erases_the_user_of_its_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Events up to its time go, those that are there and those that come late; nobody else's do."""
    store = tmp_path / "store.db"
    sent = [
        messages(0, event("a", 0), event("b", 1), event("x", 0, "other"), (b"nobody", TIME)),
        messages(4, event("c", 3), (b"u", TIME + 2), event("d", 2), (b"\xff", TIME), (b"", TIME)),
        messages(9, event("late", 1), event("a", 0), event("e", 4)),
    ]
    with caplog.at_level("INFO"):
        run(sent, store)
    assert points(store, "u") == [("c", 1), ("e", 2)]
    assert points(store, "other") == [("x", 1)]
    assert "5 scored (0 late), 0 repeats (0 conflicts), 2 dead letters, 3 erased" in caplog.text
    written = SqliteWriter(store)
    assert {(each.user_hash, each.until) for each in written.erasures()} == {
        (each.user_hash, each.until) for each in (Erasure.of("u", TIME + 2), Erasure.of("nobody", TIME))
    }
    written.close()


def test_what_is_known_at_the_start_keeps_events_and_letters_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A replay from before brings nobody back."""
    store = tmp_path / "store.db"
    sent = [messages(0, event("a", 0), event("bad", 1, revenue=float("nan")), event("b", 5), event("x", 0, "other"))]
    with caplog.at_level("INFO"):
        run(sent, store, (Erasure(Erasure.of("u", 0).user_hash, TIME + 2),))
    assert points(store, "u") == [("b", 1)]
    assert query(store, "SELECT count(*) FROM dead_letters") == [(0,)]
    assert "2 scored (0 late), 0 repeats (0 conflicts), 0 dead letters, 2 erased" in caplog.text


def test_a_running_flow_follows_the_command(tmp_path: Path) -> None:
    """Guarantee: state, rows, dead letters and the id itself go, at once and after every restart."""
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": store, "simulator_users": 20, "simulator_rate": 400, "simulator_events": 100_000}
    with running_flow(recovery, **settings) as program:
        wait_for(lambda: count(store) > 2_000, program)
        ((user,),) = query(store, "SELECT user_id FROM latest_propensity ORDER BY seen DESC LIMIT 1")
        done = jobs("erase", user, sqlite_path=store)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "erased, with 0 dead letters; running flows follow within seconds\n"
        at = count(store)
        wait_for(lambda: count(store) > at + 2_500, program)
        assert query(store, f"SELECT count(*) FROM propensity_by_user WHERE user_id = '{user}'") == [(0,)]
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE) == 0
        assert " erased" in program.communicate()[1]
    for part in recovery.glob("part-*.sqlite3"):
        with sqlite3.connect(part) as file:
            newest = file.execute(
                "SELECT ser_change FROM snaps WHERE step_id LIKE '%sequences%' AND (state_key, snap_epoch) IN"
                " (SELECT state_key, max(snap_epoch) FROM snaps WHERE step_id LIKE '%sequences%' GROUP BY 1)"
            ).fetchall()
        assert newest
        assert not any(str(user).encode() in bytes(row[0]) for row in newest)
    again = run_flow(1, make_recovery(tmp_path / "anew"), **settings | {"simulator_rate": 0, "simulator_events": 5_000})
    assert again.returncode == 0, again.stderr
    assert query(store, f"SELECT count(*) FROM propensity_by_user WHERE user_id = '{user}'") == [(0,)]


@pytest.mark.parametrize("way", ["message", "command"])
def test_nothing_is_left_in_cassandra_and_the_topics(
    way: str, kafka: Kafka, cassandra: Cassandra, keyspace: str, tmp_path: Path
) -> None:
    """Guarantee: rows, letters, and the entries of both topics go; a replay from the beginning brings none back."""
    stream = Stream(kafka.brokers).make()
    settings = stream.settings | {
        "store": "cassandra", "cassandra_hosts": cassandra.host, "cassandra_port": cassandra.port,
        "cassandra_keyspace": keyspace, "model": MODEL,
    }  # fmt: skip
    sent = [Event(f"{user}-{n}", user, TIME + n * 3_600_000, "CL") for n in range(20) for user in ("anna", "bert")]
    stream.send(*sent)
    stream.send(*(Event(f"bad-{user}", user, TIME, "IM", revenue=float("nan")) for user in ("anna", "bert")), topic=1)
    recovery = make_recovery(tmp_path / "recovery")

    def scores() -> list[tuple[str, bytes | None]]:
        topic = f"{stream.name}-propensity"
        return [((m.key or b"").decode(), m.value) for part in read_topic(stream.kafka, topic) for m in part]

    def propensities() -> dict[str, bytes | None]:
        return dict(scores())

    def letters() -> dict[bytes, bytes | None]:
        return {m.key or b"": m.value for part in read_topic(stream.kafka, f"{stream.name}-dead") for m in part}

    with processes(2, recovery, **settings) as programs:
        wait_for(stream.is_read, programs[0])
        assert sum(value is not None for value in letters().values()) == 2
        if way == "message":
            publisher = Publisher(stream.kafka, stream.topics[1])
            publisher.send_one(b"anna", None)
            publisher.flush()
        else:
            done = jobs("erase", "anna", **settings)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout == "erased, with 1 dead letters; running flows follow within seconds\n"
        tombstones = 1 if way == "message" else 2  # one is the command's: then the flow may not have heard of it yet
        wait_for(lambda: scores().count(("anna", None)) >= tombstones, programs[0])
        wait_for(lambda: sum(value is not None for value in letters().values()) == 1, programs[0])
        stream.send(Event("late", "anna", TIME + 1, "IM"), Event("late-b", "bert", TIME + 1, "IM"))
        wait_for(stream.is_read, programs[0])
        programs[0].send_signal(signal.SIGTERM)
        assert [program.wait(PATIENCE) for program in programs] == [0, 0]
    for directory in (None, make_recovery(tmp_path / "anew")):
        if directory is not None:
            stream.send(Event("then", "bert", TIME + 2, "IM"))
            with processes(1, directory, **settings) as (program,):
                wait_for(stream.is_read, program)
                program.send_signal(signal.SIGTERM)
                assert program.wait(PATIENCE) == 0
        found = jobs("dead-letters", "list", **settings).stdout
        assert "1 revenue: " in found
        reader = reader_of(Settings(**settings))()  # type: ignore[arg-type]
        try:
            assert reader.curve("anna") == reader.latest(["anna"]) == []
            assert [letter.payload for letter in reader.each_dead_letter()] == [
                codec().encode_one(Event("bad-bert", "bert", TIME, "IM", revenue=float("nan")))
            ]
            assert len(reader.curve("bert")) == 21 + (directory is not None)
        finally:
            reader.close()
        assert propensities()["anna"] is None
        assert propensities()["bert"] is not None
        assert sum(value is not None for value in letters().values()) == 1


@pytest.mark.parametrize("user_id", ["", "\udcff", "x" * 1_025])
def test_an_id_that_nobody_can_have_is_refused(user_id: str) -> None:
    assert "USER_ID" in complaint("erase", user_id)


def test_a_crash_before_it_is_saved_leaves_nothing_of_what_was_erased(tmp_path: Path) -> None:
    """A later event's row, written with the erased one counted, is written again by the replay that knows better."""
    store, early, later = tmp_path / "store.db", event("a", 0), event("b", 10)
    run([messages(0, early, later)], store)  # as far as the crash: none of it is saved
    run([messages(0, early), messages(1, (b"u", TIME + 5)), messages(2, later)], store)
    assert points(store, "u") == [("b", 1)]
    once = tmp_path / "once.db"
    run([messages(0, early), messages(1, (b"u", TIME + 5)), messages(2, later)], once)
    table = "SELECT event_time, event_key, propensity, seen FROM propensity_by_user"
    assert query(store, table) == query(once, table)
    assert query(store, "SELECT * FROM latest_propensity") == query(once, "SELECT * FROM latest_propensity")


@pytest.mark.parametrize("time", [10**16, 2**62])
def test_a_request_of_no_possible_time_is_a_dead_letter(time: int, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    run([messages(0, event("a", 0), (b"u", time), event("b", 1))], store)
    assert points(store, "u") == [("a", 1), ("b", 2)]
    assert query(store, "SELECT reason FROM dead_letters") == [("time_range",)]
