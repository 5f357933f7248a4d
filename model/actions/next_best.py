"""What to do next: by how much each action would raise a propensity, and which is worth its cost.

The gain of an action is p(history + one more event) - p(history), both at one time and within the model's horizon. It
follows from the features alone: each kind of feature knows its change (`gain` in `model.features.template.Kind`).

A sequence that has its L events already is taken to keep the oldest. Of a trained model the vectors of its bootstrap
give an interval: without the smallest tenth of their gains and the greatest. It is an association that the model has
learnt, and no proven effect: the users who are held out show that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.actions.catalogue import HOLD_OUT, HOLD_OUT_SEED, Actions, Purchase, Response
from model.features.automated import DAILY_EVENTS
from model.features.count import Count
from model.features.curve import Curve, Sequence
from model.features.kinds import Feature, code_of, for_each_kind, gain, kind_of
from model.scoring.propensity import Model, Scorer
from schemas.advice import ADVICE, NO_ACTION
from schemas.compiled.compiling import compiled, inlined
from schemas.compiled.hashing import xxh3_seeded
from schemas.events import USER_ID, EventBatch

CAP_WINDOW = timedelta(hours=24)
OUTSIDE = 10
"""One of so many vectors is left out at either end of an interval."""
_UNLIMITED = -1
_NOTHING = -1
"""The column of a feature that is not needed."""
_LARGEST = 700.0
"""Of a change of a logit: e to it is a number."""


@dataclass(frozen=True, slots=True)
class Option:
    """One action for one user at one time.

    `gain` lies between `low` and `high`, which are None where the model has no vectors. `worth` is gain x value: for
    what cannot be bought the bid at which it breaks even. `net` is worth - cost, None for what cannot be bought.
    `capped` are those that the user had too many of in the last 24 h. At most one of a user's options is `best`.
    """

    action: Purchase | Response
    gain: float
    low: float | None
    high: float | None
    worth: float
    net: float | None
    capped: bool
    best: bool


class Move(NamedTuple):
    """How one more event changes a feature: its column, its kind's code, whether it matches, and a column beside."""

    column: int
    code: int
    is_match: bool
    beside: int


class Advisor:
    """Says of rows of features what to do next.

    Args:
        model: the model.
        actions: what can be done; the model may not tell all of them apart (`Actions.known_to`).
        columns: the places of features (of no weight) in the rows; what is needed and not yet there is added.
        most: events within 24 hours above which a user is set apart, and nothing is recommended; 0 sets nobody apart.

    Attributes:
        actions: the actions as the model knows them; `ADVICE` has their places.
        columns: the places of the model's features, in their order.
    """

    def __init__(self, model: Model, actions: Actions, columns: dict[Feature, int], most: int = 0) -> None:
        def column(feature: Feature) -> int:
            return columns.setdefault(feature.model_copy(update={"weight": 0.0}), len(columns))

        self.columns = np.array([column(feature) for feature in model.features])
        self._vectors = np.array([model.weights, *(vector.weights for vector in model.bootstrap)])
        weighty = np.flatnonzero(self._vectors.any(axis=0)).tolist()
        self.actions = actions.known_to(tuple(model.features[place] for place in weighty))
        self._value = actions.value
        self._intercepts = np.array([model.intercept, *(vector.intercept for vector in model.bootstrap)])
        moves, uses = dict[Move, int](), [list[tuple[int, int]]() for _ in self.actions]
        bought = 0
        for action, own in sorted(zip(self.actions, uses, strict=True), key=lambda each: isinstance(each[0], Response)):
            for place, feature in enumerate(model.features):
                kind, is_match = kind_of(feature), _matches(feature, action)
                if (is_match or kind.counts_others) and self._vectors[:, place].any():
                    beside = kind.beside_of(feature, action.campaign) if is_match else None
                    other = _NOTHING if beside is None else column(beside)
                    move = Move(column(feature), code_of(feature), is_match, other)
                    own.append((moves.setdefault(move, len(moves)), place))
            if isinstance(action, Purchase):
                bought = len(moves)
        flat = [use for own in uses for use in own]
        self._moves = np.array(list(moves), np.int64).reshape(-1, len(Move._fields))
        self._steps = np.array([move for move, _ in flat], np.int64)
        self._edges = np.cumsum([0, *map(len, uses)])
        self._weights = np.ascontiguousarray(self._vectors[:, [place for _, place in flat]])
        self._bought_moves = self._moves[:bought]
        costs, caps = list[float](), list[tuple[int, float]]()
        for action in self.actions:
            if isinstance(action, Purchase):
                costs.append(action.cost)
                caps.append((column(_shown(action)), action.cap) if action.cap is not None else (_UNLIMITED, 1))
            else:
                costs.append(math.nan)
                caps.append((_UNLIMITED, 1))
        self._costs, self._shown = np.array(costs, np.float64), np.array([column for column, _ in caps], np.int64)
        self._caps = np.log1p(np.array([cap - 0.5 for _, cap in caps]))
        self._daily = column(DAILY_EVENTS) if most else _UNLIMITED
        self._most = math.log1p(most + 0.5)

    def recommend(self, features: NDArray[np.float64], propensities: NDArray[np.float64]) -> NDArray[np.void]:
        """Advice (n) for features (n, columns) and their propensities (n); it says of nobody that they are held out.

        Recommended is the action of the greatest net above 0, of those that can be bought, whose interval is above 0,
        and whose cap is not reached; of equal ones the first. A model without vectors has no interval to ask for.
        Nothing is recommended at a moment at which the user is set apart.
        """
        advice = np.zeros(len(features), ADVICE)
        _recommend(
            features, propensities, self._weights, self._bought_moves, self._steps, self._edges, self._shown,
            self._caps, self._costs, self._value, self._daily, self._most, advice,
        )  # fmt: skip
        return advice

    def options(self, features: NDArray[np.float64], propensity: float) -> list[Option]:
        """All actions for one user's features (columns) and propensity, in the order of `actions`."""
        (advice,) = self.recommend(features[np.newaxis], np.array([propensity]))
        changes = np.empty((len(self.actions), len(self._weights)))
        _change_logits(features, self._weights, self._moves, self._steps, self._edges, changes)
        with np.errstate(over="ignore"):
            logits = self._intercepts + self._vectors @ features[self.columns]
            own = 1.0 / (1.0 + np.exp(-logits))
        own[0] = propensity
        options, left_out = [], (len(own) - 1) // OUTSIDE
        for place, action in enumerate(self.actions):
            gains = [_gain(p, change) for p, change in zip(own.tolist(), changes[place].tolist(), strict=True)]
            spread, shown = sorted(gains[1:]), self._shown[place]
            worth = gains[0] * self._value
            options.append(
                Option(
                    action=action,
                    gain=gains[0],
                    low=spread[left_out] if spread else None,
                    high=spread[-1 - left_out] if spread else None,
                    worth=worth,
                    net=worth - action.cost if isinstance(action, Purchase) else None,
                    capped=bool(shown != _UNLIMITED and features[shown] > self._caps[place]),
                    best=bool(advice["action"] == place),
                )
            )
        return options


class NextAction:
    """Says what to do next with one user, at any time of the user's sequence.

    Args:
        model: the model.
        actions: what can be done.
        length: L, the number of newest events that count.
        most: events within 24 hours above which a user is set apart; 0 sets nobody apart.
    """

    def __init__(self, model: Model, actions: Actions, length: int, most: int = 0) -> None:
        columns = dict[Feature, int]()
        self._advisor = Advisor(model, actions, columns, most)
        self._score = Scorer(model, self._advisor.columns)
        self._curve = Curve(model, length, tuple(columns))

    def options(self, sequence: Sequence, time: int) -> list[Option]:
        """All actions at a time (ms) that is not before the sequence's last event."""
        features = self._curve.features(sequence, np.array([time]))
        return self._advisor.options(features[0], float(self._score(features)[0]))


def _shown(action: Purchase) -> Count:
    """How many a user had that count for an action's cap."""
    return Count(aggregation="count", weight=0.0, type=action.type, campaign=action.campaign, look_back=CAP_WINDOW)


def _matches(feature: Feature, action: Purchase | Response) -> bool:
    """Whether a feature is about the event that an action is."""
    return feature.type in (None, action.type) and feature.campaign in (None, action.campaign)


@inlined
@for_each_kind
def _moved(features, move):
    """By how much a `Move`, as a row of numbers, changes its feature."""
    beside = 0.0 if move[3] == _NOTHING else features[move[3]]
    before, is_match = features[move[0]], move[2] != 0
    moved = gain(move[1], before, beside, is_match)
    return moved  # noqa: RET504 a call of an operation is all of a statement or of what it assigns


@compiled
def _gain(propensity, change):
    """By how much a propensity rises when its logit changes; one of 1, whose logit is lost, does not."""
    if propensity == 1.0:
        return 0.0
    odds = math.expm1(min(max(change, -_LARGEST), _LARGEST))
    return propensity * (1.0 - propensity) * odds / (1.0 + propensity * odds)


@compiled
def _change_logits(features, weights, moves, steps, edges, changes):
    """By how much each action (n) changes the logit of each vector (m), into `changes` (n, m)."""
    for action in range(len(edges) - 1):
        changes[action] = 0.0
        for at in range(edges[action], edges[action + 1]):
            moved = _moved(features, moves[steps[at]])
            for vector in range(len(weights)):
                changes[action, vector] += weights[vector, at] * moved


@inlined
def _change_of(weights, vector, steps, moved, begin, end):
    """By how much an action changes the logit of one vector."""
    change = 0.0
    for at in range(begin, end):
        change += weights[vector, at] * moved[steps[at]]
    return change


@compiled
def _is_above_zero(weights, steps, moved, begin, end):
    """Whether an action's interval is: it leaves out so many vectors, and a gain has the sign of its logit's change."""
    spare = (len(weights) - 1) // OUTSIDE
    for vector in range(1, len(weights)):
        spare -= _change_of(weights, vector, steps, moved, begin, end) <= 0.0
        if spare < 0:
            return False
    return True


@compiled
def _recommend(
    features, propensities, weights, moves, steps, edges, shown, caps, costs, value, daily, most, advice
):  # fmt: skip
    """Fill all of `advice` but who is held out: of the actions in the order of their nets the first that is certain.

    Who is set apart, with more than `most` in the column `daily`, gets none.
    """
    moved, gains, nets = np.empty(len(moves)), np.empty(len(costs)), np.empty(len(costs))
    for row in range(len(features)):
        given = advice[row]
        given.action, given.gain, given.net = NO_ACTION, 0.0, 0.0
        given.set_apart = daily != _UNLIMITED and features[row, daily] > most
        if given.set_apart:
            continue
        for move in range(len(moves)):
            moved[move] = _moved(features[row], moves[move])
        for action in range(len(costs)):
            nets[action] = 0.0
            capped = shown[action] != _UNLIMITED and features[row, shown[action]] > caps[action]
            if not capped and not np.isnan(costs[action]):
                change = _change_of(weights, 0, steps, moved, edges[action], edges[action + 1])
                gains[action] = _gain(propensities[row], change)
                nets[action] = gains[action] * value - costs[action]
        while given.action == NO_ACTION and len(nets) > 0:
            best = np.argmax(nets)
            if nets[best] <= 0.0:
                break
            if _is_above_zero(weights, steps, moved, edges[best], edges[best + 1]):
                given.action, given.gain, given.net = best, gains[best], nets[best]
            nets[best] = 0.0


def hold_out(advice: NDArray[np.void], events: EventBatch, users: NDArray[np.int32]) -> None:
    """Mark in advice (n) who is held out, as `is_held_out` says; `users` (n) are rows that have the users' ids."""
    _hold_out(events.rows, events.data, users, HOLD_OUT, HOLD_OUT_SEED, advice)


@compiled
def _hold_out(rows, data, users, one_in, seed, advice):
    for row in range(len(users)):
        user = rows[users[row]]
        hashed = xxh3_seeded(data, user.start[USER_ID], user.stop[USER_ID], seed)
        advice[row].held_out = hashed % np.uint64(one_in) == 0
