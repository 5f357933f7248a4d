"""Reading the store without making anybody's event loop wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from schemas.errors import AdStreamsError
from stores.base import Reader

Answer = TypeVar("Answer")

AT_ONCE = 4
"""Questions that are answered at once."""
WAITING = 64
"""Questions that wait for their turn; more are refused."""


class BusyError(AdStreamsError):
    """So many questions wait already that another one is not taken."""


class _Asked:
    """A question, and how many wait for its answer."""

    def __init__(self, question: Callable[[Reader], Any], key: Hashable) -> None:
        self.question, self.key = question, key
        self.answer: Future[Any] = Future()
        self.waiters = 0

    def is_abandoned(self) -> bool:
        return self.waiters == 0


class Desk:
    """Answers questions to a store, a few at once and each through a connection that no other one uses meanwhile.

    Of equal questions one is asked. A question that nobody waits for any more is given up.

    Args:
        open_reader: opens the store; asked again when reading fails.
    """

    def __init__(self, open_reader: Callable[[], Reader]) -> None:
        self._open = open_reader
        self._lock = threading.Lock()
        self._idle: list[Reader] = []
        self._asked: dict[Hashable, _Asked] = {}
        self._under_way = 0
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="desk")
        self._urgent = ThreadPoolExecutor(1, thread_name_prefix="desk-urgent")

    @property
    def under_way(self) -> int:
        """Questions that are being answered, or wait for that, beside urgent ones."""
        with self._lock:
            return self._under_way

    async def ask(
        self, question: Callable[[Reader], Answer], key: Hashable | None = None, urgent: bool = False
    ) -> Answer:
        """What `question` returns for the store; if it raises, so does this, and the store is opened anew.

        Questions with the same `key` have the same answer. An `urgent` one, which must take little time, waits for
        other urgent ones alone.

        Raises:
            BusyError: too many wait.
        """
        asked = self._take(question, object() if key is None else key, urgent)
        answer = asyncio.wrap_future(asked.answer)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # looked at, if nobody waits
        try:
            found: Answer = await asyncio.shield(answer)
            return found
        finally:
            self._leave(asked)

    def _take(self, question: Callable[[Reader], Any], key: Hashable, urgent: bool) -> _Asked:
        with self._lock:
            asked = self._asked.get(key)
            if asked is None:
                if not urgent and self._under_way >= AT_ONCE + WAITING:
                    raise BusyError("too many questions wait for an answer; ask again later")
                asked = self._asked[key] = _Asked(question, key)
                self._under_way += not urgent
                asked.waiters = 1  # before a thread looks
                (self._urgent if urgent else self._threads).submit(self._answer, asked, urgent)
            else:
                asked.waiters += 1
            return asked

    def _leave(self, asked: _Asked) -> None:
        with self._lock:
            asked.waiters -= 1
            if asked.is_abandoned():
                self._forget(asked)

    def _forget(self, asked: _Asked) -> None:
        """Have the next equal question be asked anew."""
        if self._asked.get(asked.key) is asked:
            del self._asked[asked.key]

    def _answer(self, asked: _Asked, urgent: bool) -> None:
        answer, error = None, None
        try:
            if not asked.is_abandoned():
                answer = self._read(asked)
        except BaseException as raised:
            error = raised
        with self._lock:
            self._forget(asked)
            self._under_way -= not urgent
        if error is None:
            asked.answer.set_result(answer)
        else:
            asked.answer.set_exception(error)

    def _read(self, asked: _Asked) -> Any:
        with self._lock:
            reader = self._idle.pop() if self._idle else None
        reader = reader or self._open()
        try:
            reader.stop_when(asked.is_abandoned)
            answer = asked.question(reader)
        except BaseException:
            reader.close()
            raise
        with self._lock:
            self._idle.append(reader)
        return answer

    def close(self) -> None:
        """Let go of the store once the questions so far are answered."""
        for threads in (self._threads, self._urgent):
            threads.shutdown()
        for reader in self._idle:
            reader.close()
        self._idle.clear()
