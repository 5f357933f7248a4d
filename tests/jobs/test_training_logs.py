"""The log behind a model: the same from a file or from topics, whatever order and repeats its events come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from jobs.training.logs import Log, log_of, read_log
from tests.jobs.running import complaint, jobs
from tests.model.driving import DAY, HOUR, batch_of, event
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
    """With repeats, late events and broken messages; a user who asked to be erased is left out."""
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


def test_conversions_closer_than_a_minute_are_one_order() -> None:
    """Each a minute or more after the one before is another; another user's are others."""
    seconds = [0, 30, 80, 139, 199, 300]
    world = [event(f"{n}", second * 1_000, "CN") for n, second in enumerate(seconds)]
    log = log_of(iter([batch_of([*world, event("x", 31_000, "CN", user="v"), event("y", HOUR, "IM")])]), "log")
    times = log.order_times - log.order_times[0]
    assert [times[log.order_users == user].tolist() for user in (0, 1)] == [[0, 199_000, 300_000], [31_000]]


def test_a_users_segment_is_the_first_that_is_known() -> None:
    world = [
        event("a", 0, segment="NA", user="u"),
        event("b", DAY, segment="Older", user="u"),
        event("c", 2 * DAY, segment="Younger", user="u"),
        event("d", 0, segment="NA", user="v"),
    ]
    log = log_of(iter([batch_of([each]) for each in world]), "log")
    assert [log.segment_names[each] for each in log.segments] == ["Older", "NA"]
    assert log.counts == "4 events, 0 orders, 2 users"
    assert np.diff(log.replay.bounds).tolist() == [3, 1]
