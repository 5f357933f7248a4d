"""Follows the tables of the store that change what a flow does while it runs: erasures, models and grades."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta

from bytewax.inputs import DynamicSource, StatelessSourcePartition

from schemas.erasures import Erasure
from schemas.errors import StoreError
from steps.forgetting import Erasures
from steps.known_models import KnownModels
from steps.process import ending
from steps.process.heartbeat import Heartbeat
from steps.write import SharedWriter

INTERVAL = 2.0
"""Seconds between two looks at the tables."""
PAUSE = timedelta(milliseconds=50)
"""Between two checks for a request to end."""


class TableFollower(DynamicSource[tuple[str, list[Erasure]]]):
    """Reads the tables every `INTERVAL` in each process, and sends new erasures to all buckets from the first worker.

    Models and grades need no stream: a process scores by those that it knows (`KnownModels`). Each look also reports
    that the process runs.

    Args:
        writer: reads the tables, and writes the report.
        erasures: what the process knows of erasures.
        models: what the process knows of models and grades.
        heartbeat: the report.
    """

    def __init__(self, writer: SharedWriter, erasures: Erasures, models: KnownModels, heartbeat: Heartbeat) -> None:
        self._writer, self._erasures, self._models, self._heartbeat = writer, erasures, models, heartbeat

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Following:
        """The follower of one worker."""
        return _Following(self, sends=worker_index == 0)

    def read_erasures(self) -> list[Erasure]:
        """All erasures of the store, which this process knows from now on.

        Raises:
            StoreError: the store cannot be read.
        """
        found = self._writer.erasures()
        self._erasures.learn(found)
        return found

    def read_models(self) -> None:
        """Score by the store's models and heed its grades from now on, and report that this process runs.

        Raises:
            StoreError: the store cannot be read or written.
        """
        self._models.follow(self._writer)
        self._heartbeat.beat(self._writer.note_status, self._writer.flushed_at)

    def by_bucket(self, erasures: list[Erasure]) -> list[tuple[str, list[Erasure]]]:
        """Erasures keyed by the buckets of their users."""
        keyed = defaultdict[str, list[Erasure]](list)
        for each in erasures:
            keyed[str(self._erasures.bucket(each))].append(each)
        return list(keyed.items())


class _Following(StatelessSourcePartition[tuple[str, list[Erasure]]]):
    def __init__(self, follower: TableFollower, sends: bool) -> None:
        self._follower, self._sends = follower, sends
        self._sent, self._new = dict[int, int](), deque[Erasure]()
        self._awake: datetime | None = None
        threading.Thread(target=self._follow, name="table follower", daemon=True).start()

    def _follow(self) -> None:
        """Look again and again, in a thread: a store that answers slowly holds nothing up."""
        pause = threading.Event()
        while not ending.is_near():
            began = time.monotonic()
            with contextlib.suppress(StoreError):  # the writer reports what is wrong with the store
                self._take(self._follower.read_erasures())
                self._follower.read_models()
            pause.wait(max(INTERVAL, 10 * (time.monotonic() - began)))

    def _take(self, found: list[Erasure]) -> None:
        """Queue the erasures that are new or later than before."""
        if self._sends:
            new = [each for each in found if each.until > self._sent.get(each.user_hash, -1)]
            self._sent |= {each.user_hash: each.until for each in new}
            self._new.extend(new)

    def next_batch(self) -> list[tuple[str, list[Erasure]]]:
        if ending.is_near():
            raise StopIteration
        self._awake = datetime.now(UTC) + PAUSE
        return self._follower.by_bucket([self._new.popleft() for _ in range(len(self._new))])

    def next_awake(self) -> datetime | None:
        return self._awake
