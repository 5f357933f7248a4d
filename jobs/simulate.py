"""Simulated events -> a file."""

from __future__ import annotations

from pathlib import Path

from jobs.bars import progress
from jobs.console import say
from schemas.logs.log_writer import LogWriter
from simulator import Population, Simulator, World
from simulator.producers import Spelling, events_of

CHUNK = 100_000
"""Events packed and written at a time."""


def simulate(to: Path, users: int, events: int, seed: int, start_ms: int) -> None:
    """Write the first `events` events of a simulated population to a file.

    Raises:
        LogFileError: the file cannot be written.
    """
    world = World()
    population = Population.draw(world, users, seed)
    spelling, simulator, written = (
        Spelling(world, population),
        Simulator(world, population, seed, start_ms),
        0,
    )
    with LogWriter(to) as log, progress() as bar:
        task = bar.add_task("simulating", total=events)
        while written < events:
            day = next(simulator)
            day = day[: min(len(day), events - written)]
            for first in range(0, len(day), CHUNK):
                log.write(events_of(day[first : first + CHUNK], spelling))
            written += len(day)
            bar.advance(task, len(day))
    say(f"{written:,} events of {users:,} users in {to}")
