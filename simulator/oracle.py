"""The truth about the simulated users: their propensity, and what caused each conversion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.event_columns import CN, DAY_MS, IM, PS, Floats, Ints
from simulator.future import Classes, Outlook
from simulator.history import History
from simulator.past import Past
from simulator.world import World


@dataclass(frozen=True, eq=False)
class Shares:
    """What the hazard of a conversion consists of; `share[question == i].sum() + baseline[i] == 1`."""

    question: Ints  # by touch: position of the question
    row: Ints  # by touch: where the event was in the columns the history was made of
    share: Floats  # by touch
    baseline: Floats  # by question


class Oracle:
    """The exact propensity and attribution in a world, given what can be observed.

    Every question is a user (a position in the history's `segment`) at a time (ms since 1970). The history
    must hold all events of the user from the world's start on; later ones than the question's time play no
    part.

    >>> ints, kinds, codes = (np.zeros(0, dtype) for dtype in (np.int64, np.uint8, np.int8))
    >>> history = History.of(np.array([0], np.uint8), ints, ints, kinds, codes, start_ms=0)
    >>> oracle = Oracle(World())
    >>> week, year = (oracle.probability(history, np.array([0]), 0, horizon) for horizon in (7.0, 365.0))
    >>> bool(0 < week[0] < year[0] < 1)
    True
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._classes = Classes.of(world)
        self._outlooks: dict[float, Outlook] = {}

    def probability(self, history: History, user: Ints, at: Ints | int, horizon: float) -> Floats:
        """P(at least one conversion in (at, at + horizon]), by question; `horizon` in days.

        Future touches and the hidden class are integrated out: P = Σ_k π_k (1 - e^{-Λ_k}). The events of
        the ms `at` itself count as seen.
        """
        past, base, days = self._ask(history, user, at, same_ms=True)
        outlook = self._outlooks.get(horizon)
        if outlook is None:
            outlook = self._outlooks[horizon] = Outlook.of(self._world, self._classes, horizon)
        expected = outlook.immigrants + np.outer(base, outlook.baseline)
        for branch, reach in zip(self._world.branches, outlook.reach, strict=True):
            expected += past.decayed_by_campaign(branch) @ reach.T
        chance: Floats = (self._posterior(history, past, base, days) * -np.expm1(-expected)).sum(axis=1)
        return chance

    def posterior(self, history: History, user: Ints, at: Ints | int) -> Floats:
        """π: the probability of each hidden class given the observed events, (questions, classes).

        The classes are activity x intent, the intent varying fastest.
        """
        return self._posterior(history, *self._ask(history, user, at, same_ms=True))

    def shares(self, history: History, user: Ints, at: Ints | int) -> Shares:
        """The share of each earlier touch, and of the baseline, in the hazard of a conversion.

        Touches of the ms `at` itself play no part. All of the hazard is in proportion to the intent z, so
        that the hidden class cancels.
        """
        past, base, _ = self._ask(history, user, at, same_ms=False)
        hazard = past.intensity(CN)
        baseline = self._world.baseline_conversion_rate * base
        total = baseline + past.total(hazard)
        return Shares(
            question=past.question,
            row=history.row[past.event],
            share=hazard / total[past.question],
            baseline=baseline / total,
        )

    def _ask(self, history: History, user: Ints, at: Ints | int, *, same_ms: bool) -> tuple[Past, Floats, Floats]:
        """The past of each question, its user's s, and its time in days since the start."""
        time = np.broadcast_to(np.asarray(at, dtype=np.int64) - history.start_ms, len(user))
        if len(time) and time.min() < 0:
            raise ValueError(f"at: expected {history.start_ms} or later, got {time.min() + history.start_ms}")
        base = np.array(self._world.segment_bases)[history.segment[user]]
        return Past(self._world, history, user, time, same_ms=same_ms), base, time / DAY_MS

    def _posterior(self, history: History, past: Past, base: Floats, days: Floats) -> Floats:
        world, classes = self._world, self._classes
        organic = world.organic_search_rate * classes.intent
        bought = world.baseline_conversion_rate * base * days + past.total(past.compensator(CN))
        log = (
            np.log(classes.share)
            + np.outer(past.count(IM), np.log(classes.rate))
            + np.outer(past.count(CN), np.log(classes.intent))
            - np.outer(days, classes.rate + organic)
            - np.outer(bought, classes.intent)
        )
        # A search is organic or induced by an earlier event; only the first is evidence of the intent.
        searches = np.flatnonzero(history.type == PS)
        before = Past(world, history, history.user[searches], history.time[searches], same_ms=False)
        induced = before.total(before.intensity(PS))
        pairs = np.flatnonzero(past.type == PS)
        search = np.searchsorted(searches, past.event[pairs])
        for k, rate in enumerate(organic):
            log[:, k] += np.bincount(past.question[pairs], np.log(rate + induced)[search], minlength=len(days))
        weight = np.exp(log - log.max(axis=1, keepdims=True))
        posterior: Floats = weight / weight.sum(axis=1, keepdims=True)
        return posterior
