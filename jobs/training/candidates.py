"""Which features a model may have: by type or by campaign, with half-lives of a grid; no recency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from jobs.training.logs import Log
from model.durations import parse_duration, write_duration
from model.features.decayed_count import DecayedCount
from model.features.kinds import Feature
from schemas.event_types import EVENT_TYPES, TYPES
from schemas.events import MISSING

MARKETING = (*(each.code for each in EVENT_TYPES if each.is_touch), None)
"""The types whose weights must not be negative, any type's too: one touch more never lowers the propensity."""
GRIDS = (
    ("1d", "7d"),
    ("6h", "2d", "7d", "28d"),
    ("15min", "3h", "1d", "7d"),
)
"""Half-lives that are tried together."""
SHORTEST_HALF_LIFE = min(parse_duration(half_life) for grid in GRIDS for half_life in grid)
Pair = tuple[str | None, str | None]
"""A type and a campaign, None being any."""
ANY: Pair = (None, None)
"""How active a user is at all: without it those who fell silent are said to convert more often than they do."""
LEAST_EVENTS = 200
"""A campaign gets features of its own from so many events of a type on."""
MOST_CAMPAIGNS = 24
"""So many pairs of type and campaign at the most, those with the most events."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A set of features, with weights of 0."""

    name: str
    features: tuple[Feature, ...]


def candidates(log: Log, look_back: timedelta) -> list[Candidate]:
    """All sets of features worth a try on a log: half-lives are no longer than the look-back, which allows one."""
    replay = log.replay
    pairs = replay.campaigns * len(TYPES) + replay.types
    found, counts = np.unique(pairs, return_counts=True)
    often = [
        (TYPES[pair % len(TYPES)], replay.names[pair // len(TYPES)])
        for count, pair in sorted(zip(counts.tolist(), found.tolist(), strict=True), reverse=True)
        if count >= LEAST_EVENTS and replay.names[pair // len(TYPES)] not in ("", MISSING)
    ]
    named = sorted(often[:MOST_CAMPAIGNS], key=lambda pair: (TYPES.index(pair[0]), pair[1]))
    plain = [(kind, None) for place, kind in enumerate(TYPES) if place in replay.types]
    sets: list[Candidate] = []
    for grid in GRIDS:
        half_lives = [scale for scale in map(parse_duration, grid) if scale <= look_back]
        if not half_lives:
            continue
        scales = ", ".join(map(write_duration, half_lives))
        sets.append(Candidate(f"by type, {scales}", _features([ANY, *plain], half_lives)))
        if named:
            sets.append(Candidate(f"by type and campaign, {scales}", _features([ANY, *plain, *named], half_lives)))
    return sets


def _features(pairs: Sequence[Pair], half_lives: Sequence[timedelta]) -> tuple[Feature, ...]:
    return tuple(
        DecayedCount.model_validate(
            {"aggregation": "decayed_count", "weight": 0.0, "type": kind, "campaign": campaign, "half_life": scale}
        )
        for kind, campaign in pairs
        for scale in half_lives
    )


def groups_of(features: Sequence[Feature]) -> NDArray[np.int64]:
    """For each feature (n) the number of its type and campaign where they are marketing's, else -1."""
    pairs = list(dict.fromkeys((feature.type, feature.campaign) for feature in features))
    numbers = {pair: number if pair[0] in MARKETING else -1 for number, pair in enumerate(pairs)}
    return np.array([numbers[feature.type, feature.campaign] for feature in features], np.int64)
