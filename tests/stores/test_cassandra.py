"""What only the Cassandra store promises: write timestamps, tables made once, plain errors, views of all users."""

from __future__ import annotations

import logging
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cassandra import OperationTimedOut
from cassandra.cluster import ResultSet

from schemas.advice import Advice
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.errors import StoreError
from schemas.scored import Propensity
from stores.answers import Summary
from stores.cassandra import reader, scans, session, tables
from stores.cassandra.address import CassandraAddress
from stores.cassandra.reader import CassandraReader
from stores.cassandra.row_encoding import BODY_COLUMNS
from stores.cassandra.session import open_session
from stores.cassandra.tables import DAY
from stores.cassandra.writer import CassandraWriter
from stores.row_columns import KEY
from tests.flow.running import wait_for
from tests.model.driving import Run, chunks
from tests.model.worlds import MODELS
from tests.stores.conformance.erasures import versioned
from tests.stores.conformance.suite import StoreConformance
from tests.stores.conftest import address_of, ask, one_line
from tests.stores.rows import TIME, event, latest, point, scored


@pytest.mark.needs("cassandra")
class TestCassandra(StoreConformance):
    @pytest.fixture
    def store(self, clustered):
        return clustered


# What wins


def test_what_is_computed_is_written_at_its_version_and_the_body_at_the_events_time(clustered):
    """1,000 µs a ms; a body's timestamp has its type, so that the greater type wins."""
    writer = clustered.writer()
    for place, kind in enumerate(("IM", "CL", "PS", "CN")):
        writer.write(scored(event(kind, 7, kind, user=kind), version=TIME * 1000 + 7_001))
        writer.flush()
        columns = [name for name in BODY_COLUMNS if name not in KEY]
        written = ", ".join(f"WRITETIME({name})" for name in columns)
        (body,) = ask(clustered, f"SELECT {written} FROM propensity_by_user WHERE user_id = %s", kind)
        assert set(body) == {(TIME + 7) * 1000 + place}
        written = ", ".join(f"WRITETIME({name})" for name in ("propensity", "seen", "version", "model_id"))
        (computed,) = ask(clustered, f"SELECT {written}, version FROM propensity_by_user WHERE user_id = %s", kind)
        assert set(computed) == {TIME * 1000 + 7_001}
        written = ", ".join(f"WRITETIME({name})" for name in ("event_time", "event_key", "event_type", "propensity"))
        (stands,) = ask(clustered, f"SELECT {written}, version FROM latest_propensity WHERE user_id = %s", kind)
        assert set(stands) == {TIME * 1000 + 7_001}


def test_credit_is_written_at_its_version_and_revenue_with_the_body(clustered):
    """One that is computed again has no body, and of two bodies each writes its own."""
    click, bought = event("click", 0, "CL"), event("bought", 7, "CN", revenue=2.0)
    writer, written = clustered.writer(), "WRITETIME(revenue), WRITETIME(model_id), WRITETIME(credits), version"
    for number, rows in enumerate(Run(MODELS["seed"], 5).feed([click, bought], [event("late", 5)]).scored, start=2):
        writer.write(rows)
        writer.flush()
        version = bought.timestamp * 1000 + number
        rows = ask(clustered, f"SELECT {written} FROM conversion_credit WHERE user_id = 'u'")
        assert rows == [(bought.timestamp * 1000 + 3, version, version, version)]


@pytest.mark.parametrize("days", [-400, 400])
def test_a_stale_process_with_a_wrong_clock_loses(clustered, monkeypatch, days):
    clustered.writer().write(scored(event("e"), version=9, propensity=0.9))
    writer, now = clustered.writer(), time.time()
    writer.write(scored(event("e"), version=9, propensity=0.9))
    writer.flush()
    monkeypatch.setattr(time, "time", lambda: now + days * DAY)
    monkeypatch.setattr(time, "time_ns", lambda: int((now + days * DAY) * 1e9))
    stale = clustered.writer()
    stale.write(scored(event("e"), version=8, propensity=0.1, seen=7))
    stale.write_latest([Propensity("u", TIME, 1, None, "CN", 0.2, 7, 8, "old")])
    stale.flush()
    monkeypatch.undo()
    assert clustered.reader().curve("u") == [point(event("e"), 0.9)]
    assert clustered.reader().latest(["u"]) == [latest(event("e"), 0.9)]


def test_rows_without_a_body_and_bodies_without_a_score_are_skipped(clustered):
    """A curve is none the shorter for them."""
    world = [event(f"e{number}", number) for number in range(9)]
    writer = clustered.writer()
    writer.write(scored(*world[::2]))
    writer.write(scored(world[1], world[3], again=True, version=5))
    lonely = Run(MODELS["seed"], 5).feed([event("e5", 5)]).scored[0]
    lonely.outcomes["body_row"][:] = -1
    nothing = {"outcomes": lonely.outcomes[:0], "propensities": lonely.propensities[:0], "model": lonely.model[:0]}
    writer.write(replace(lonely, **nothing, rivals=np.array([0]), advice=Advice.none(0)))
    writer.flush()
    assert len(ask(clustered, "SELECT event_key FROM propensity_by_user WHERE user_id = 'u'")) == 8
    assert clustered.reader().curve("u") == [point(each) for each in world[::2]]
    assert clustered.reader().curve("u", limit=3) == [point(each) for each in world[4::2]]


def test_no_write_of_before_an_erasure_comes_back(clustered):
    """A stale process's rows, whatever it had seen: what is deleted is so at greater versions."""
    writer = clustered.writer()
    writer.erase([Erasure.of("u", TIME + 10)])
    writer.flush()
    stale = clustered.writer()
    for row in (versioned(event("old", 0), 1), versioned(event("late", 10), 2_000_000)):
        writer.write(row)
        stale.write(row)
    writer.flush()
    stale.flush()
    assert clustered.reader().curve("u") == []
    writer.write(versioned(event("then", 11), 1))
    writer.flush()
    assert [each.event_id for each in clustered.reader().curve("u")] == ["then"]


# Batches


def mixed_rows() -> list:
    """Rows of users with few and with many rows, short and long texts, new ones and ones computed again."""
    rng = np.random.default_rng(4)
    batches = []
    for number in range(30):
        many = [event(f"m{number}-{row}", number * 1_000 + row, user="many") for row in range(200 * (number % 10 == 0))]
        few = [
            event(f"e{number}-{row}", row, user=f"u{rng.integers(0, 300)}", campaign="c" * rng.integers(0, 30))
            for row in range(150)
        ]
        long = [
            event("i" * 1_024, number, user=f"{number}" * 500, campaign="x" * 3_000, state="y" * rng.integers(6_000))
        ]
        few.sort(key=lambda each: each.user_id)
        batches.append(scored(*many, *few, *long, version=np.arange(len(many) + len(few) + 1) + number * 1_000))
    return batches


def credited_rows():
    """Conversions of users with 0 to 200 touches, half of them in a batch of their own."""
    rng, world, late = random.Random(3), [], []
    for user in range(120):
        touches = 200 if user % 40 == 0 else user % 20
        places = range(touches)
        campaigns = [f"campaign {rng.randrange(9) ** 3}" for _ in places]
        world += [event(f"e{place}", place, "IM", f"u{user}", campaign=campaigns[place]) for place in places]
        rng.choice((world, late)).append(event("bought", touches, "CN", f"u{user}", revenue=1.0))
    return Run(MODELS["seed"], 1_000).feed(*chunks(world, range(0, len(world), 300)), late).scored


def test_no_batch_makes_the_server_warn(clustered, cassandra, caplog):
    """Not of its size nor of its partitions, whatever is in it; and they are as large as that allows."""
    caplog.set_level(logging.WARNING, "cassandra")
    sizes = []
    writer = clustered.writer()
    send = writer._packer._send
    writer._packer._send = lambda pieces: (sizes.append(len(pieces)), send(pieces))
    for rows in [*mixed_rows(), *credited_rows()]:
        writer.write(rows)
    for _ in range(3):
        writer.write_latest([Propensity(f"u{n}", TIME, n, None, "CN", 0.2, 7, 8, "m" * 40) for n in range(50)])
    letters = [DeadLetter("events", 0, n * 70, "reason", "detail", b"x" * (n * 37 % 9_000)) for n in range(400)]
    writer.write_dead_letters(letters)
    writer.clear_dead_letters(letters[::2])
    writer.flush()
    keyspace = clustered.address.keyspace  # other tests may make the server warn
    logged = [line for line in cassandra.log.read_text(errors="replace").splitlines() if keyspace in line]
    assert not [line for line in logged if "threshold" in line or "partitions" in line]
    assert not [each for each in caplog.records if "Server warning" in each.getMessage()]
    assert np.mean([size for size in sizes if size > 1]) > 6
    assert clustered.reader().dead_letters(500) == letters[1::2]


def test_a_user_with_very_many_changed_rows_is_written(clustered):
    """A late event changes all that follow: more than one batch of one partition."""
    world = [event(f"e{number}", number, campaign="c" * 100) for number in range(3_000)]
    writer = clustered.writer()
    writer.write(scored(*world, version=np.arange(3_000)))
    writer.flush()
    assert clustered.reader().curve("u", limit=10_000) == [point(each) for each in world]


# Tables


def test_one_makes_the_tables_and_the_others_wait_for_them(cassandra, keyspace):
    address = address_of(cassandra, keyspace)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(CassandraReader, address), pool.submit(CassandraWriter, address, False)]
        time.sleep(0.5)
        assert not any(each.done() for each in waiting)
        with CassandraWriterOf(address) as writer:
            others = [each.result(30) for each in waiting]
            assert others[1].store_id == writer.store_id != ""
    for each in others:
        each.close()


class CassandraWriterOf:
    """A writer for as long as a block lasts."""

    def __init__(self, address: CassandraAddress, **options: object) -> None:
        self._open = lambda: CassandraWriter(address, **options)

    def __enter__(self) -> CassandraWriter:
        self._writer = self._open()
        return self._writer

    def __exit__(self, *_: object) -> None:
        self._writer.close()


@pytest.mark.parametrize("opener", [CassandraReader, lambda address: CassandraWriter(address, first=False)])
def test_tables_that_nobody_makes_are_one_plain_line(cassandra, keyspace, monkeypatch, opener):
    monkeypatch.setattr(tables, "TABLES_PATIENCE", 0.3)
    with pytest.raises(StoreError) as error:
        opener(address_of(cassandra, keyspace))
    line = one_line(error)
    assert line.startswith("ADSTREAMS_CASSANDRA_KEYSPACE: ")
    assert f"no keyspace {keyspace}" in line
    assert "schemas/cassandra.cql" in line


def test_a_second_start_finds_the_same_store_and_a_new_keyspace_is_another(fresh):
    first = fresh.writer().store_id
    assert fresh.writer().store_id == first
    shared = open_session(fresh.address)
    shared.session.execute(f"DROP KEYSPACE {fresh.address.keyspace}")
    shared.close()
    assert fresh.writer().store_id != first


def test_tables_that_a_person_made_from_the_file_are_taken(cassandra, keyspace):
    with cassandra.session() as session:
        session.execute(
            f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        session.set_keyspace(keyspace)
        for statement in tables.split_statements(tables.SCHEMA.read_text()):
            session.execute(statement)
    with CassandraWriterOf(address_of(cassandra, keyspace)) as writer:
        writer.write(scored(event()))
        writer.flush()


def test_tables_of_another_version_are_refused(fresh):
    fresh.writer()
    shared = open_session(fresh.address)
    shared.session.execute(f"UPDATE {fresh.address.keyspace}.store SET version = 99 WHERE name = 'tables'")
    for opener in (fresh.writer, fresh.reader):
        with pytest.raises(StoreError) as error:
            opener()
        assert f"version 99, this program uses {tables.VERSION}" in one_line(error)
    shared.session.execute(f"DROP TABLE {fresh.address.keyspace}.grades", timeout=60)
    with pytest.raises(StoreError) as error:
        fresh.writer()
    assert "of version 99" in one_line(error)
    made = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'grades'"
    assert shared.session.execute(made, (fresh.address.keyspace,)).one() is None, "what is refused is not changed"
    shared.close()


def test_a_keyspace_dropped_or_replaced_while_it_is_written_is_noticed(fresh):
    writer, reader = fresh.writer(), fresh.reader()
    writer.write(scored(event()))
    writer.flush()
    shared = open_session(fresh.address)
    shared.session.execute(f"DROP KEYSPACE {fresh.address.keyspace}", timeout=60)
    with pytest.raises(StoreError) as error:
        reader.curve("u")
    one_line(error)
    other = fresh.writer()
    writer.write(scored(event()))
    with pytest.raises(StoreError) as error:
        writer.flush()
    assert "dropped or replaced" in one_line(error) or "exist" in one_line(error)
    other.write(scored(event()))
    other.flush()
    shared.session.execute(f"DROP KEYSPACE {fresh.address.keyspace}", timeout=60)
    with pytest.raises(StoreError) as error:
        other.flush()
    assert "dropped or replaced" in one_line(error)
    shared.close()


def test_what_cannot_heal_fails_at_once_and_from_then_on(fresh):
    writer = fresh.writer()
    shared = open_session(fresh.address)
    shared.session.execute(f"DROP TABLE {fresh.address.keyspace}.latest_propensity", timeout=60)
    shared.close()
    writer.write(scored(event()))
    began = time.monotonic()
    with pytest.raises(StoreError) as error:
        writer.flush()
    assert time.monotonic() - began < 10
    assert str(fresh.address) in one_line(error)
    for again in (writer.flush, writer.push, lambda: writer.write(scored(event()))):
        with pytest.raises(StoreError):
            again()


# Who may connect


@pytest.mark.parametrize("opener", [CassandraReader, CassandraWriter])
def test_a_host_where_nobody_listens_is_one_plain_line(opener):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(StoreError) as error:
        opener(CassandraAddress(("127.0.0.1",), port))
    assert one_line(error) == (f"ADSTREAMS_CASSANDRA_HOSTS: no Cassandra answers at 127.0.0.1 port {port} within 10 s")


def test_a_host_that_says_nothing_is_one_plain_line(monkeypatch):
    monkeypatch.setattr(session, "PATIENCE", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(StoreError) as error:
            CassandraReader(CassandraAddress(("127.0.0.1",), port))
    assert time.monotonic() - began < 10
    assert f"no Cassandra answers at 127.0.0.1 port {port}" in one_line(error)


def test_a_host_that_does_not_exist_is_one_plain_line():
    with pytest.raises(StoreError) as error:
        CassandraReader(CassandraAddress(("no-such-host.invalid",)))
    assert one_line(error).startswith("ADSTREAMS_CASSANDRA_HOSTS: no address is known for no-such-host.invalid")


def test_an_unknown_data_centre_is_refused_with_those_there_are(cassandra):
    with pytest.raises(StoreError) as error:
        CassandraReader(address_of(cassandra, "k", datacenter="moon"))
    assert one_line(error) == "ADSTREAMS_CASSANDRA_DATACENTER: unknown data centre moon; this cluster has datacenter1"
    with CassandraWriterOf(address_of(cassandra, "adstreams_dc", datacenter="datacenter1")) as writer:
        assert writer.store_id


def test_a_password_is_not_shown():
    assert "secret" not in repr(CassandraAddress(("h",), password="secret"))


def test_writers_and_readers_of_a_process_share_one_session(clustered):
    writer, reader = clustered.writer(), clustered.reader()
    assert writer._shared is reader._shared
    writer.close()
    writer.close()
    assert reader.curve("u") == []


# Reading


def test_a_large_store_is_scanned_in_the_background(fresh, monkeypatch):
    """Questions over all users are answered from the last scan; a user's own curve is as of now."""
    now = 0.0
    monkeypatch.setattr(scans, "SMALL", 3)
    monkeypatch.setattr(scans, "time", SimpleNamespace(monotonic=lambda: now))
    writer, reader = fresh.writer(), fresh.reader()
    writer.write(scored(*[event(user=f"u{number}") for number in range(5)]))
    writer.flush()
    assert reader.summary().users == 5
    writer.write(scored(event(user="new")))
    writer.flush()
    assert reader.summary().users == 5
    assert reader.curve("new") == [point(event(user="new"))]
    now = 1.5
    wait_for(lambda: reader.summary().users == 6)
    assert reader.search("n", 5) == ["new"]
    wait_for(lambda: not reader._users._running)
    writer.erase([Erasure.of("new", TIME)])
    writer.flush()
    now = 10.0
    assert reader.search("n", 5) == [], "a scan that old is not answered with"


def test_an_error_of_a_later_page_is_one_plain_line(clustered, monkeypatch):
    """Also of a user's scores, which are read many users at once."""
    writer, reader = clustered.writer(), clustered.reader()
    writer.write(scored(*[event(f"e{number}", number) for number in range(9)]))
    writer.flush()

    def fails(_):
        raise OperationTimedOut

    monkeypatch.setattr(reader._shared.session, "default_fetch_size", 2)
    assert [len(scores) for scores in reader.scores(["u", "v", "u"])] == [9, 0, 9]
    monkeypatch.setattr(ResultSet, "fetch_next_page", fails)
    with pytest.raises(StoreError) as error:
        list(reader.scores(["u"]))
    assert "no answer in time" in one_line(error)


def test_no_question_makes_the_server_warn(clustered, caplog):
    caplog.set_level(logging.WARNING, "cassandra")
    writer, reader = clustered.writer(), clustered.reader()
    writer.write(scored(*[event(user=f"u{number}") for number in range(50)]))
    writer.write_dead_letters([DeadLetter("events", 0, number, "reason", "d", b"p") for number in range(300)])
    writer.flush()
    assert reader.summary() == Summary(50, TIME, 300)
    assert reader.curve("u1") == [point(event(user="u1"))]
    assert len(reader.latest([f"u{number}" for number in range(50)])) == 50
    assert len(reader.most_likely(9)) == len(reader.most_recent(9)) == len(reader.search("u", 9)) == 9
    assert len(reader.dead_letters(250)) == 250
    assert reader.dead_letter("events", 0, 250)
    assert not [each for each in caplog.records if "Server warning" in each.getMessage()]


def test_ids_that_cassandra_would_refuse_are_of_nobody(clustered):
    reader = clustered.reader()
    assert reader.curve("") == reader.curve("x" * 70_000) == reader.latest(["", "y" * 70_000]) == []


def test_dead_letters_are_spread_over_partitions_and_read_in_order(clustered, monkeypatch):
    """A flood of them makes no partition large."""
    letters = [DeadLetter(source, 0, offset, "reason", "d", b"p") for source in "ab" for offset in range(0, 2_000, 7)]
    writer = clustered.writer()
    writer.write_dead_letters(letters[::-1])
    writer.flush()
    found = clustered.reader()
    for count in (1, 15, 16, 300, 10_000):
        assert found.dead_letters(count) == letters[:count]
    assert found.summary().dead_letters == len(letters)
    assert len(ask(clustered, "SELECT DISTINCT source, partition, block FROM dead_letters")) == 40
    monkeypatch.setattr(reader, "_PAGE", 5)
    assert found.dead_letters(10_000) == letters
