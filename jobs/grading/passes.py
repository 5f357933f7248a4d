"""One pass over a store: the grades of all models, of the scores whose labels are known by now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.grading.measures import Scored, grade
from jobs.grading.stored import Stored, each_part, sample
from jobs.model_files import models_of
from jobs.training.training_rows import DAY, draw, label
from model.durations import to_milliseconds
from model.replay import Moments
from model.scoring.propensity import Model, Scorer
from model.scoring.training_record import Grades
from model.timeline import Models
from schemas.grades import ALL, CHALLENGER, CLOCK, EVENT, MODEL, Grade
from stores.base import Reader

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is graded, and how.

    Args:
        first: the model whose scores are stored, where the store names none.
        challenger: a model that is graded beside them, unless it is one of the store's by now.
        days: UTC days that are graded, the last ones whose labels are known.
        most: users at the most; of more, a sample.
        length: the newest events of a user that count, as in the stream.
        daily: events of a user within 24 hours above which the user is set apart; 0 sets nobody apart.
    """

    first: Model
    challenger: Model | None
    days: int
    most: int
    length: int
    daily: int = 0


@dataclass(slots=True)
class Pass:
    """What one pass found.

    `now` is the newest event time (ms), `first` the oldest of the users looked at, `models` are those that were looked
    for, a challenger last. Of `users` users a `share` was looked at: `looked_at`. At clock times, and for the
    challenger, `cut` of them are left out because their first events are no longer stored; `set_apart` are automated,
    and have no grades. `unknown` scores by model id
    are of models that the store does not name.
    """

    now: int
    first: int
    models: tuple[Model, ...]
    users: int
    share: float
    looked_at: int = 0
    cut: int = 0
    set_apart: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    grades: list[Grade] = field(default_factory=list)


class _Rows:
    """The graded rows of a model, taken part by part."""

    def __init__(self, model: Model, role: str) -> None:
        self.model, self.role = model, role
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], Flags, Flags, NDArray[np.float64]]] = []

    def add(self, moments: Moments, at_event: Flags, labels: Flags, scores: NDArray[np.float64], before: int) -> None:
        """Take rows of users, of whom so many came before."""
        self._parts.append((moments.users + before, moments.times // DAY, at_event, labels, scores))

    def grades(self, until: int, version: int) -> Iterator[Grade]:
        """The grades of both kinds, of all days together and of each."""
        if not self._parts:
            return
        users, days, at_event, labels, scores = map(np.concatenate, zip(*self._parts, strict=True))
        scored = Scored(users, labels, scores)
        for kind, own in ((EVENT, at_event), (CLOCK, ~at_event)):
            for day in (None, *np.unique(days[own]).tolist()):
                chosen = own if day is None else own & (days == day)
                if chosen.any():
                    name = ALL if day is None else str(np.datetime64(day, "D"))
                    yield self._grade(kind, name, scored.take(chosen), until, version)

    def _grade(self, kind: str, day: str, scored: Scored, until: int, version: int) -> Grade:
        return Grade(
            model_id=self.model.id,
            kind=kind,
            day=day,
            role=self.role,
            rows=len(scored.users),
            users=len(np.unique(scored.users)),
            positives=int(scored.labels.sum()),
            graded_until=until,
            version=version,
            **_measures(grade(scored)),
        )


def _measures(grades: Grades | None) -> dict[str, float | None]:
    if grades is None:
        return {}
    found: dict[str, float | None] = {
        "log_loss": grades.log_loss.value,
        "base_log_loss": grades.base_log_loss,
        "brier": grades.brier.value,
    }
    for name in ("auc", "information", "observed_over_expected"):
        estimate = getattr(grades, name)
        found |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return found


def grade_store(reader: Reader, plan: Plan) -> Pass | None:
    """Grade what a store holds, by the store's models; None where it holds no scores.

    Of each user and UTC day one event and one clock time are drawn by hash, as they are for training. Their labels are
    known once event time has passed t + h, of positive ones no sooner than of negative ones. The score of an event is
    the stored one, graded under the model that made it; that of a clock time is made
    here, from the stored sequence, by the model that was valid then, and so are all of the challenger's.

    Raises:
        StoreError: the store cannot be read, or has something among its models that is none.
    """
    now = reader.summary().newest
    if now is None:
        return None
    user_ids, models = reader.user_ids(), models_of(reader.models(), plan.first)
    chosen, share = sample(user_ids, plan.most)
    rows = [_Rows(model, MODEL) for model in models.models]
    if plan.challenger is not None and plan.challenger.id not in models.ids:
        rows.append(_Rows(plan.challenger, CHALLENGER))
    found = Pass(now, now, tuple(each.model for each in rows), len(user_ids), share)
    for stored in each_part(reader, chosen, plan.daily):
        _take(stored, plan, models, rows, found)
    version = max([now * 1000, *(held.version + 1 for held in reader.grades())])
    for each in rows:
        found.grades += each.grades(now - to_milliseconds(each.model.horizon), version)
    return found


def _take(stored: Stored, plan: Plan, models: Models, rows: Sequence[_Rows], found: Pass) -> None:
    """Draw moments of some users, and add them with labels and scores to the rows of their models."""
    replay = stored.log.replay
    drawn = dict[int, tuple[Moments, Flags, Flags]]()
    for number, each in enumerate(rows):
        model, horizon = each.model, to_milliseconds(each.model.horizon)
        if horizon not in drawn:
            last = found.now - horizon
            moments, at_event = draw(stored.log, (last // DAY - plan.days + 1) * DAY, last)
            drawn[horizon] = moments, at_event, label(stored.log, moments, horizon)
        moments, at_event, labels = drawn[horizon]
        events, computed = stored.last_events(moments), stored.whole[moments.users]
        told = np.zeros(len(moments), np.bool_)
        if each.role == MODEL:
            told = at_event & stored.made_by(model.id)[events]
            computed &= ~at_event & (models.which(moments.times) == number)
        scores = stored.propensities[events]
        scores[computed] = Scorer(model)(replay.features(model.features, moments.take(computed), plan.length))
        graded = told | computed
        each.add(moments.take(graded), at_event[graded], labels[graded], scores[graded], found.looked_at)
    unknown = [name for name in stored.model_ids if name not in models.ids]
    found.unknown.update({name: int(stored.made_by(name).sum()) for name in unknown})
    found.looked_at += len(replay.hashes)
    found.first = min(found.first, int(replay.timestamps.min(initial=found.first)))
    found.cut += int((~stored.whole).sum())
    found.set_apart += int(stored.log.set_apart.sum())
