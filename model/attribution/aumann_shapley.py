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

import numpy as np

from model.features.plan import COUNT, DECAYED, KIND, RECENCY, SCALE, SINCE, TYPE
from model.features.recursion import HOUR, matches
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

NOBODY = -1


@inlined
def _newest(entries, low, high, fading, features, feature, resting):
    """The newest matching event that counts of `entries[low:high]`, of those that do not fade in where `resting`."""
    for place in range(high - 1, low - 1, -1):
        counts = is_counted(entries[place].tag) and not (resting and fading[place - low])
        if counts and matches(features, feature, entries[place].tag):
            return place
    return NOBODY


@inlined
def _live(entries, low, high, fading, resting):
    count = 0
    for place in range(low, high):
        count += is_counted(entries[place].tag) and not (resting and fading[place - low])
    return count


@inlined
def _value(entries, low, high, time, fading, features, feature, never, resting):
    """A feature that is no sum, and the place of the event that sets it."""
    newest = _newest(entries, low, high, fading, features, feature, resting)
    kind = features[feature, KIND]
    if kind == SINCE:
        after = low if newest == NOBODY else newest + 1
        return math.log1p(_live(entries, after, high, fading[after - low :], resting)), newest
    if newest == NOBODY:
        return never, newest
    if kind == RECENCY:
        return math.log1p((time - entries[newest].timestamp) / HOUR), newest
    before = _newest(entries, low, newest, fading, features, feature, resting)
    if before == NOBODY:
        return never, newest
    return math.log1p((entries[newest].timestamp - entries[before].timestamp) / HOUR), newest


@inlined
def _since(entries, low, high, fading, features, feature):
    """Where a feature begins to count events since the last that matches; NOBODY if that one fades in: it is no sum."""
    newest = _newest(entries, low, high, fading, features, feature, False)
    if newest == NOBODY:
        return low
    return NOBODY if fading[newest - low] else newest + 1


@compiled
def _collect(entries, low, high, time, fading, plan, weights, terms, rests, sums, is_sum):
    """What each event adds to the sums of features that have a weight.

    Fills `terms` (events, features), 0 where an event does not fade in, and by feature b, d, and whether it is a sum.
    """
    features, windows, half_lives = plan[0], plan[1], plan[2]
    begins, decays = np.full(len(features), low), np.empty(len(half_lives))
    counted = np.empty((len(TYPES), len(features)), np.int64)  # by type of event
    counts = np.zeros(len(TYPES), np.int64)
    rests[:], sums[:] = 0.0, 0.0
    for feature in range(len(features)):
        kind = features[feature, KIND]
        is_sum[feature] = kind <= DECAYED
        if kind == SINCE and weights[feature] != 0.0:
            begins[feature] = _since(entries, low, high, fading, features, feature)
            is_sum[feature] = begins[feature] != NOBODY
        if weights[feature] == 0.0 or not is_sum[feature]:
            continue
        for type_ in range(len(TYPES)):
            if kind == SINCE or features[feature, TYPE] < 0 or features[feature, TYPE] == type_:
                counted[type_, counts[type_]] = feature
                counts[type_] += 1
    for place in range(low, high):
        entry, mine = entries[place], terms[place - low]
        mine[:], decays[:] = 0.0, 0.0
        if not is_counted(entry.tag):
            continue
        age, type_ = time - entry.timestamp, type_of(entry.tag)
        for feature in counted[type_, : counts[type_]]:
            kind, scale, term = features[feature, KIND], features[feature, SCALE], 1.0
            if kind == SINCE:
                if place < begins[feature]:
                    continue
            elif not matches(features, feature, entry.tag) or (kind == COUNT and age > windows[scale]):
                continue
            if kind == DECAYED:
                if decays[scale] == 0.0:
                    decays[scale] = np.exp2(-age / half_lives[scale])
                term = decays[scale]
            if fading[place - low]:
                mine[feature] = term
                sums[feature] += term
            else:
                rests[feature] += term


@compiled
def shares(entries, low, high, time, fading, plan, weights, intercept, terms, of_event, of_feature):
    """What each of the events `entries[low:high]` that are `fading`, and each feature, adds to v; returns v(0), v(1).

    The newest L events up to `time` are given, no more. Fills `of_event` (high - low) and `of_feature`, whose sums are
    v(1) - v(0) each, but for the error of the integral, which v(0) takes: the first sum and v(0) are v(1) exactly.
    `terms` (high - low or more, features) is room to work in. Features without a weight cost nothing, those that no
    event fades into nothing at the nodes.
    """
    features, never = plan[0], plan[3]
    m = len(features)
    rests, sums, is_sum = np.empty(m), np.empty(m), np.empty(m, np.bool_)
    _collect(entries, low, high, time, fading, plan, weights, terms, rests, sums, is_sum)
    moving, count, setters = np.empty(m, np.int64), 0, np.empty(m, np.int64)
    steps, slopes, start, step, greatest, way = np.zeros(m), np.zeros(m), intercept, 0.0, 0.0, 0.0
    for feature in range(m):
        weight = weights[feature]
        if weight == 0.0:
            continue
        if not is_sum[feature]:
            without, _ = _value(entries, low, high, time, fading, features, feature, never[feature], True)
            reached, setters[feature] = _value(
                entries, low, high, time, fading, features, feature, never[feature], False
            )  # fmt: skip
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
    for place in range(high - low):
        if fading[place]:
            for at in range(count):
                of_event[place] += slopes[moving[at]] * terms[place, moving[at]]
    for feature in range(m):
        if steps[feature] != 0.0:
            of_feature[feature] = all_slopes * weights[feature] * steps[feature]
            of_event[_fading_setter(entries, low, fading, features, feature, setters[feature])] += of_feature[feature]
    whole = 1.0 / (1.0 + math.exp(-whole))
    return whole - of_event.sum(), whole


@inlined
def _fading_setter(entries, low, fading, features, feature, newest):
    """The place behind `low` of the newest event that fades in and has a part in a feature that is no sum."""
    place = newest
    while not (
        fading[place - low] and is_counted(entries[place].tag) and matches(features, feature, entries[place].tag)
    ):
        place -= 1
    return place - low
