"""Where dead letters are kept: in a compacted topic and the store's table beside it, or in the table alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Protocol

from jobs.clusters import cluster_of
from jobs.problems import require_store
from schemas.dead_letters import DeadLetter
from schemas.errors import JobError
from settings import Settings, Source
from stores.base import Reader, Writer
from stores.store_registry import reader_of, writer_of
from topics.client import Kafka
from topics.letter_topic import Rejection, letter_key, read_dead_letters
from topics.publisher import Publisher

ALL = 2**31 - 1
"""As many letters as a store can be asked for."""


class Keeper(Protocol):
    """A place where dead letters are kept."""

    def letters(self) -> list[Rejection]:
        """All letters, in the order of where they came from."""

    def letter(self, source: str, partition: int, offset: int) -> Rejection | None:
        """The letter of one place, None where there is none."""

    def clear(self, letters: Sequence[DeadLetter]) -> None:
        """Let letters go; those that are gone already are no problem."""


class TableKeeper:
    """The store's table, which does not say when a letter was rejected."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open_reader, self._open_writer = reader_of(settings), writer_of(settings)

    def letters(self) -> list[Rejection]:
        """All letters of the table."""
        with self.reading() as reader:
            return [Rejection(letter, None) for letter in reader.dead_letters(ALL)]

    def letter(self, source: str, partition: int, offset: int) -> Rejection | None:
        """The letter of one place."""
        with self.reading() as reader:
            found = reader.dead_letter(source, partition, offset)
            return None if found is None else Rejection(found, None)

    def clear(self, letters: Sequence[DeadLetter]) -> None:
        """Delete letters, and return when they are gone."""
        with self.writing() as writer:
            writer.clear_dead_letters(letters)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """The store, to be read.

        Raises:
            JobError: there is none.
        """
        require_store(self._settings)
        with closing(self._open_reader()) as reader:
            yield reader

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """The store, to be written; all is durable behind it."""
        with closing(self._open_writer()) as writer:
            yield writer
            writer.flush()


class TopicKeeper:
    """The topic; the flow writes each letter to the store's table too, and it is cleared there with it."""

    def __init__(self, kafka: Kafka, topic: str, table: TableKeeper) -> None:
        self._kafka, self._topic, self._table = kafka, topic, table

    def letters(self) -> list[Rejection]:
        """All letters of the topic."""
        return read_dead_letters(self._kafka, self._topic)

    def letter(self, source: str, partition: int, offset: int) -> Rejection | None:
        """The letter of one place."""
        return next((each for each in self.letters() if each.letter.place == (source, partition, offset)), None)

    def clear(self, letters: Sequence[DeadLetter]) -> None:
        """Delete letters, from the topic last: what is still there is cleared again after a crash."""
        self._table.clear(letters)
        publisher = Publisher(self._kafka, self._topic)
        for letter in letters:
            publisher.send_one(letter_key(letter), None)
        publisher.flush()


def keeper_of(settings: Settings) -> Keeper:
    """Where the dataflow of these settings keeps its dead letters.

    Raises:
        SettingsError: the settings name no brokers.
    """
    table = TableKeeper(settings)
    if settings.source is not Source.KAFKA:
        return table
    return TopicKeeper(cluster_of(settings), settings.kafka_dead_letter_topic, table)


def parse_place(text: str) -> tuple[str, int, int]:
    """The source, partition and offset of a place.

    Raises:
        JobError: it is none.

    >>> parse_place("logs/may.csv/0/17")
    ('logs/may.csv', 0, 17)
    """
    source, *numbers = text.rsplit("/", 2)
    if source and len(numbers) == 2 and all(each.isdecimal() and len(each) < 20 for each in numbers):
        partition, offset = map(int, numbers)
        if partition < 2**31 and offset < 2**63:
            return source, partition, offset
    raise JobError(f"{text}: not the place of a dead letter, which is SOURCE/PARTITION/OFFSET")


def place_of(letter: DeadLetter) -> str:
    """A letter's place, as a person gives it.

    >>> place_of(DeadLetter("events", 3, 17, "unframed", "", b""))
    'events/3/17'
    """
    return f"{letter.source}/{letter.partition}/{letter.offset}"
