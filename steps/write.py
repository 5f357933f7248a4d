"""Scored rows and dead letters -> the store, durable before the epoch that brought them is committed.

The writers are `stateful_batch` steps keyed by bucket, as the sequences are, so that a row crosses no process on its
way. Bytewax commits an epoch only after every `snapshot()` of it, and theirs return once all is durable.
(A `DynamicSink` does not hold the commit back: rows could be lost.) Together with versioned upserts, a replay
after a crash leaves the same rows.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from bytewax.operators import StatefulBatchLogic

from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.errors import StoreError
from schemas.flow_status import FlowStatus
from schemas.grades import Grade
from schemas.scored import ScoredRows
from schemas.stored_models import StoredModel
from steps.process.ending import fail
from stores.base import Writer


class SharedWriter:
    """One store writer for all buckets of a process, opened when the first of them needs it."""

    def __init__(self, open_writer: Callable[[], Writer]) -> None:
        self._open = open_writer
        self._writer: Writer | None = None
        self._lock = threading.Lock()
        self._due = 0.0
        self._unpushed, self._unflushed = False, False
        self.flushed_at: int | None = None
        """When all was last durable at the end of an epoch, by the clock in ms since 1970."""

    def write(self, rows: list[ScoredRows], letters: list[DeadLetter]) -> None:
        """Hand over rows and dead letters; they are pushed within the writer's interval while more keep coming."""
        with self._lock, plainly():
            writer = self._opened()
            self._unpushed = self._unflushed = True
            for batch in rows:
                if batch.forgotten:
                    writer.erase(batch.forgotten)
                writer.write(batch)
            if letters:
                writer.write_dead_letters(letters)
            if time.monotonic() >= self._due:
                self._push(writer)

    def _opened(self) -> Writer:
        if self._writer is None:
            self._writer = self._open()
            atexit.register(self._writer.close)
            self._due = time.monotonic() + self._writer.push_interval
        return self._writer

    def clear(self, letters: list[DeadLetter]) -> None:
        """Delete dead letters, and return once they are gone."""
        with self._lock, plainly():
            if letters:
                writer = self._opened()
                writer.clear_dead_letters(letters)
                writer.flush()

    def erasures(self) -> list[Erasure]:
        """The erasures of the store, as of now.

        Raises:
            StoreError: it cannot be read.
        """
        return self._at_once().erasures()

    def models(self) -> list[StoredModel]:
        """The models of the store, as of now.

        Raises:
            StoreError: it cannot be read.
        """
        return self._at_once().models()

    def grades(self) -> list[Grade]:
        """The grades of the store, as of now.

        Raises:
            StoreError: it cannot be read.
        """
        return self._at_once().grades()

    def note_status(self, status: FlowStatus) -> None:
        """Note in the store how this process is.

        Raises:
            StoreError: it cannot be.
        """
        self._at_once().note_status(status)

    def add_model(self, model: StoredModel) -> None:
        """Note a model in the store.

        Raises:
            StoreError: it cannot be.
        """
        self._at_once().add_model(model)

    def remove_model(self, model: StoredModel) -> None:
        """Take a model out of the store.

        Raises:
            StoreError: it cannot be.
        """
        self._at_once().remove_model(model)

    def _at_once(self) -> Writer:
        """The writer, for what any thread may do with it."""
        with self._lock:
            return self._opened()

    def push(self) -> None:
        """Begin to write what was handed over, so that readers see it soon."""
        with self._lock, plainly():
            if self._unpushed and self._writer is not None:
                self._push(self._writer)

    def _push(self, writer: Writer) -> None:
        began = time.monotonic()
        writer.push()
        ended = time.monotonic()
        # A store that takes long is given more at a time.
        self._due, self._unpushed = ended + max(writer.push_interval, ended - began), False

    def flush(self) -> None:
        """Return once all that was handed over is durable."""
        with self._lock, plainly():
            if self._unflushed and self._writer is not None:
                self._writer.flush()
                self._due = time.monotonic() + self._writer.push_interval
                self._unpushed = self._unflushed = False
            self.flushed_at = time.time_ns() // 1_000_000

    def push_at(self) -> datetime | None:
        """When to push what no later batch has taken along; None where nothing is held."""
        if not self._unpushed or self._writer is None:
            return None
        return datetime.now(UTC) + timedelta(seconds=self._writer.push_interval)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """End the run with a store's error: a replay writes what this run could not."""
    try:
        yield
    except StoreError as error:
        fail(error)


class Output(Protocol):
    """Something outside that all keys of a process write to."""

    def push(self) -> None:
        """Begin to write what was handed over, so that readers see it soon."""

    def flush(self) -> None:
        """Return once all that was handed over is durable."""

    def push_at(self) -> datetime | None:
        """When to push what no later batch has taken along; None where nothing is held."""


class WriteLogic(StatefulBatchLogic[Any, Any, None]):
    """Hands what comes under one key to an output; nothing of it is state."""

    def __init__(self, output: Output, take: Callable[[list[Any]], None]) -> None:
        self._output, self._take = output, take

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        """Hand the values over."""
        self._take(values)
        return [], StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        """Push what was held back when no more came."""
        self._output.push()
        return [], StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        """Write what is left."""
        self._output.flush()
        return [], StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        """When to push what is held back."""
        return self._output.push_at()

    def snapshot(self) -> None:
        """The end of an epoch: the first key to come here writes for all keys of the process."""
        self._output.flush()


def row_writer(writer: SharedWriter) -> Callable[[None], WriteLogic]:
    """The builder of the step that writes scored rows."""
    return lambda _: WriteLogic(writer, lambda rows: writer.write(rows, []))


def letter_writer(writer: SharedWriter) -> Callable[[None], WriteLogic]:
    """The builder of the step that writes dead letters."""
    return lambda _: WriteLogic(writer, lambda letters: writer.write([], letters))
