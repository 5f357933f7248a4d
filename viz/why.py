"""Why a propensity is what it is: what each touch, or each kind of feature, adds to it, down to the number shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.explanation import Explanation
from model.propensity import Model
from schemas.events import TYPES
from viz import look
from viz.trace import Trace, Tracer
from viz.words import PLURALS, TYPE_NAMES, adding_up, ago, percent, touch, visible

Facts = dict[str, Any]
Part = tuple[str, str, float, str]
"""What adds to a propensity: its name, what is said of it, by how much, and the type of event or nothing."""
MOST_TOUCHES, MOST_FEATURES = 5, 8
LEAST = 0.03
"""Of all that is added and taken away, for a touch to be told by itself."""
CHOICES = {"touch": "By touch", "feature": "By campaign"}
"""How the parts can be listed."""
BASELINE_HINT = "What the model says of a user without any event: a prediction, not an experiment"


def why(trace: Trace, explanation: Explanation, tracer: Tracer, now: int, by: str) -> Facts:
    """The parts of the propensity at a time (ms), as bars that begin where the one before ended, and as numbers."""
    if by == "touch":
        parts = _by_touch(trace, explanation, tracer.length, now)
    else:
        parts = _by_feature(tracer.model_at(now), explanation)
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
        mine = others & (trace.sequence.types[: len(added)] == TYPES.index(kind))
        if count := int(mine.sum()):
            noun = (TYPE_NAMES if count == 1 else PLURALS)[kind].lower()
            parts.append((f"{count:,} {'more ' if kind in told else ''}{noun}", "", float(added[mine].sum()), kind))
    return parts


def _by_feature(model: Model, explanation: Explanation) -> list[Part]:
    """What features of one type and campaign add together, the most first."""
    groups: dict[tuple[str, str], float] = {}
    for feature, value in zip(model.features, explanation.of_feature.tolist(), strict=True):
        group = feature.type or "", feature.campaign or ""
        groups[group] = groups.get(group, 0.0) + value
    order = sorted((group for group in groups if groups[group]), key=lambda group: -abs(groups[group]))
    parts = [_kind(*group, groups[group]) for group in order[:MOST_FEATURES]]
    if rest := order[MOST_FEATURES:]:
        parts.append(
            (f"{len(rest)} other{'' if len(rest) == 1 else 's'}", "", sum(groups[group] for group in rest), "")
        )
    return parts


def _kind(kind: str, campaign: str, value: float) -> Part:
    return PLURALS.get(kind, "Events of any type"), visible(campaign) or "any campaign", value, kind
