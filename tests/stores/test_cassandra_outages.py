"""Cassandra away, silent or gone: every write is acknowledged in the end, or the end is one plain line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from schemas.errors import StoreError
from stores.cassandra import delivery
from stores.cassandra.address import CassandraAddress
from stores.cassandra.writer import CassandraWriter
from tests.services.cassandra import Cassandra
from tests.stores.conftest import made_tables, one_line
from tests.stores.rows import event, scored


@pytest.fixture(scope="module")
def tables(own_cassandra: Cassandra) -> Iterator[CassandraAddress]:
    """Those of `clustered`, on a server that may be away."""
    with made_tables(own_cassandra) as address:
        yield address


def flushed_within(writer: CassandraWriter, seconds: float) -> threading.Thread:
    """A flush in the background."""
    thread = threading.Thread(target=writer.flush)
    thread.start()
    thread.join(seconds)
    return thread


def test_a_pause_of_the_server_only_takes_time(clustered, own_cassandra):
    """Nothing is told of one that is shorter than two heartbeats."""
    writer = clustered.writer()
    world = [event(f"e{number}", number, user=f"u{number % 50}") for number in range(2_000)]
    own_cassandra.pause()
    writer.write(scored(*sorted(world, key=lambda each: each.user_id)))
    flush = flushed_within(writer, 2.0)
    assert flush.is_alive()
    own_cassandra.resume()
    flush.join(60)
    assert not flush.is_alive()
    assert sum(len(clustered.reader().curve(f"u{number}")) for number in range(50)) == 2_000


def test_a_long_pause_is_told_and_lived_through(clustered, own_cassandra, caplog, monkeypatch):
    """Heartbeats notice it; the writes are sent again when the server answers again."""
    writer = clustered.writer()
    own_cassandra.pause()
    writer.write(scored(*[event(f"e{number}", number) for number in range(100)]))
    flush = flushed_within(writer, 25.0)
    assert flush.is_alive()
    own_cassandra.resume()
    flush.join(60)
    assert not flush.is_alive()
    told = [each.getMessage() for each in caplog.records if each.name == "adstreams"]
    assert len(told) == 2
    assert "a write was not acknowledged (no node can be reached); trying again for 180 s" in told[0]
    assert "acknowledges writes again, after" in told[1]
    assert len(clustered.reader().curve("u")) == 100


def test_a_restart_of_the_server_loses_nothing(clustered, own_cassandra):
    """Writes go on from before it to behind it."""
    writer, stopped = clustered.writer(), threading.Event()

    def restart() -> None:
        own_cassandra.restart()
        stopped.set()

    thread = threading.Thread(target=restart)
    thread.start()
    sent = 0
    while not stopped.is_set() or sent < 1_000:
        writer.write(scored(*[event(f"e{sent + row}", sent + row, user=f"u{row}") for row in range(20)]))
        writer.push()
        sent += 20
        time.sleep(0.02)
    thread.join()
    writer.flush()
    reader = clustered.reader()
    assert sum(len(reader.curve(f"u{row}", limit=10_000)) for row in range(20)) == sent


def test_the_end_of_patience_is_one_plain_line(clustered, own_cassandra):
    writer = clustered.writer(deadline=1.0)
    own_cassandra.kill()
    writer.write(scored(event()))
    began = time.monotonic()
    with pytest.raises(StoreError) as error:
        writer.flush()
    assert 0.9 < time.monotonic() - began < 20
    assert one_line(error) == (f"Cassandra at {clustered.address}: no acknowledgement for 1 s: no node can be reached")
    with pytest.raises(StoreError):
        writer.write(scored(event()))


@pytest.mark.parametrize(("bound", "value", "held"), [("HELD", 8, 8), ("HELD_BYTES", 10_000, 4)])
def test_what_is_held_is_bounded_and_writing_waits(clustered, own_cassandra, monkeypatch, bound, value, held):
    monkeypatch.setattr(delivery, bound, value)
    monkeypatch.setattr(delivery, "IN_FLIGHT", 2)
    writer = clustered.writer()
    world = [event(f"e{number}", number, user=f"u{number:05}") for number in range(1_000)]
    own_cassandra.pause()
    thread = threading.Thread(target=writer.write, args=(scored(*world),))
    thread.start()
    thread.join(1.0)
    assert thread.is_alive()
    assert writer._deliveries._held == held
    own_cassandra.resume()
    thread.join(60)
    writer.flush()
    assert clustered.reader().summary().users == 1_000


def test_a_closed_writer_takes_nothing(clustered):
    writer = clustered.writer()
    writer.close()
    with pytest.raises(StoreError):
        writer.write(scored(event()))
