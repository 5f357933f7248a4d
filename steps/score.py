"""Features -> propensities, and what to do next: the scoring map."""

from __future__ import annotations

from schemas.scored import ScoredRows
from steps.sequencing import Sequenced


def score(item: Sequenced) -> ScoredRows:
    """Score every row of a batch by the model of its time, and recommend the next best action after it."""
    update, outcomes, models = item.update, item.update.outcomes, item.models
    scores, which = models.score(update.features, outcomes["timestamp"])
    advice = models.advise(update.features, scores, which, item.events, outcomes["user_row"])
    found = outcomes, scores, models.ids, which, update.rivals, advice, update.credits
    return ScoredRows(item.events, *found, item.forgotten)
