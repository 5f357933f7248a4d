"""A model's features as the arrays that compiled code walks along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.durations import to_milliseconds
from model.features.kinds import Count, DecayedCount, EventsSince, Feature, Recency
from schemas.event_types import TYPES

DEFAULT_LENGTH = 1_000
"""L, the number of newest events of a user that count."""
COUNT, DECAYED, RECENCY, SINCE, BETWEEN = range(5)
KIND, TYPE, CAMPAIGN, SCALE, PLACE = range(5)
"""Columns of `FeaturePlan.features`: kind, type and campaign (-1 = any), and where time scale and running value are."""
HEAD, LIVE, COUNTED, NUMBER, FIRST_TAIL = range(5)
"""Marks that every user has: the first event among the newest L, their number, how many of them features count, the
number of the last that they count, from any number on, and a tail per window from there on."""


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """What the recursion over a sequence keeps and computes.

    Shapes: `features` (n, 5) int64; `windows` and `half_lives` int64 in ms; `never` (n,) float64.
    `campaigns` are the names that column CAMPAIGN indexes; a bucket puts its own numbers there. `marks` and `decays`
    are how many int32 and int64 running values a user has.
    """

    features: NDArray[np.int64]
    windows: NDArray[np.int64]
    half_lives: NDArray[np.int64]
    never: NDArray[np.float64]
    campaigns: tuple[str, ...]
    marks: int
    decays: int

    @classmethod
    def of(cls, features: Sequence[Feature]) -> FeaturePlan:
        """The plan of a model's features."""
        windows = sorted({to_milliseconds(f.look_back) for f in features if isinstance(f, Count)})
        half_lives = sorted({to_milliseconds(f.half_life) for f in features if isinstance(f, DecayedCount)})
        campaigns = tuple(sorted({f.campaign for f in features if f.campaign is not None}))
        rows, marks, decays = [], FIRST_TAIL + len(windows), 0
        for feature in features:
            kind, scale, place = BETWEEN, 0, marks
            match feature:
                case Count():
                    kind, scale = COUNT, windows.index(to_milliseconds(feature.look_back))
                    marks += 1
                case DecayedCount():
                    kind, scale = DECAYED, half_lives.index(to_milliseconds(feature.half_life))
                    place = decays
                    decays += 1
                case Recency():
                    kind = RECENCY
                    marks += 1
                case EventsSince():
                    kind = SINCE
                    marks += 2
                case _:
                    marks += 2
            type_ = -1 if feature.type is None else TYPES.index(feature.type)
            campaign = -1 if feature.campaign is None else campaigns.index(feature.campaign)
            rows.append((kind, type_, campaign, scale, place))
        return cls(
            features=np.array(rows, np.int64),
            windows=np.array(windows, np.int64),
            half_lives=np.array(half_lives, np.int64),
            never=np.array([getattr(f, "never", 0.0) for f in features], np.float64),
            campaigns=campaigns,
            marks=marks,
            decays=decays,
        )
