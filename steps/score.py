"""Features -> propensities: the scoring map."""

from __future__ import annotations

from collections.abc import Callable

from model.models import Models
from schemas.scored import ScoredRows
from steps.sequences import Sequenced


def score_with(models: Models) -> Callable[[Sequenced], ScoredRows]:
    """The step that scores every row of a batch."""

    def score(item: Sequenced) -> ScoredRows:
        update = item.update
        scores, which = models.score(update.features, update.outcomes["timestamp"])
        found = update.outcomes, scores, models.ids, which, update.rivals, update.credits
        return ScoredRows(item.events, *found, item.forgotten)

    return score
