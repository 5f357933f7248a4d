"""What one process of a flow tells all others: that the run is to end.

Sources end on their own once their process was asked to, by a signal or because a source of its own is over. The
other processes learn it through the stream: every worker has a control source, and what one of them says reaches all.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bytewax.inputs import DynamicSource, StatelessSourcePartition

from steps.process import ending, peers

PAUSE = timedelta(milliseconds=50)
"""Between two looks at whether this process was asked to end."""


KEYS = [str(number) for number in range(256)]
"""So many keys that every worker of any cluster of ours has some of them."""


class ControlSource(DynamicSource[tuple[str, int]]):
    """Says under every key, once and then ends, with which exit code the run is to end."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Control:
        """The control source of one worker, made once all processes have met."""
        peers.meet()
        return _Control()


class _Control(StatelessSourcePartition[tuple[str, int]]):
    def __init__(self) -> None:
        self._told = False
        self._awake: datetime | None = None

    def next_batch(self) -> list[tuple[str, int]]:
        if self._told:
            raise StopIteration
        if not ending.is_near():
            self._awake = datetime.now(UTC) + PAUSE
            return []
        self._told, self._awake = True, None
        return [(key, ending.code()) for key in KEYS]

    def next_awake(self) -> datetime | None:
        return self._awake


def obey(state: None, code: int) -> tuple[None, list[Any]]:
    """End the sources of this process too; nothing is state, and nothing is handed on."""
    ending.ask(code)
    return None, []
