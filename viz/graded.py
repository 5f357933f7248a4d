"""How good the model is, in words: on the test of its training, and on this stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from model.scoring.judgement import Ends, judge
from model.scoring.propensity import Model
from model.scoring.training_record import HISTORY, Estimate, Grades, TrainedOn
from schemas.grades import ALL, CHALLENGER, CLOCK, EVENT, MODEL, Grade
from viz.words import number, percent, short_moment, visible

Facts = dict[str, Any]
AT_EVENTS = "Right after an event"
YOUNG = (
    "The stream is young: what users did before it is not known here, so that these scores are lower than they should "
    "be. Judge the model by a later grade."
)
AVERAGE = "giving everybody the average"
"""The base rate, for people."""


@dataclass(frozen=True, slots=True)
class _Measures:
    """What is told of a model: how often positive (0 to 1), and measures with their 95% intervals."""

    rate: float
    auc: Estimate
    ratio: Estimate
    information: Estimate
    log_losses: tuple[float, float]
    """The model's, and the base rate's."""

    @classmethod
    def of_test(cls, grades: Grades) -> _Measures | None:
        if not grades.rows:
            return None
        rate = grades.positive / grades.rows
        log_losses = grades.log_loss.value, grades.base_log_loss
        return cls(rate, grades.auc, grades.observed_over_expected, grades.information, log_losses)

    @classmethod
    def of_stream(cls, grade: Grade) -> _Measures | None:
        """None while all rows have one label."""
        auc, ratio, information = (_estimate(grade, name) for name in ("auc", "observed_over_expected", "information"))
        log_losses = grade.log_loss, grade.base_log_loss
        if auc is None or ratio is None or information is None or log_losses[0] is None or log_losses[1] is None:
            return None
        return cls(grade.positives / grade.rows, auc, ratio, information, (log_losses[0], log_losses[1]))


def _estimate(grade: Grade, name: str) -> Estimate | None:
    value, low, high = (getattr(grade, f"{name}{end}") for end in ("", "_low", "_high"))
    return None if value is None else Estimate(value=value, low=low, high=high)


def graded(model: Model, grades: Sequence[Grade], oldest: int | None = None) -> Facts:
    """The grades of the model's file, those of its live scores, and those of challengers' scores.

    `oldest` is when the stream began (ms), as far as its users tell; days that were graded tell as well.
    """
    sets = []
    if model.metrics is None:
        sets.append(
            {"title": "In training", "note": "The model file has no grades: its quality is unknown.", "lines": []}
        )
    else:
        at_any, at_events = (
            _Measures.of_test(each) for each in (model.metrics.at_clock_times, model.metrics.at_events)
        )
        sets.append(_set(_whose(model.trained_on), at_any, at_events))
    whole = [grade for grade in grades if grade.day == ALL]
    names = dict.fromkeys(grade.model_id for grade in whole if grade.model_id == model.id)
    newest = max((grade.version for grade in whole), default=0)  # a pass writes all of its grades at one version
    for role in (MODEL, CHALLENGER):  # models of before, too
        names |= dict.fromkeys(grade.model_id for grade in whole if grade.role == role and grade.version == newest)
    begun = None if oldest is None else min([oldest, *(_midnight(grade.day) for grade in grades if grade.day != ALL)])
    for name in names:
        mine = {grade.kind: grade for grade in whole if grade.model_id == name}
        last = max(grade.graded_until for grade in mine.values())
        until, is_young = short_moment(last), begun is not None and last - begun < HISTORY
        role = "Challenger" if any(grade.role == CHALLENGER for grade in mine.values()) else "Model"
        who = "On this stream" if name == model.id else f"{role} {visible(name)}, on this stream"
        live = [None if kind not in mine else _Measures.of_stream(mine[kind]) for kind in (CLOCK, EVENT)]
        sets.append(_set(f"{who}, until {until}", *live) | ({"caution": YOUNG} if is_young else {}))
    if model.id not in names:
        note = "No live grade yet: a score is graded once its horizon has passed."
        sets.append({"title": "On this stream", "note": note, "lines": []})
    return {"sets": sets, "model": visible(model.id)}


def _whose(record: TrainedOn | None) -> str:
    """Whose users a model was tested on: a test among the people of one log says little of another one's."""
    if record is None:
        return "On test users it never saw"
    log = f"the {record.world} world" if record.world else f"its log, {visible(record.log)}"
    return f"On test users of {log}, who were not in its training"


def _midnight(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1_000)


def _set(title: str, at_any: _Measures | None, at_events: _Measures | None) -> Facts:
    told = at_any or at_events
    if told is None:
        return {
            "title": title,
            "note": "Nobody converted so far, or everybody: there is nothing to compare.",
            "lines": [],
        }
    if at_any is None:
        title += ", right after events"
    auc, ratio, information = told.auc, told.ratio, told.information
    verdict = plainly(judge(Ends(auc.low, auc.high, information.low, information.high, ratio.low, ratio.high)).words)
    losses = f"log loss {told.log_losses[0]:.4f}, the average's {told.log_losses[1]:.4f}"
    lines = [
        {
            "text": f"Scores a user who converts above one who does not {auc.value * 100:.0f} times in 100.",
            "hint": f"{_interval(auc, 100, 0)}; guessing gives 50",
        },
        {
            "text": f"Expected {percent(told.rate / ratio.value)} to convert; {percent(told.rate)} did.",
            "hint": _interval(ratio, 1, 2, " times that"),
        },
        {
            "text": f"{_closeness(information.value)} what happened than {AVERAGE}.",
            "hint": f"{_interval(information, 100, 0, unit='%')}; {losses}",
        },
    ]
    if at_any and at_events:
        said, happened = percent(at_events.rate / at_events.ratio.value), percent(at_events.rate)
        text = f"{AT_EVENTS}: {at_events.auc.value * 100:.0f} times in 100; expected {said}, {happened} did."
        lines.append({"text": text, "hint": ""})
    return {"title": title, "verdict": verdict[0].upper() + verdict[1:], "lines": lines}


def plainly(words: str) -> str:
    """The words of a judgement, for marketers."""
    return words.replace("the base rate", AVERAGE).replace(
        "calibrated within the error", "as many convert as predicted, within the error"
    )


def _interval(estimate: Estimate, scale: float, decimals: int, what: str = "", unit: str = "") -> str:
    """An interval in words, where there are enough users for one."""
    if estimate.low is None or estimate.high is None:
        return "too few users for an interval"
    low, high = (number(each * scale, decimals) + unit for each in (estimate.low, estimate.high))
    return f"{low} to {high}{what}, with 95% certainty"


def _closeness(information: float) -> str:
    return f"{number(abs(information) * 100, 0)}% {'closer to' if information >= 0 else 'further from'}"
