"""Advice on its way to the stores: what to do next, right after each event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Policy(StrEnum):
    """Which models advise: those that nothing speaks against, those that a grade speaks for, or all."""

    BELIEVED = "believed"
    GRADED = "graded"
    ALWAYS = "always"


NO_ACTION = -1

ADVICE = np.dtype(
    [
        ("action", np.int64),  # index into the actions' names, or NO_ACTION
        ("gain", np.float64),  # by how much it would raise the propensity; 0 without one
        ("net", np.float64),  # what that is worth, less its cost; 0 without one
        ("held_out", np.bool_),  # nothing may be tried on the user
        ("set_apart", np.bool_),  # the user has more events than a person makes
    ],
    align=True,
)
"""What to do next, right after one event."""

Said = tuple[str | None, float | None, float | None, bool]
"""The recommended action, its gain and its net, where there is one, and whether the user is held out."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next after each of some rows (n records of `ADVICE`), and the names of the actions."""

    rows: NDArray[np.void]
    actions: tuple[str, ...] = ()

    @classmethod
    def none(cls, count: int) -> Advice:
        """No action for any of `count` rows, and nobody held out."""
        rows = np.zeros(count, ADVICE)
        rows["action"] = NO_ACTION
        return cls(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (self.rows.tobytes(), self.actions)

    def said(self, rows: Iterable[int]) -> list[Said]:
        """The advice of some of the rows, for a person."""
        return [
            (None, None, None, held_out) if action == NO_ACTION else (self.actions[action], gain, net, held_out)
            for action, gain, net, held_out, _ in self.rows[list(rows)].tolist()
        ]

    @property
    def names(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The UTF-8 bytes of all `actions`, and their edges (number of actions + 1) in them."""
        names = [name.encode() for name in self.actions]
        return np.frombuffer(b"".join(names), np.uint8), np.cumsum([0, *map(len, names)], dtype=np.int64)


def _unpack(rows: bytes, actions: tuple[str, ...]) -> Advice:
    return Advice(np.frombuffer(rows, ADVICE), actions)
