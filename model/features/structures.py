"""What compiled code works on: a plan's arrays, a user's running values, and a sequence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.sequences.entries import campaign_of, type_of
from schemas.compiled.compiling import inlined

KIND, TYPE, CAMPAIGN, SCALE, PLACE = range(5)
"""Columns of `Plan.features`: the kind's code, type and campaign (-1 = any), the place of the time scale in `windows`
or `half_lives`, and the place of the first running value in `Running.marks` or `Running.decays`."""
HEAD, LIVE, COUNTED, NUMBER, FIRST_TAIL = range(5)
"""Marks that every user has: the first event among the newest L, their number, how many of them features count, the
number of the last that they count, from any number on, and a tail per window from there on."""
NOBODY = -1
"""The place of an event that does not exist."""


class Plan(NamedTuple):
    """The features (n) that a recursion computes.

    Attributes:
        features: (n, 5) int64, columns as above.
        windows: the look-backs (w) of windowed features, int64 ms; each has a tail.
        half_lives: the half-lives (h) of decayed features, int64 ms.
        never: (n) float64, the value of a feature without the events that it needs.
    """

    features: NDArray[np.int64]
    windows: NDArray[np.int64]
    half_lives: NDArray[np.int64]
    never: NDArray[np.float64]


class Held(NamedTuple):
    """One user's sequence, `entries[first:]` (`model.sequences.entries.ENTRY`); places of events are relative to that.

    The newest `length` events count, and decayed sums have `bits` behind the point (`arithmetic.fraction_bits`).
    """

    entries: NDArray[np.void]
    first: int
    length: int
    bits: int


class Running(NamedTuple):
    """One user's running values.

    Attributes:
        marks: (m) int32, those that every user has and then those of features.
        decays: (d) int64, fixed-point sums of features.
        growths: (h) float64, 2^(r / h) of the time at which the values stand, for each half-life.
    """

    marks: NDArray[np.int32]
    decays: NDArray[np.int64]
    growths: NDArray[np.float64]


class Fading(NamedTuple):
    """The events `entries[low:high]` up to `time` (ms), of which some fade in (`model.attribution.aumann_shapley`).

    `fading` (high - low) says which do; the others are there all the time. Places are those of `entries`.
    """

    entries: NDArray[np.void]
    low: int
    high: int
    time: int
    fading: NDArray[np.bool_]


@inlined
def matches(plan, feature, tag):
    """Whether a feature is about events of this tag."""
    type_, campaign = plan.features[feature, TYPE], plan.features[feature, CAMPAIGN]
    return (type_ < 0 or type_ == type_of(tag)) and (campaign < 0 or campaign == campaign_of(tag))
