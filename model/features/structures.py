"""What compiled code works on: a plan's features, a user's running values, and places in a sequence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.sequences.entries import campaign_of, type_of
from schemas.compiled.compiling import inlined

FEATURE = np.dtype(
    [
        ("kind", np.int64),
        ("type", np.int64),
        ("campaign", np.int64),
        ("scale", np.int64),
        ("place", np.int64),
        ("never", np.float64),
        ("span", np.int64),
    ],
    align=True,
)
"""A feature: its kind's code, its type and campaign (-1 = any), the place of its time scale among the plan's windows or
half-lives, the place of its first running value among the marks or decays, its value without the events that it needs,
and its time scale in ms."""
HEAD, LIVE, COUNTED, NUMBER, FIRST_TAIL = range(5)
"""Marks that every user has: the first event among the newest L, their number, how many of them features count, the
number of the last that they count, from any number on, and a tail per window from there on."""
NOBODY = -1
"""The place of an event that does not exist."""


class Plan(NamedTuple):
    """The features (n) that a recursion computes.

    Attributes:
        features: (n) `FEATURE`.
        windows: the look-backs (w) of windowed features, int64 ms; each has a tail.
        half_lives: the half-lives (h) of decayed features, int64 ms.
    """

    features: NDArray[np.void]
    windows: NDArray[np.int64]
    half_lives: NDArray[np.int64]


class Held(NamedTuple):
    """One user's sequence, `entries[first:]` (`model.sequences.entries.ENTRY`); places of events are relative to that.

    The newest `length` events count, and decayed sums have `bits` behind the point (`arithmetic.fraction_bits`).
    """

    entries: NDArray[np.void]
    first: int
    length: int
    bits: int


class Running(NamedTuple):
    """Running values of one user; with a dimension for users in front, of all.

    Attributes:
        marks: (m) int32, those that every user has and then those of features.
        decays: (d) int64, fixed-point sums of features.
        growths: (h) float64, 2^(r / h) of the time at which the values stand, for each half-life.
    """

    marks: NDArray[np.int32]
    decays: NDArray[np.int64]
    growths: NDArray[np.float64]


class At(NamedTuple):
    """Where an operation of a kind takes place. All are numbers: Numba would count references to arrays.

    Attributes:
        first: where the user's sequence begins among the entries.
        place: the event that comes or goes, behind `first`.
        end: the sequence ends before it, behind `first`.
        time: in ms.
        bits: those behind the point of decayed sums.
    """

    first: int | np.int64
    place: int | np.int64
    end: int | np.int64
    time: int | np.int64
    bits: int | np.int64


class Span(NamedTuple):
    """The events `entries[low:high]` up to `time` (ms), of which some fade in (`model.attribution.aumann_shapley`)."""

    low: int
    high: int
    time: int


@inlined
def matches(feature, tag):
    """Whether a feature is about events of this tag."""
    return (feature.type < 0 or feature.type == type_of(tag)) and (
        feature.campaign < 0 or feature.campaign == campaign_of(tag)
    )
