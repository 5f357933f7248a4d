"""The past: how much of each event's influence remains at a later time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from simulator.event_columns import DAY_MS, IM, Floats, Ints
from simulator.fatigue import fatigue
from simulator.history import History
from simulator.world import Branch, World


class Past:
    """The events before each question (user, time in ms since the start), by pair of question and event.

    The same ms counts as before only when `same_ms`. `event` is the pair's position in the history, `age`
    is in days.
    """

    def __init__(self, world: World, history: History, user: Ints, time: Ints, *, same_ms: bool) -> None:
        self._world = world
        self._questions = len(user)
        self.question, self.event = history.look_back(user, time + 1 if same_ms else time)
        self.age: Floats = (time[self.question] - history.time[self.event]) / DAY_MS
        self.type = history.type[self.event]
        self._campaign = history.campaign[self.event]
        self._history = history

    @cached_property
    def _fatigue(self) -> Floats:
        history = self._history
        multiplier = np.ones(len(history.user))
        impression = history.type == IM
        multiplier[impression] = fatigue(self._world, history.user[impression], history.time[impression])
        return multiplier[self.event]

    def count(self, kind: int) -> Ints:
        """How many events of this type precede each question."""
        return np.bincount(self.question[self.type == kind], minlength=self._questions)

    def total(self, values: Floats) -> Floats:
        """The sum of the pairs' `values` by question."""
        result: Floats = np.bincount(self.question, values, minlength=self._questions).astype(np.float64)
        return result

    def decayed_by_campaign(self, branch: Branch) -> Floats:
        """D_AB: decayed counts of the branch's parents, fatigue included, (questions, codes), NA last."""
        pairs, codes = self.type == branch.parent, len(self._world.campaign_names) + 1
        left = np.exp(-self.age[pairs] / branch.delay)
        if branch.fatigued:
            left *= self._fatigue[pairs]
        cell = self.question[pairs] * codes + self._campaign[pairs] % codes
        counts: Floats = np.bincount(cell, left, minlength=self._questions * codes).astype(np.float64)
        return counts.reshape(-1, codes)

    def intensity(self, child: int) -> Floats:
        """By pair, the rate a day at which the event has such children now; per unit of z where keen."""
        return self._by_pair(child, lambda branch, age: np.exp(-age / branch.delay) / branch.delay)

    def compensator(self, child: int) -> Floats:
        """By pair, the expected number of such children until now; per unit of z where keen."""
        return self._by_pair(child, lambda branch, age: -np.expm1(-age / branch.delay))

    def _by_pair(self, child: int, factor: Callable[[Branch, Floats], Floats]) -> Floats:
        result = np.zeros(len(self.event))
        for branch in self._world.branches:
            if branch.child == child:
                pairs = self.type == branch.parent
                part = branch.means(self._campaign[pairs]) * factor(branch, self.age[pairs])
                result[pairs] = part * self._fatigue[pairs] if branch.fatigued else part
        return result
