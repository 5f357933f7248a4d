"""Who moved a propensity: each event's part, and each feature's, by the Aumann-Shapley rule.

Let the touches fade in together, alpha from 0 to 1. A feature that is the logarithm of a sum is then
ln(1 + b + alpha d), d being what the touches add to the sum (k of each) and b what other events do, and v(alpha) the
propensity. What touch i adds, all on the way counted, is

    phi_i = integral over alpha in [0, 1] of v'(z(alpha)) sum over features j of w_j k_ij / (1 + b_j + alpha d_j)

with v' = v (1 - v), and all phi together are v(1) - v(0): Aumann and Shapley, "Values of Non-Atomic Games" (1974); for
predictions Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (2017). A feature that is no sum (the
time since the newest event) is interpolated linearly, and what it adds is the part of the touch that set it. The
integral is taken at 32 Gauss-Legendre nodes of s, alpha = s^3: the integrand is steep where little has faded in.
"""

from __future__ import annotations

import math

import numpy as np

from model.entries import is_ghost
from model.plan import COUNT, DECAYED, KIND, RECENCY, SCALE, SINCE
from model.recursion import HOUR, matches
from schemas.compiling import compiled, inlined

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_S = (_NODES + 1) / 2
ALPHAS, WEIGHTS = _S**3, _WEIGHTS / 2 * 3 * _S**2
"""Where the integral over alpha is taken, and how much each counts."""

NOBODY = -1


@inlined
def _newest(entries, low, high, fading, features, feature, resting):
    """The newest matching live event of `entries[low:high]`, of those that do not fade in where `resting`."""
    for place in range(high - 1, low - 1, -1):
        counts = not is_ghost(entries[place].tag) and not (resting and fading[place - low])
        if counts and matches(features, feature, entries[place].tag):
            return place
    return NOBODY


@inlined
def _live(entries, low, high, fading, resting):
    count = 0
    for place in range(low, high):
        count += not is_ghost(entries[place].tag) and not (resting and fading[place - low])
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


@compiled
def _terms(entries, low, high, time, fading, plan, feature, terms):
    """What each event adds to a feature's sum; returns b, d, and whether it is a sum. Others than events' are 0."""
    features, windows, half_lives = plan[0], plan[1], plan[2]
    kind, begin = features[feature, KIND], low
    terms[:] = 0.0
    if kind == SINCE:
        newest = _newest(entries, low, high, fading, features, feature, False)
        if newest != NOBODY and fading[newest - low]:
            return 0.0, 0.0, False
        begin = low if newest == NOBODY else newest + 1
    elif kind > DECAYED:
        return 0.0, 0.0, False
    rest, sum_ = 0.0, 0.0
    for place in range(begin, high):
        entry = entries[place]
        if is_ghost(entry.tag) or (kind != SINCE and not matches(features, feature, entry.tag)):
            continue
        age = time - entry.timestamp
        if kind == COUNT and age > windows[features[feature, SCALE]]:
            continue
        term = 1.0
        if kind == DECAYED:
            term = 2.0 ** (-age / half_lives[features[feature, SCALE]])
        if fading[place - low]:
            terms[place - low] = term
            sum_ += term
        else:
            rest += term
    return rest, sum_, True


@compiled
def shares(entries, low, high, time, fading, plan, weights, intercept, alphas, counts, of_event, of_feature):
    """What each of the events `entries[low:high]` that are `fading`, and each feature, adds to v; returns v(0), v(1).

    The newest L events up to `time` are given, no more. Fills `of_event` (high - low) and `of_feature`, whose sums are
    v(1) - v(0) each, but for the error of the integral, which v(0) takes: the first sum and v(0) are v(1) exactly.
    """
    features, never = plan[0], plan[3]
    n, m = high - low, len(features)
    terms = np.empty((m, n))
    rests, sums, is_sum = np.empty(m), np.empty(m), np.empty(m, np.bool_)
    starts, steps, setters = np.zeros(m), np.zeros(m), np.full(m, NOBODY)
    for feature in range(m):
        rests[feature], sums[feature], is_sum[feature] = _terms(
            entries, low, high, time, fading, plan, feature, terms[feature]
        )
        if not is_sum[feature]:
            start, _ = _value(entries, low, high, time, fading, features, feature, never[feature], True)
            end, setter = _value(entries, low, high, time, fading, features, feature, never[feature], False)
            starts[feature], steps[feature], setters[feature] = start, end - start, setter
    slopes = np.zeros(m)
    for node in range(len(alphas)):
        alpha, logit = alphas[node], intercept
        for feature in range(m):
            logit += weights[feature] * _at(alpha, rests, sums, is_sum, starts, steps, feature)
        slope = np.exp(-abs(logit))
        slope = counts[node] * slope / (1.0 + slope) ** 2
        for feature in range(m):
            inner = 1.0 / (1.0 + rests[feature] + alpha * sums[feature]) if is_sum[feature] else 1.0
            slopes[feature] += slope * weights[feature] * inner
    of_event[:] = 0.0
    for feature in range(m):
        if is_sum[feature]:
            of_feature[feature] = slopes[feature] * sums[feature]
            for place in range(n):
                of_event[place] += slopes[feature] * terms[feature, place]
        else:
            of_feature[feature] = slopes[feature] * steps[feature]
            if steps[feature] != 0.0:
                of_event[_fading_setter(entries, low, fading, features, feature, setters[feature])] += of_feature[
                    feature
                ]
    logit = intercept
    for feature in range(m):
        logit += weights[feature] * _at(1.0, rests, sums, is_sum, starts, steps, feature)
    whole = 1.0 / (1.0 + np.exp(-logit))
    return whole - of_event.sum(), whole


@inlined
def _at(alpha, rests, sums, is_sum, starts, steps, feature):
    """A feature where the events have faded in by alpha."""
    if is_sum[feature]:
        return math.log1p(rests[feature] + alpha * sums[feature])
    return starts[feature] + alpha * steps[feature]


@inlined
def _fading_setter(entries, low, fading, features, feature, newest):
    """The place behind `low` of the newest event that fades in and has a part in a feature that is no sum."""
    place = newest
    while not fading[place - low] or is_ghost(entries[place].tag) or not matches(features, feature, entries[place].tag):
        place -= 1
    return place - low
