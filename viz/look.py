"""Colours and shapes: for types of event those of Okabe and Ito, for users darker ones of Tol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from schemas.event_types import TYPES

USER_COLOURS = ("#332288", "#882255", "#117733", "#4477AA", "#AA4499", "#7A7420")
"""One for each user who can be shown at once."""
INK, MUTED, RULE, PAPER, FUTURE = "#1d2433", "#55607a", "#e7eaf0", "#ffffff", "#f3f5f9"
REST, OTHERS = "#b4bccb", "#8a94a8"
"""What no touch adds, and what many small ones add together."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Mark:
    """How the events of one type are drawn."""

    shape: str
    colour: str
    size: int


_CHOSEN = {
    "IM": Mark("circle", "#56B4E9", 6),
    "CL": Mark("triangle", "#E69F00", 11),
    "PS": Mark("diamond", "#009E73", 13),
    "CN": Mark("star", "#D55E00", 17),
}
_OTHERS = (
    Mark("square", "#CC79A7", 11),
    Mark("hex", "#0072B2", 11),
    Mark("inverted_triangle", "#B8860B", 11),
    Mark("plus", "#55607a", 13),
)
"""Of types for which no mark was chosen, by turns."""


def marks(codes: Sequence[str]) -> dict[str, Mark]:
    """A mark for each type, chosen or not.

    >>> marks(["CL", "EM"])["EM"]
    Mark(shape='square', colour='#CC79A7', size=11)
    """
    others = cycle(_OTHERS)
    return {code: _CHOSEN.get(code) or next(others) for code in codes}


MARKS = marks(TYPES)
