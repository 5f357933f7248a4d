"""What fills a store, compared with what filled it: topics."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.dead_letters import DeadLetter
from schemas.errors import SettingsError
from settings import Settings, Source
from steps.process.store_provenance import check_provenance, note_provenance, provenance_of
from stores.sqlite.writer import SqliteWriter
from topics.client import Topic

A, B, C = (Topic(name, f"id of {name}", 3) for name in "abc")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SqliteWriter]:
    """A store that holds something."""
    opened = SqliteWriter(tmp_path / "store.db")
    opened.write_dead_letters([DeadLetter("a", 0, 1, "missing", "no user_id", b"{}")])
    opened.flush()
    yield opened
    opened.close()


def start(writer: SqliteWriter, *topics: Topic, state: str | None = None, brokers: str = "here:9092") -> None:
    """What a start compares and notes."""
    settings = Settings(source=Source.KAFKA, kafka_brokers=(brokers,), sqlite_path=Path("store.db"))
    now = provenance_of(settings, [], {topic.name: topic for topic in topics}, state)
    check_provenance(writer, settings, now)
    note_provenance(writer, settings, now)


def test_the_same_topics_are_the_same_history_wherever_the_brokers_are(writer):
    start(writer, A, B)
    start(writer, B, A, brokers="there:9092")
    start(writer, A, B, state="a directory")


def test_another_topic_is_read_beside_them_and_none_of_them_is_left_out(writer):
    start(writer, A, B)
    start(writer, A, B, C)
    with pytest.raises(SettingsError, match=r"ADSTREAMS_KAFKA_TOPICS: store\.db was filled from c"):
        start(writer, A, B)
    start(writer, A, B, C)


def test_a_recreated_topic_is_logged(writer, caplog):
    start(writer, A, B)
    with caplog.at_level(logging.WARNING):
        start(writer, A, Topic("b", "another id", 1))
    assert "topic b was recreated" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        start(writer, A, Topic("b", "another id", 1))
    assert not caplog.text


def test_simulated_events_do_not_come_into_what_topics_filled(writer):
    start(writer, A, B)
    simulated = Settings(sqlite_path=Path("store.db"))
    with pytest.raises(SettingsError) as refusal:
        check_provenance(writer, simulated, provenance_of(simulated, [], {}, None))
    assert "store.db holds events of the topics a, b" in str(refusal.value)
    assert "simulated events (users 7000, seed 7, start 2017-06-15)" in str(refusal.value)


def test_what_cannot_be_read_of_it_is_told(writer):
    writer.note_provenance("[]", None)
    with pytest.raises(SettingsError, match=r"ADSTREAMS_SQLITE_PATH: store\.db: what filled the store cannot be read"):
        start(writer, A)
