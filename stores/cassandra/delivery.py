"""Delivers batches: many at once, each retried until it is acknowledged or its deadline has passed."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from schemas.errors import StoreError
from stores.cassandra.driver_errors import may_heal, reason
from stores.cassandra.protocol import EncodedBatch
from stores.cassandra.session import SharedSession

IN_FLIGHT = 128
"""Batches in flight at once; more do not write more rows a second."""
HELD, HELD_BYTES = 1_024, 64 * 2**20
"""The most batches that wait, are in flight or are retried, and the most bytes of them in memory."""
DEADLINE = 180.0
"""Seconds for which a batch is retried after its first failure."""
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0

_log = logging.getLogger("adstreams")


@dataclass(slots=True, eq=False)
class _Delivery:
    """A batch, when it was sent or first failed, and how often it failed."""

    batch: EncodedBatch
    since: float = 0.0
    failures: int = 0


class Deliveries:
    """Sends batches through a session. Only `send` and `wait` block; the driver's own thread handles responses.

    No batch is ever skipped: after a permanent failure this and every later call raises.

    >>> from stores.cassandra.address import CassandraAddress
    >>> deliveries = Deliveries(SharedSession(CassandraAddress(("db1",)), session=None))
    >>> deliveries.wait()  # nothing was sent
    >>> deliveries.close()
    >>> deliveries.check()
    Traceback (most recent call last):
    schemas.errors.StoreError: Cassandra at db1 port 9042: closed
    """

    def __init__(self, shared: SharedSession, deadline: float = DEADLINE) -> None:
        self._session, self._address, self._deadline = shared.session, shared.address, deadline
        self._changed = threading.Condition()
        self._waiting: deque[_Delivery] = deque()
        self._flying: set[_Delivery] = set()
        self._held, self._held_bytes = 0, 0
        self._starting = False
        self._failure: StoreError | None = None
        self._failing, self._troubled_since = 0, 0.0

    def send(self, batch: EncodedBatch) -> None:
        """Take a batch; blocks while the most batches are held.

        Raises:
            StoreError: a batch cannot be written.
        """
        with self._changed:
            self._await(lambda: self._held < HELD and self._held_bytes < HELD_BYTES)
            self._held += 1
            self._held_bytes += batch.size
            self._waiting.append(_Delivery(batch))
        self._start()

    def wait(self) -> None:
        """Return once every batch is acknowledged.

        Raises:
            StoreError: a batch cannot be written.
        """
        with self._changed:
            self._await(lambda: not self._held)

    def check(self) -> None:
        """Raise `StoreError` if a batch cannot be written."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop sending and retrying."""
        with self._changed:
            self._failure = self._failure or StoreError(f"Cassandra at {self._address}: closed")
            self._waiting.clear()
            self._changed.notify_all()

    def _await(self, done: Callable[[], bool]) -> None:
        while True:
            self.check()
            if done():
                return
            if not self._changed.wait(1.0) and self._flying:
                self._look_for_silence()

    def _look_for_silence(self) -> None:
        """Give up on a request without any response, not even an error; heartbeats detect a node that hangs."""
        oldest = min(delivery.since for delivery in self._flying)
        if time.monotonic() - oldest > self._deadline + _LONGEST_DELAY:
            self._give_up("no answer")

    def _start(self) -> None:
        """Send waiting batches up to the limit; one thread at a time does."""
        with self._changed:
            if self._starting:
                return
            self._starting = True
        while True:
            with self._changed:
                if self._failure is not None or not self._waiting or len(self._flying) >= IN_FLIGHT:
                    self._starting = False
                    return
                delivery = self._waiting.popleft()
                self._flying.add(delivery)
                delivery.since = delivery.since if delivery.failures else time.monotonic()
            try:
                future = self._session.execute_async(delivery.batch, timeout=None)
            except Exception as error:  # of any kind: the sending thread must survive
                self._failed(error, delivery)
            else:
                future.add_callbacks(
                    self._acknowledged, self._failed, callback_args=(delivery,), errback_args=(delivery,)
                )

    def _acknowledged(self, _: Any, delivery: _Delivery) -> None:
        with self._changed:
            self._flying.discard(delivery)
            self._held -= 1
            self._held_bytes -= delivery.batch.size
            if delivery.failures:
                self._failing -= 1
                if not self._failing:
                    took = time.monotonic() - self._troubled_since
                    _log.warning("Cassandra at %s: acknowledges writes again, after %.0f s", self._address, took)
            self._changed.notify_all()
        self._start()

    def _failed(self, error: BaseException, delivery: _Delivery) -> None:
        now = time.monotonic()
        with self._changed:
            self._flying.discard(delivery)
            if not may_heal(error):
                self._give_up(reason(error))
                return
            if not delivery.failures:
                delivery.since = now
                self._failing += 1
                if self._failing == 1:
                    self._troubled_since = now
                    _log.warning(
                        "Cassandra at %s: a write was not acknowledged (%s); trying again for %.0f s",
                        self._address, reason(error), self._deadline,
                    )  # fmt: skip
            delivery.failures += 1
            left = delivery.since + self._deadline - now
            if left <= 0:
                self._give_up(f"no acknowledgement for {self._deadline:.0f} s: {reason(error)}")
                return
        delay = min(_FIRST_DELAY * 2 ** min(delivery.failures - 1, 10), _LONGEST_DELAY) * random.uniform(0.5, 1.0)
        timer = self._session.cluster.connection_class.create_timer
        timer(min(delay, left), partial(self._again, delivery))
        self._start()

    def _again(self, delivery: _Delivery) -> None:
        with self._changed:
            self._waiting.appendleft(delivery)
        self._start()

    def _give_up(self, why: str) -> None:
        """Fail for good; called with the lock held."""
        self._failure = self._failure or StoreError(f"Cassandra at {self._address}: {why}")
        self._waiting.clear()
        self._changed.notify_all()
