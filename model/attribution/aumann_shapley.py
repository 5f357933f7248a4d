"""Who moved a propensity: each event's part, and each feature's, by the Aumann-Shapley rule.

Let the touches fade in together, alpha from 0 to 1. A feature that is the logarithm of a sum is then
ln(1 + b + alpha d), d being what the touches add to the sum (k of each) and b what other events do, and v(alpha) the
propensity. What touch i adds, all on the way counted, is

    phi_i = integral over alpha in [0, 1] of v'(z(alpha)) sum over features j of w_j k_ij / (1 + b_j + alpha d_j)

with v' = v (1 - v), and all phi together are v(1) - v(0): Aumann and Shapley, "Values of Non-Atomic Games" (1974); for
predictions Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (2017). A feature that is no sum (the
time since the newest event) is interpolated linearly, and what it adds is the part of the touch that set it. The
integral is taken at Gauss-Legendre nodes of u, 1 + alpha D = (1 + D)^u, D being the greatest d / (1 + b): along u the
logit is nearly straight, so that few nodes are enough, as many more as it moves further (relative errors below 1e-6).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.features.kinds import begin, blend, counts_others, for_each_kind, share
from model.features.structures import NOBODY, Span, matches
from model.sequences.entries import is_counted, type_of
from schemas.compiled.compiling import compiled, inlined
from schemas.event_types import TYPES

_FURTHEST = (4.0, 7.0, 20.0)
"""By how much the features may move the logit for each number of nodes but the last."""
_ORDERS = (12, 16, 32, 64)
_BEGINS = np.cumsum([0, *_ORDERS])
_RULES = [np.polynomial.legendre.leggauss(order) for order in _ORDERS]
_NODES = np.concatenate([(nodes + 1) / 2 for nodes, _ in _RULES])
_WEIGHTS = np.concatenate([weights / 2 for _, weights in _RULES])
"""Where the integral over u is taken, and how much each node counts, for one number of nodes behind the other."""


class Fading(NamedTuple):
    """The events `entries[low:high]` up to `time` (ms), of which some fade in, as `fading` (high - low) says."""

    entries: NDArray[np.void]
    low: int
    high: int
    time: int
    fading: NDArray[np.bool_]


class Vector(NamedTuple):
    """A model's weights (n, of the features of a plan) and intercept."""

    weights: NDArray[np.float64]
    intercept: float


class Sums(NamedTuple):
    """The features (n) as sums ln(1 + b + alpha d).

    Attributes:
        rests: b of each feature.
        sums: d of each.
        is_sum: whether it is one; other features have 0 in both.
    """

    rests: NDArray[np.float64]
    sums: NDArray[np.float64]
    is_sum: NDArray[np.bool_]


@compiled
@for_each_kind
def _collect(view, plan, weights, terms, into):
    """Fill `into` (`Sums`), and `terms` (events, n) with what each event that fades in adds to each d, else 0.

    Features without a weight are left out.
    """
    features, entries, fading = plan.features, view.entries, view.fading
    rests, sums, is_sum = into.rests, into.sums, into.is_sum
    span = Span(view.low, view.high, view.time)
    begins, halves = np.full(len(features), view.low), np.empty(len(plan.half_lives))
    counted = np.empty((len(TYPES), len(features)), np.int64)  # by type of event
    counts = np.zeros(len(TYPES), np.int64)
    rests[:], sums[:], is_sum[:] = 0.0, 0.0, False
    for number in range(len(features)):
        if weights[number] == 0.0:
            continue
        feature = features[number]
        begins[number] = begin(feature.kind, feature, span, entries, fading)
        is_sum[number] = begins[number] != NOBODY
        for type_ in range(len(TYPES) if is_sum[number] else 0):
            if counts_others(feature.kind) or feature.type < 0 or feature.type == type_:
                counted[type_, counts[type_]] = number
                counts[type_] += 1
    for place in range(span.low, span.high):
        entry, mine = entries[place], terms[place - span.low]
        mine[:], halves[:] = 0.0, 0.0
        if not is_counted(entry.tag):
            continue
        type_ = type_of(entry.tag)
        for number in counted[type_, : counts[type_]]:
            if place < begins[number]:
                continue
            feature = features[number]
            term = share(feature.kind, feature, span, entries, fading, place, halves)
            if fading[place - span.low]:
                mine[number] = term
                sums[number] += term
            else:
                rests[number] += term


@compiled
@for_each_kind
def shares(view, plan, vector, terms, of_event, of_feature):
    """What each of the view's events that fade in, and each feature, adds to v; returns v(0), v(1).

    The newest L events up to `view.time` are given, no more. Fills `of_event` (events) and `of_feature` (n), whose sums
    are v(1) - v(0) each, but for the error of the integral, which v(0) takes: the first sum and v(0) are v(1) exactly.
    `terms` (events or more, n) is room to work in. Features without a weight cost nothing, those that no event fades
    into nothing at the nodes.
    """
    weights, m, entries, fading = vector.weights, len(plan.features), view.entries, view.fading
    span = Span(view.low, view.high, view.time)
    rests, sums, is_sum = np.empty(m), np.empty(m), np.empty(m, np.bool_)
    _collect(view, plan, weights, terms, Sums(rests, sums, is_sum))
    moving, count, setters = np.empty(m, np.int64), 0, np.empty(m, np.int64)
    steps, slopes, start, step, greatest, way = np.zeros(m), np.zeros(m), vector.intercept, 0.0, 0.0, 0.0
    for feature in range(m):
        weight = weights[feature]
        if weight == 0.0:
            continue
        if not is_sum[feature]:
            own = plan.features[feature]
            without, _ = blend(own.kind, own, span, entries, fading, True)
            reached, setters[feature] = blend(own.kind, own, span, entries, fading, False)
            steps[feature] = reached - without
            start, step = start + weight * without, step + weight * steps[feature]
            way += abs(weight * steps[feature])
        elif sums[feature] > 0.0:
            moving[count] = feature
            count += 1
            part = sums[feature] / (1.0 + rests[feature])
            greatest, way = max(greatest, part), way + abs(weight) * math.log(1.0 + part)
        else:
            start += weight * math.log(1.0 + rests[feature])
    all_slopes, order = 0.0, 0
    while order < len(_FURTHEST) and way > _FURTHEST[order]:
        order += 1
    length = math.log1p(greatest)
    for node in range(_BEGINS[order], _BEGINS[order + 1]):
        alpha, density = _NODES[node], _WEIGHTS[node]
        if greatest > 0.0:
            grown = math.expm1(alpha * length)
            alpha, density = grown / greatest, density * length * (1.0 + grown) / greatest
        logit = start + alpha * step
        for at in range(count):
            feature = moving[at]
            logit += weights[feature] * math.log(1.0 + rests[feature] + alpha * sums[feature])
        odds = math.exp(-abs(logit))
        slope = density * odds / ((1.0 + odds) * (1.0 + odds))
        all_slopes += slope
        for at in range(count):
            feature = moving[at]
            slopes[feature] += slope / (1.0 + rests[feature] + alpha * sums[feature])
    whole, of_event[:], of_feature[:] = start + step, 0.0, 0.0
    for at in range(count):
        feature = moving[at]
        whole += weights[feature] * math.log(1.0 + rests[feature] + sums[feature])
        slopes[feature] *= weights[feature]
        of_feature[feature] = slopes[feature] * sums[feature]
    for place in range(span.high - span.low):
        if fading[place]:
            for at in range(count):
                of_event[place] += slopes[moving[at]] * terms[place, moving[at]]
    for feature in range(m):
        if steps[feature] != 0.0:
            of_feature[feature] = all_slopes * weights[feature] * steps[feature]
            setter = _fading_setter(plan.features[feature], span, entries, fading, setters[feature])
            of_event[setter] += of_feature[feature]
    whole = 1.0 / (1.0 + math.exp(-whole))
    return whole - of_event.sum(), whole


@inlined
def _fading_setter(feature, span, entries, fading, newest):
    """The place behind `span.low` of the newest event that fades in and has a part in a feature that is no sum."""
    place = newest
    while not (fading[place - span.low] and is_counted(entries[place].tag) and matches(feature, entries[place].tag)):
        place -= 1
    return place - span.low
