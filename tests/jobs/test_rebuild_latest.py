"""`python -m jobs rebuild-latest`: the propensity topic holds all that the table of the latest propensities does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.rebuild_latest import _check_filling
from model.actions.catalogue import Actions
from model.scoring.propensity import Model
from schemas.avro.codec import load_schema
from schemas.avro.propensity_codec import PropensityCodec
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.errors import JobError
from schemas.event_types import TYPES
from schemas.events import Event
from schemas.scored import Propensity
from stores.cassandra.address import CassandraAddress
from stores.cassandra.writer import CassandraWriter
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import ROOT, query
from tests.jobs.running import complaint, jobs
from tests.model.driving import HOUR, TIME, Run, chunks
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka as Server
from tests.services.registry import Registry as RegistryServer
from topics.client import Kafka
from topics.publisher import Publisher
from topics.registry import Registry

MODEL = Model.from_json((ROOT / "model" / "decay.json").read_bytes())
SHOW = {"name": "show", "type": "IM", "cost": 0.01, "cap": 1}
ACTIONS = Actions.model_validate({"value": 30.0, "actions": [SHOW]})


@pytest.fixture
def topic(kafka: Server, topic_prefix: str) -> str:
    """A compacted topic."""
    Kafka([kafka.brokers]).make(f"{topic_prefix}propensity", 3, compacted=True)
    return f"{topic_prefix}propensity"


def late_events() -> list[Event]:
    """Events of some users, a third of them late."""
    draw = random.Random(5)
    events = [
        Event(f"e{number}", f"user {number % 40}", TIME + number * HOUR // 7, draw.choice(TYPES))
        for number in range(1_500)
    ]
    return sorted(events, key=lambda each: each.timestamp + (draw.random() < 0.3) * draw.random() * 40 * HOUR)


def pieces(packed: tuple[bytes, NDArray[np.int64]]) -> list[bytes]:
    data, bounds = packed
    return [data[start:stop] for start, stop in pairwise(bounds.tolist())]


def publish(kafka: Server, topic: str, run: Run, codec: PropensityCodec) -> None:
    publisher = Publisher(Kafka([kafka.brokers]), topic)
    for rows in run.scored:
        publisher.send(pieces(codec.keys(rows)), pieces(codec.encode(rows)))
    publisher.flush()


def write(path: Path, run: Run) -> None:
    writer = SqliteWriter(path)
    for rows in run.scored:
        writer.write(rows)
    writer.flush()
    writer.close()


def latest(path: Path) -> Sequence[tuple[Any, ...]]:
    return query(path, "SELECT * FROM latest_propensity ORDER BY user_id")


@pytest.mark.parametrize("with_registry", [False, True])
def test_the_table_is_that_of_the_flow(
    with_registry: bool, request: pytest.FixtureRequest, kafka: Server, topic: str, tmp_path: Path
) -> None:
    """Whole tables are equal; doing it again, or over a table that is there, changes nothing."""
    run = Run(MODEL, 1_000, actions=ACTIONS).feed(*chunks(late_events(), range(0, 1_500, 90)))
    settings: dict[str, object] = {"kafka_brokers": kafka.brokers, "kafka_propensity_topic": topic}
    if with_registry:
        server = request.getfixturevalue("registry")
        assert isinstance(server, RegistryServer)
        settings["schema_registry_url"] = server.url
        with Registry(server.url) as client:
            codec = PropensityCodec(client.register(f"{topic}-value", load_schema("propensity")))
    else:
        codec = PropensityCodec()
    publish(kafka, topic, run, codec)
    write(tmp_path / "flow.db", run)
    assert {row[0] for row in query(tmp_path / "flow.db", "SELECT best_action FROM latest_propensity")} == {
        None,
        "show",
    }
    for _ in range(2):
        rebuilt = jobs("rebuild-latest", **settings, sqlite_path=tmp_path / "rebuilt.db")
        assert rebuilt.returncode == 0, rebuilt.stderr
        sent = sum(map(len, run.scored))
        assert rebuilt.stdout == f"40 users from {sent:,} messages of the topic {topic}\n"
        assert latest(tmp_path / "rebuilt.db") == latest(tmp_path / "flow.db")
    assert jobs("rebuild-latest", **settings, sqlite_path=tmp_path / "flow.db").returncode == 0
    assert latest(tmp_path / "rebuilt.db") == latest(tmp_path / "flow.db")


def test_in_cassandra_too(kafka: Server, topic: str, cassandra: Cassandra, keyspace: str) -> None:
    """Into a keyspace that is not there yet; beside a flow's rows it changes none."""
    run, codec = Run(MODEL, 1_000, actions=ACTIONS), PropensityCodec()
    run.feed(*chunks(late_events(), range(0, 1_500, 300)))
    publish(kafka, topic, run, codec)
    settings: dict[str, object] = {
        "kafka_brokers": kafka.brokers, "kafka_propensity_topic": topic, "store": "cassandra",
        "cassandra_hosts": cassandra.host, "cassandra_port": cassandra.port,
    }  # fmt: skip
    tables = []
    with cassandra.session() as session:
        try:
            for name in (keyspace, f"{keyspace}_flow"):
                if name != keyspace:
                    writer = CassandraWriter(CassandraAddress((cassandra.host,), cassandra.port, name))
                    for rows in run.scored:
                        writer.write(rows)
                    writer.flush()
                    writer.close()
                    tables.append(sorted(session.execute(f"SELECT * FROM {name}.latest_propensity")))
                done = jobs("rebuild-latest", **settings, cassandra_keyspace=name)
                assert (done.returncode, done.stdout[:9]) == (0, "40 users "), done.stderr
                tables.append(sorted(session.execute(f"SELECT * FROM {name}.latest_propensity")))
        finally:
            session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}_flow")
    assert len(tables[0]) == 40
    assert tables[0] == tables[1] == tables[2]


def test_a_deleted_user_has_no_row(kafka: Server, topic: str, tmp_path: Path) -> None:
    """And a message that holds no propensity stops nothing, but is told."""
    publisher, codec = Publisher(Kafka([kafka.brokers]), topic), PropensityCodec()
    row = Propensity("a", TIME, 1, "e", "IM", 0.5, 2, 20, "m")
    row = replace(row, best_action="show", gain=0.25, net=-1.5, hold_out=True)
    older = Propensity("a", TIME - 1, 2, None, "CL", 0.25, 1, 10, "m")
    for message in (row, older):
        publisher.send_one(b"a", codec.encode_one(message))
    publisher.send_one(b"b", None)
    publisher.flush()
    settings = {"kafka_brokers": kafka.brokers, "kafka_propensity_topic": topic, "sqlite_path": tmp_path / "store.db"}
    done = jobs("rebuild-latest", **settings)
    assert (done.returncode, done.stdout) == (0, f"1 users from 3 messages of the topic {topic}\n")
    assert latest(tmp_path / "store.db") == [("a", TIME, 1, "IM", 0.5, 2, 20, "m", "show", 0.25, -1.5, 1)]
    publisher.send_one(b"c", b"{}")
    publisher.flush()
    done = jobs("rebuild-latest", **settings)
    assert done.returncode == 2
    assert f"topic {topic}: 1 messages hold no propensity: unframed" in done.stderr


def test_what_is_missing_is_told_in_one_line(
    kafka: Server, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no store is made."""
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(tmp_path / "store.db"))
    assert "ADSTREAMS_KAFKA_BROKERS" in complaint("rebuild-latest")
    monkeypatch.setenv("ADSTREAMS_KAFKA_BROKERS", kafka.brokers)
    monkeypatch.setenv("ADSTREAMS_KAFKA_PROPENSITY_TOPIC", f"{topic_prefix}none")
    assert f"topic {topic_prefix}none: there is no such topic" in complaint("rebuild-latest")
    assert not list(tmp_path.iterdir())


def test_an_erased_user_does_not_come_back(kafka: Server, topic: str, tmp_path: Path) -> None:
    """Neither with rows from before the tombstone, nor with what a stale process sent after it; a later event does."""
    publisher, codec = Publisher(Kafka([kafka.brokers]), topic), PropensityCodec()

    def row(user: str, time: int) -> bytes:
        return codec.encode_one(Propensity(user, TIME + time, 1, "e", "IM", 0.5, 1, (TIME + time) * 1000 + 1, "m"))

    for user, time in (
        ("gone", 0),
        ("gone", None),
        ("stale", 0),
        ("stale", None),
        ("stale", 0),
        ("back", 0),
        ("back", 9),
    ):
        publisher.send_one(user.encode(), None if time is None else row(user, time))
    publisher.flush()
    store = tmp_path / "store.db"
    writer = SqliteWriter(store)
    writer.erase([Erasure.of(user, TIME + 5) for user in ("gone", "stale", "back")])
    writer.flush()
    writer.close()
    run = jobs("rebuild-latest", kafka_brokers=kafka.brokers, kafka_propensity_topic=topic, sqlite_path=store)
    assert (run.returncode, run.stderr) == (0, "")
    assert query(store, "SELECT user_id, event_time FROM latest_propensity") == [("back", TIME + 9)]


def test_what_filled_a_store_and_cannot_be_read_is_told_in_a_line(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "store.db")
    writer.write_dead_letters([DeadLetter("log.csv", 0, 1, "missing", "", b"")])
    writer.flush()
    writer.note_provenance("[]", None)
    with pytest.raises(JobError, match=r"^what filled the store cannot be read$"):
        _check_filling(writer)
    writer.close()
