"""Reading the store without making anybody's event loop wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stores.base import Reader

Answer = TypeVar("Answer")


class Desk:
    """Answers questions to a store in one thread, one after another."""

    def __init__(self, open_reader: Callable[[], Reader]) -> None:
        self._open = open_reader
        self._reader: Reader | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="desk")

    async def ask(self, question: Callable[[Reader], Answer]) -> Answer:
        """What `question` returns for the store; if it raises, so does this, and the store is opened anew."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)

    def _answer(self, question: Callable[[Reader], Answer]) -> Answer:
        if self._reader is None:
            self._reader = self._open()
        try:
            return question(self._reader)
        except Exception:
            self._close()
            raise

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def close(self) -> None:
        """Let go of the store once the questions so far are answered."""
        self._thread.submit(self._close)
        self._thread.shutdown()
