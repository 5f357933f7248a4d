"""The status that each process of a flow reports every few seconds, for monitoring. No score depends on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

SILENCE = 15_000
"""Milliseconds without a report after which a process counts as stopped or frozen."""

RUNNING, ENDED, STOPPED = "running", "ended", "stopped"

LEAST_RUN = 500
"""Milliseconds of a run that its speed is measured over."""


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One process of a flow. All times but `newest`, an event time, are the wall clock's; all are in ms since 1970.

    `state` is `running`, `ended` where the source was read to its end, or `stopped`, with the exit `code`.
    """

    process: int
    processes: int
    host: str
    pid: int
    started: int
    beat: int
    state: str = RUNNING
    code: int | None = None
    last_epoch: int | None = None
    """When what was read was last made durable, at the end of an epoch."""
    last_read: int | None = None
    """When an event was read."""
    newest: int | None = None
    """The latest event time that was read."""
    first_read: int | None = None
    """When the first event of this run was read."""
    first: int | None = None
    """The latest event time of what was read then."""
    behind: int | None = None
    """By how much the latest event time was behind the clock when it was read, where events are of now (Kafka)."""

    def to_json(self) -> str:
        """The text that a store keeps."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FlowStatus:
        """What a store has kept."""
        return cls(**json.loads(text))

    @property
    def speed(self) -> float:
        """Milliseconds of event time that pass in one of the clock, over this run; 0 until enough was read."""
        if self.first is None or self.newest is None or self.first_read is None or self.last_read is None:
            return 0.0
        passed = self.last_read - self.first_read
        return (self.newest - self.first) / passed if passed >= LEAST_RUN else 0.0


def members_of(statuses: Sequence[FlowStatus]) -> list[FlowStatus]:
    """The processes of the flow that was started last; a flow of more processes before it leaves rows behind."""
    latest = max(statuses, key=lambda each: each.started, default=None)
    return [] if latest is None else [each for each in statuses if each.process < latest.processes]


def problem_of(statuses: Sequence[FlowStatus], now: int) -> str:
    """Why the flow is unhealthy at the wall clock's `now` (ms); empty while it runs, and when its source has ended.

    >>> status = FlowStatus(0, 1, "host", 7, started=0, beat=60_000)
    >>> problem_of([status], 61_000), problem_of([], 0)
    ('', 'no flow has reported to this store: start it')
    >>> problem_of([status], 100_000)
    'process 0 (pid 7 on host) has not reported for 40 s: it was killed, or it is frozen'
    """
    members = members_of(statuses)
    if not members:
        return "no flow has reported to this store: start it"
    if len(members) < members[0].processes:
        return f"{len(members)} of {members[0].processes} processes of the flow have reported: start all of them"
    for each in members:
        name = f"process {each.process} (pid {each.pid} on {each.host})"
        if each.state == RUNNING and now - each.beat > SILENCE:
            silent = (now - each.beat) // 1_000
            return f"{name} has not reported for {silent:,} s: it was killed, or it is frozen"
        if each.code:
            return f"{name} ended with exit code {each.code}"
    if any(each.state == STOPPED for each in members) and not any(each.state == ENDED for each in members):
        return "the flow was stopped: start it again"
    return ""
