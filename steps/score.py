"""Features -> propensities: the scoring map."""

from __future__ import annotations

from collections.abc import Callable

from model.propensity import Scorer
from schemas.scored import ScoredRows
from steps.sequences import Sequenced


def score_with(scorer: Scorer) -> Callable[[Sequenced], ScoredRows]:
    """The step that scores every row of a batch."""

    def score(item: Sequenced) -> ScoredRows:
        update = item.update
        scores = scorer(update.features)
        found = update.outcomes, scores, scorer.model_id, update.rivals, update.credits
        return ScoredRows(item.events, *found, item.forgotten)

    return score
