"""Measurements in processes of their own, and what is compared: medians of sides that took turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

ROUNDS = 5

Side = Callable[[], float]
"""One measurement."""


class Row(NamedTuple):
    """A line of the results."""

    name: str
    goal: str
    seen: str
    of: str


def run(*command: object) -> float:
    """What a program prints last: a number.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} … {command[-1]}: exit code {done.returncode}\n{done.stderr[-2_000:]}")
    return float(done.stdout.split()[-1])


def module(*command: object, core: int | None = None) -> Side:
    """A measurement by a module of this project, on one core where one is given."""
    return partial(run, *pinned(core), sys.executable, "-m", *command)


def pinned(core: int | None) -> tuple[str, ...]:
    """What to put before a command so that it runs on one core."""
    return () if core is None else ("taskset", "-c", str(core))


def in_turn(sides: Mapping[str, Side], rounds: int = ROUNDS) -> dict[str, float]:
    """The median of each side; one round measures every side once."""
    found = [{name: side() for name, side in sides.items()} for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in found) for name in sides}


def ratio(name: str, goal: str, left: float, right: float, unit: str) -> Row:
    """A line about the ratio of two figures."""
    return Row(name, goal, f"{left / right:.2f}", f"{left:,.0f} / {right:,.0f} {unit}")
