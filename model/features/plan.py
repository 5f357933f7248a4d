"""A model's features as the arrays that compiled code walks along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.durations import to_milliseconds
from model.features.kinds import Feature, code_of, kind_of
from model.features.structures import FEATURE, FIRST_TAIL, Plan, Running
from schemas.event_types import TYPES

DEFAULT_LENGTH = 1_000
"""L, the number of newest events of a user that count."""


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """What the recursion over a sequence keeps and computes.

    Attributes:
        arrays: the features; their `campaign` is a place in `campaigns`.
        campaigns: the names of campaigns that features are about, in order.
        marks, decays: how many int32 and int64 running values a user has.

    >>> from model.features.count import Count
    >>> plan = FeaturePlan.of([Count(aggregation="count", weight=1.0, type="CL", campaign="spring", look_back="7d")])
    >>> plan.campaigns, plan.arrays.windows.tolist(), plan.marks
    (('spring',), [604800000], 6)
    """

    arrays: Plan
    campaigns: tuple[str, ...]
    marks: int
    decays: int

    @classmethod
    def of(cls, features: Sequence[Feature]) -> FeaturePlan:
        """The plan of a model's features.

        Raises:
            TypeError: a feature's kind is not registered.
        """
        windows = sorted({to_milliseconds(each.window) for each in features if each.window is not None})
        half_lives = sorted({to_milliseconds(each.decay) for each in features if each.decay is not None})
        campaigns = tuple(sorted({each.campaign for each in features if each.campaign is not None}))
        rows, marks, decays = [], FIRST_TAIL + len(windows), 0
        for feature in features:
            kind, scale = kind_of(feature), 0
            if feature.window is not None:
                scale = windows.index(to_milliseconds(feature.window))
            elif feature.decay is not None:
                scale = half_lives.index(to_milliseconds(feature.decay))
            type_ = -1 if feature.type is None else TYPES.index(feature.type)
            campaign = -1 if feature.campaign is None else campaigns.index(feature.campaign)
            place, never = decays if kind.decays else marks, getattr(feature, "never", 0.0)
            span = feature.window or feature.decay
            length = 0 if span is None else to_milliseconds(span)
            rows.append((code_of(feature), type_, campaign, scale, place, never, length))
            marks, decays = marks + kind.marks, decays + kind.decays
        arrays = Plan(
            features=np.array(rows, FEATURE),
            windows=np.array(windows, np.int64),
            half_lives=np.array(half_lives, np.int64),
        )
        return cls(arrays, campaigns, marks, decays)

    @property
    def count(self) -> int:
        """How many features there are."""
        return len(self.arrays.features)

    def one_user(self) -> Running:
        """Room for the running values of one user; they are not set."""
        return self.running(np.empty(self.marks, np.int32), np.empty(self.decays, np.int64))

    def running(self, marks: NDArray[np.int32], decays: NDArray[np.int64]) -> Running:
        """Running values in these arrays, of one user or of users (n)."""
        return Running(marks, decays, np.empty(len(self.arrays.half_lives), np.float64))

    def numbered(self, numbers: Mapping[str, int]) -> Plan:
        """The arrays with other numbers for campaigns; all of `campaigns` have one, none below 0."""
        features = self.arrays.features.copy()
        for row in np.flatnonzero(features["campaign"] >= 0).tolist():
            features["campaign"][row] = numbers[self.campaigns[features["campaign"][row]]]
        return self.arrays._replace(features=features)
