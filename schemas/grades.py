"""Grades: how good a model's scores were, measured once their labels are known."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

from model.scoring.judgement import Ends, Judgement, Standing, judge

EVENT, CLOCK = "event", "clock"
"""Kinds of moments: right after an event, and at a clock time, one of each drawn of a user and day."""
ALL = "all"
"""In place of a day: all days that are graded."""
MODEL, CHALLENGER = "model", "challenger"
"""Roles: a model whose scores are stored and acted on, and one that is only graded beside it."""


@dataclass(frozen=True, slots=True)
class Grade:
    """The measures of a model's scores of one kind, of a UTC day (`2017-06-22`) or of all.

    Its key is (model_id, kind, day). `rows` moments of `users` users, of which `positives` had an order within the
    model's horizon. `graded_until` (event time, ms) is the last moment whose label was known. The greater `version` is
    the newer. Where all rows have one label the measures are None. `_low` and `_high` are the ends of a 95% interval
    over users, None where they are too few for one; `information` is the part of the base rate's log loss that is gone,
    `observed_over_expected` positive rows over the sum of propensities, each taken as 1e-15 at least.
    """

    model_id: str
    kind: str
    day: str
    role: str
    rows: int
    users: int
    positives: int
    graded_until: int
    version: int
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    log_loss: float | None = None
    base_log_loss: float | None = None
    information: float | None = None
    information_low: float | None = None
    information_high: float | None = None
    observed_over_expected: float | None = None
    observed_over_expected_low: float | None = None
    observed_over_expected_high: float | None = None
    brier: float | None = None

    @property
    def judgement(self) -> Judgement:
        """The verdict on the model."""
        if self.auc is None:
            return Judgement(Standing.UNKNOWN, "all rows have one label so far")
        ratio = self.observed_over_expected_low, self.observed_over_expected_high
        return judge(Ends(self.auc_low, self.auc_high, self.information_low, self.information_high, *ratio))

    @property
    def verdict(self) -> str:
        """The verdict on the model, in words."""
        return self.judgement.words

    @property
    def values(self) -> tuple[str | int | float | None, ...]:
        """Its fields, in the order of `COLUMNS`."""
        return astuple(self)


COLUMNS = tuple(field.name for field in fields(Grade))
"""The fields, and the columns of the table `grades`."""
