"""Features -> propensities: the scoring map."""

from __future__ import annotations

from schemas.scored import ScoredRows
from steps.sequences import Sequenced


def score(item: Sequenced) -> ScoredRows:
    """Score every row of a batch by the model of its time."""
    update, models = item.update, item.models
    scores, which = models.score(update.features, update.outcomes["timestamp"])
    found = update.outcomes, scores, models.ids, which, update.rivals, update.credits
    return ScoredRows(item.events, *found, item.forgotten)
