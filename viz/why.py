"""Why a propensity is what it is: what each touch, or each campaign, adds to it, down to the number shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.attribution.explanation import Explanation
from schemas.event_types import RANK, TYPE_OF, TYPES
from viz import look
from viz.trace import Trace, Tracer
from viz.words import adding_up, ago, percent, touch

Facts = dict[str, Any]
Part = tuple[str, str, float, str]
"""What adds to a propensity: its name, what is said of it, by how much, and the type of event or nothing."""
MOST_TOUCHES, MOST_CAMPAIGNS = 5, 8
LEAST = 0.03
"""Of all that is added and taken away, for a touch to be told by itself."""
CHOICES = {"touch": "By touch", "campaign": "By campaign"}
"""How the parts can be listed."""
BASELINE_HINT = "What the model predicts for a user without any event: a prediction, not an experiment"


def why(trace: Trace, explanation: Explanation, tracer: Tracer, now: int, by: str) -> Facts:
    """The parts of the propensity at a time (ms), as bars that begin where the one before ended, and as numbers."""
    if by == "touch":
        parts = _by_touch(trace, explanation, tracer.length, now)
    else:
        parts = _by_campaign(trace, explanation, tracer.length)
    values = [explanation.baseline, *(part[2] for part in parts)]
    ends = np.cumsum(values)
    low, high = min(0.0, float(ends.min())), max(float(ends.max()), explanation.propensity)
    span = (high - low) or 1.0
    rows = []
    for place, text in enumerate(adding_up(values, explanation.propensity)):
        name, detail, value, kind = parts[place - 1] if place else ("Without any event", "", values[0], "")
        start = float(ends[place]) - max(value, 0.0)
        rows.append(
            {
                "name": name,
                "detail": detail,
                "value": f"+{text}" if place and text[0].isdigit() else text,
                "start": round((start - low) / span * 100, 2),
                "width": round(abs(value) / span * 100, 2),
                "colour": look.MARKS[kind].colour if kind else look.REST,
                "less": value < 0,
                "hint": "" if place else BASELINE_HINT,
            }
        )
    return {"rows": rows, "total": percent(explanation.propensity), "by": by, "choices": CHOICES}


def _by_touch(trace: Trace, explanation: Explanation, length: int, now: int) -> list[Part]:
    """The events that move it most, and the others of each type together; those that count no longer are left out."""
    added = explanation.of_event
    least = LEAST * float(np.abs(added).sum())
    order = np.argsort(-np.abs(added), kind="stable").tolist()
    alone = [place for place in order[:MOST_TOUCHES] if abs(added[place]) > least]
    parts = []
    for place in alone:
        point = trace.points[place]
        name = touch(point.event_type, point.campaign)
        parts.append((name, ago(now - point.event_time), float(added[place]), point.event_type))
    told, others = {part[3] for part in parts}, np.ones(len(added), np.bool_)
    others[alone], others[: max(len(added) - length, 0)] = False, False
    for kind in reversed(TYPES):
        mine = others & (trace.sequence.types[: len(added)] == RANK[kind])
        if count := int(mine.sum()):
            noun = TYPE_OF[kind].singular if count == 1 else TYPE_OF[kind].plural
            parts.append((f"{count:,} {'more ' if kind in told else ''}{noun}", "", float(added[mine].sum()), kind))
    return parts


def _by_campaign(trace: Trace, explanation: Explanation, length: int) -> list[Part]:
    """What the touches of one type and campaign add together, the most first."""
    groups: dict[tuple[str, str], list[float]] = {}
    for point, value in list(zip(trace.points, explanation.of_event.tolist(), strict=False))[-length:]:
        groups.setdefault((point.event_type, point.campaign), []).append(value)
    sums = {group: sum(values) for group, values in groups.items()}
    order = sorted((group for group in groups if sums[group]), key=lambda group: -abs(sums[group]))
    parts = [(touch(*each), _times(len(groups[each])), sums[each], each[0]) for each in order[:MOST_CAMPAIGNS]]
    if rest := order[MOST_CAMPAIGNS:]:
        parts.append((f"{len(rest)} other{'' if len(rest) == 1 else 's'}", "", sum(sums[each] for each in rest), ""))
    return parts


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
