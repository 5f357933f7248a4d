"""The next action against what is true in the simulated world, of users that training never saw."""

from __future__ import annotations

import numpy as np

from model.actions.catalogue import Actions
from model.actions.next_best import Advisor
from model.features.kinds import Feature
from model.scoring.propensity import Model, Scorer
from simulator import World
from tests.flow.running import ROOT
from tests.jobs.worlds import DAY, START, world_log

USERS, DAYS, SEED = 3_000, 45, 4711
AT = START + 38 * DAY
TOP = 10
"""One of so many is looked at."""


def of_top(ranked_by: np.ndarray, gains: np.ndarray) -> float:
    """The sum of the gains of the top decile of a ranking; of equal ones the mean counts."""
    count = len(ranked_by) // TOP
    least = np.sort(ranked_by)[-count]
    surely, tied = ranked_by > least, ranked_by == least
    return float(gains[surely].sum() + (count - surely.sum()) * gains[tied].mean())


def test_the_models_top_decile_gains_three_quarters_of_the_oracles() -> None:
    """At one clock time; over all impressions that could be shown, and over users with the best of theirs.

    And more than the top decile by propensity does.
    """
    model = Model.from_json((ROOT / "model" / "default.json").read_bytes())
    actions, columns = Actions.from_json((ROOT / "model" / "actions.json").read_bytes()), dict[Feature, int]()
    advisor = Advisor(model, actions, columns)
    log, truth = world_log(USERS, DAYS, SEED)
    there = np.flatnonzero(log.replay.timestamps[log.replay.bounds[:-1]] <= AT)
    moments = log.replay.at(there, np.full(len(there), AT))
    features = log.replay.features(tuple(columns), moments)
    scores = Scorer(model, advisor.columns)(features)
    shown = [place for place, action in enumerate(advisor.actions) if action.type == "IM"]
    assert [advisor.actions[place].campaign for place in shown] == list(World().campaigns)
    options = [advisor.options(row, score) for row, score in zip(features, scores.tolist(), strict=True)]
    said = np.array([[own[place].gain for place in shown] for own in options])
    without = truth.propensities(log, moments, 7)
    with_one = [truth.propensities(log, moments, 7, shown=campaign) for campaign in range(len(shown))]
    true = np.transpose(with_one) - without[:, np.newaxis]

    best, by_propensity = of_top(true.ravel(), true.ravel()), np.repeat(scores, len(shown))
    share, of_likely = of_top(said.ravel(), true.ravel()) / best, of_top(by_propensity, true.ravel()) / best
    print(f"pairs of user and campaign: {share:.3f} of the oracle's, by propensity {of_likely:.3f}")
    assert share > max(0.75, of_likely)

    chosen, best = true[np.arange(len(true)), said.argmax(axis=1)], of_top(true.max(axis=1), true.max(axis=1))
    share, of_likely = of_top(said.max(axis=1), chosen) / best, of_top(scores, chosen) / best
    print(f"users, with the campaign that is best for them: {share:.3f}, by propensity {of_likely:.3f}")
    assert share > max(0.75, of_likely)
