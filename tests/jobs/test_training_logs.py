"""The log behind a model: the same from a file or from topics, whatever order and repeats its events come in."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from jobs.training.logs import Log, log_of, read_log
from model.features.count import Count
from schemas.avro.codec import codec
from schemas.logs.log_writer import LogWriter
from tests.jobs.running import complaint, jobs
from tests.model.driving import DAY, HOUR, TIME, batch_of, event
from tests.services.kafka import Kafka as Server
from topics.client import Kafka


def distinct(log: Log) -> set[tuple[int, ...]]:
    """The distinct events of a log: user, time, type, key."""
    replay = log.replay
    columns = replay.hashes[replay.users], replay.timestamps, replay.types, replay.keys
    return set(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "avro"])
def test_files_of_all_kinds_give_one_log(tmp_path: Path, kind: str) -> None:
    logs = []
    for name in ("log.parquet", f"log.{kind}"):
        jobs("simulate", "--to", tmp_path / name, "--users", 200, "--events", 5_000)
        logs.append(read_log(str(tmp_path / name)))
    assert distinct(logs[0]) == distinct(logs[1])
    assert len(distinct(logs[0])) == 5_000
    assert logs[0].segment_names == logs[1].segment_names == ("Middle Aged", "Older", "Younger")
    assert (logs[0].segments == logs[1].segments).all()


def test_topics_give_the_log_of_the_file(
    tmp_path: Path, kafka: Server, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With repeats, late events and broken messages, but for a user who asked to be erased and an event to come."""
    topics = f"{topic_prefix}events,{topic_prefix}conversions"
    common = ("--users", 200, "--events", 5_000)
    jobs("simulate", "--to", tmp_path / "log.parquet", *common)
    run = jobs(
        "simulate", "--brokers", kafka.brokers, "--topics", topics, *common, "--rate", 0, "--repeats", 0.2,
        "--late", 0.2, "--broken", 0.05,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    producer = Kafka([kafka.brokers]).producer({})
    producer.produce(f"{topic_prefix}events", key=b"user-0000007", value=None)
    future = replace(event("future", user="user-0000001"), timestamp=round(time.time() * 1_000) + 2 * HOUR)
    producer.produce(f"{topic_prefix}events", value=codec().encode_one(future))
    producer.flush()
    monkeypatch.setenv("ADSTREAMS_KAFKA_BROKERS", kafka.brokers)
    log, gone = read_log(f"kafka:{topics}"), xxh3_64_intdigest(b"user-0000007")
    expected = distinct(read_log(str(tmp_path / "log.parquet")))
    assert {each[0] for each in expected} >= {gone}
    assert distinct(log) == {each for each in expected if each[0] != gone}
    assert log.rejected > 100


def test_topics_without_brokers_are_told(tmp_path: Path) -> None:
    line = complaint("train", "kafka:events", "--to", tmp_path / "model.json")
    assert line == "ad-streams: ADSTREAMS_KAFKA_BROKERS: needed for Kafka's topics"


@pytest.mark.parametrize("topics", ["", ",", "events,"])
def test_topics_without_a_name_are_told(topics: str, tmp_path: Path) -> None:
    line = complaint("train", f"kafka:{topics}", "--to", tmp_path / "model.json")
    assert "empty topic name" in line


def test_conversions_closer_than_a_minute_are_one_order() -> None:
    """Each a minute or more after the one before is another; another user's are others."""
    seconds = [0, 30, 80, 139, 199, 300]
    world = [event(f"{n}", second * 1_000, "CN") for n, second in enumerate(seconds)]
    log = log_of(iter([batch_of([*world, event("x", 31_000, "CN", user="v"), event("y", HOUR, "IM")])]), "log")
    times, users = log.replay.timestamps[log.orders] - TIME, log.replay.users[log.orders]
    assert [times[users == user].tolist() for user in (0, 1)] == [[0, 199_000, 300_000], [31_000]]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_users_segment_is_the_first_that_is_known(size: int) -> None:
    """Whatever batches the events come in."""
    world = [
        event("a", 0, segment="NA", user="u"),
        event("b", DAY, segment="Older", user="u"),
        event("c", 2 * DAY, segment="Younger", user="u"),
        event("d", 0, segment="NA", user="v"),
        event("e", 0, segment="NO", user="w"),
    ]
    log = log_of((batch_of(world[at : at + size]) for at in range(0, len(world), size)), "log")
    assert [log.segment_names[each] for each in log.segments] == ["Older", "NA", "NO"]
    assert log.counts == "5 events, 0 orders, 3 users"
    assert np.diff(log.replay.bounds).tolist() == [3, 1, 1]


def test_as_many_events_of_a_user_count_as_in_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many as the setting says: what was before them has no part in the features of training."""
    world = [event(f"{n}", n * HOUR, "IM" if n < 6 else "CL") for n in range(10)]
    with LogWriter(tmp_path / "log.parquet") as writer:
        writer.write(batch_of(world))
    monkeypatch.setenv("ADSTREAMS_SEQUENCE_LENGTH", "5")
    log = read_log(str(tmp_path / "log.parquet"))
    shown = Count(aggregation="count", weight=0.0, type="IM", look_back=timedelta(days=30))
    found = np.expm1(log.features([shown], log.replay.right_after(np.arange(len(log.replay.users)))))
    assert found[:, 0].round(9).tolist() == [1, 2, 3, 4, 5, 5, 4, 3, 2, 1]
    assert (log.most, not log.set_apart.any()) == (0, True)  # so long sequences set nobody apart, as in the stream
    monkeypatch.setenv("ADSTREAMS_MAX_DAILY_EVENTS", "4")
    assert read_log(str(tmp_path / "log.parquet")).set_apart.all()
