"""Ends all processes of a flow when one of them is to end.

Sources end on their own once their process has a request to end: a signal, or a source of its own that is exhausted.
The other processes get the request through the stream: every worker has a control source, and its items reach all.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bytewax.inputs import DynamicSource, StatelessSourcePartition

from steps.process import ending, peers

PAUSE = timedelta(milliseconds=50)
"""Between two checks for a request to end."""


KEYS = [str(number) for number in range(256)]
"""So many keys that every worker of any cluster of ours has some of them."""


class ControlSource(DynamicSource[tuple[str, int]]):
    """Emits the exit code of the run once under every key, then ends."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Control:
        """The control source of one worker, made once all processes have met."""
        peers.meet()
        return _Control()


class _Control(StatelessSourcePartition[tuple[str, int]]):
    def __init__(self) -> None:
        self._sent = False
        self._awake: datetime | None = None

    def next_batch(self) -> list[tuple[str, int]]:
        if self._sent:
            raise StopIteration
        if not ending.is_near():
            self._awake = datetime.now(UTC) + PAUSE
            return []
        self._sent, self._awake = True, None
        return [(key, ending.code()) for key in KEYS]

    def next_awake(self) -> datetime | None:
        return self._awake


def obey(state: None, code: int) -> tuple[None, list[Any]]:
    """End the sources of this process too; nothing is state, and nothing is handed on."""
    ending.ask(code)
    return None, []
