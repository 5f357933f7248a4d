"""What the intervals of measures say about a model: a judgement, in one word to act on and in a few to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from model.scoring.training_record import Grades


class Standing(StrEnum):
    """How a model stands beside the base rate: saying for each user the share of all who convert."""

    UNKNOWN = "unknown"
    """Not graded, or of too few users."""
    BETTER = "better"
    RANKING = "ranking"
    """It ranks better than chance, and its percentages are no better, within the error."""
    NO_BETTER = "no better"
    """As far as the error allows to say."""
    WORSE = "worse"
    """Beyond the error."""


_ORDER = tuple(Standing)


def worst(standings: Iterable[Standing]) -> Standing:
    """The worst of what is known; unknown where nothing is.

    >>> worst([Standing.BETTER, Standing.NO_BETTER, Standing.UNKNOWN])
    <Standing.NO_BETTER: 'no better'>
    """
    return max(standings, key=_ORDER.index, default=Standing.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of 95% intervals over users, None where there are too few of them.

    `information` is the part of the base rate's log loss that is gone, `ratio` observed over expected.
    """

    auc_low: float | None
    auc_high: float | None
    information_low: float | None
    information_high: float | None
    ratio_low: float | None
    ratio_high: float | None

    @classmethod
    def of(cls, grades: Grades) -> Ends:
        """Those of grades."""
        auc, information, ratio = grades.auc, grades.information, grades.observed_over_expected
        return cls(auc.low, auc.high, information.low, information.high, ratio.low, ratio.high)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a model stands, and that in words which go behind its name."""

    standing: Standing
    words: str


def judge(ends: Ends) -> Judgement:
    """What intervals say. What lies below the base rate beyond the error is worse; what spans it, no better.

    An AUC that may be anything is that of too few users.

    >>> judge(Ends(0.7, 0.8, 0.04, 0.1, 0.9, 1.1)).words
    'better than the base rate, and calibrated within the error'
    >>> judge(Ends(0.7, 0.8, -0.01, 0.1, 0.9, 1.1)).words
    'ranks better than chance, but its percentages are no better than the base rate, within the error'
    >>> judge(Ends(0.7, 0.8, -0.2, -0.1, 0.3, 0.6)).words
    'ranks better than chance, but its percentages are worse than the base rate'
    >>> judge(Ends(0.45, 0.55, -0.01, 0.01, 0.9, 1.1)).words
    'no better than the base rate, within the error'
    >>> judge(Ends(0.45, 0.55, -0.2, -0.1, 0.9, 1.1)).words
    'worse than the base rate'
    >>> judge(Ends(0.2, 0.3, -0.2, 0.1, 0.9, 1.1)).words
    'worse than the base rate: it ranks worse than chance'
    >>> judge(Ends(0.0, 1.0, None, None, None, None)).words
    'no better than the base rate, as far as so few users can tell'
    """
    lows = (ends.auc_low, ends.information_low, ends.ratio_low)
    highs = (ends.auc_high, ends.information_high, ends.ratio_high)
    auc_low, information_low, ratio_low = (-1.0 if end is None else end for end in lows)
    auc_high, information_high, ratio_high = (2.0 if end is None else end for end in highs)
    if auc_low <= 0 and auc_high >= 1:
        return Judgement(Standing.UNKNOWN, "no better than the base rate, as far as so few users can tell")
    if auc_high < 0.5:
        return Judgement(Standing.WORSE, "worse than the base rate: it ranks worse than chance")
    if information_high < 0:
        words = "ranks better than chance, but its percentages are " if auc_low > 0.5 else ""
        return Judgement(Standing.WORSE, f"{words}worse than the base rate")
    if auc_low <= 0.5:
        return Judgement(Standing.NO_BETTER, "no better than the base rate, within the error")
    if information_low <= 0:
        words = "ranks better than chance, but its percentages are no better than the base rate, within the error"
        return Judgement(Standing.RANKING, words)
    words = "and calibrated within the error"
    if ratio_low > 1:
        words = "but says too little"
    elif ratio_high < 1:
        words = "but says too much"
    return Judgement(Standing.BETTER, f"better than the base rate, {words}")
