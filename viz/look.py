"""Colours and shapes: for types of event those of Okabe and Ito, for users darker ones of Tol."""

from __future__ import annotations

from dataclasses import dataclass

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


MARKS = {
    "IM": Mark("circle", "#56B4E9", 6),
    "CL": Mark("triangle", "#E69F00", 11),
    "PS": Mark("diamond", "#009E73", 13),
    "CN": Mark("star", "#D55E00", 17),
}
