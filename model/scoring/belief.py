"""Whether a model is believed: what is shown or published as advice, or as credit by the model, rests on it.

The grade of a model's live scores decides where there is one, else the test of its training, that the model file
carries. Of the two places of each (right after events, at any time) the worse one counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from model.scoring.judgement import Ends, Judgement, Standing, judge, worst
from model.scoring.propensity import Model
from schemas.advice import Policy
from schemas.grades import ALL, CLOCK, EVENT, Grade

_PLACES = {EVENT: "right after events", CLOCK: "at any time"}
_NOT_BELIEVED = (Standing.NO_BETTER, Standing.WORSE)


@dataclass(frozen=True, slots=True)
class Belief:
    """Whether what a model advises is given, how it stands by its grades, and those in a sentence."""

    believed: bool
    standing: Standing
    why: str


def believe(model: Model, grades: Iterable[Grade], policy: Policy, simulated: bool = False) -> Belief:
    """Judge a model by the grades of its live scores, else by its test.

    Args:
        model: the model.
        grades: those of a store, also of other models and of single days.
        policy: what is believed.
        simulated: whether the stream is the simulated world's; a test in that world says nothing of another.
    """
    live = {each.kind: each.judgement for each in grades if each.model_id == model.id and each.day == ALL}
    found, where = _known(live), "on this stream"
    if not found and model.metrics is not None:
        tests = {EVENT: model.metrics.at_events, CLOCK: model.metrics.at_clock_times}
        found, where = _known({kind: judge(Ends.of(each)) for kind, each in tests.items()}), "on its test users"
    record = model.trained_on
    if found and where == "on its test users" and record is not None and record.world and not simulated:
        found, why = (
            {},
            f"Model {model.id} was tested in the {record.world} world only, which says nothing of this one.",
        )
    else:
        why = f"Nothing is known yet of how good model {model.id} is."
    standing = worst(each.standing for each in found.values())
    if found:
        words = [f"{_PLACES[kind]} {each.words}" for kind, each in found.items() if each.standing is standing]
        why = f"Model {model.id}, {where}: {'; '.join(words)}."
    believed = {
        Policy.BELIEVED: standing not in _NOT_BELIEVED,
        Policy.GRADED: standing is Standing.BETTER,
        Policy.ALWAYS: True,
    }[policy]
    return Belief(believed, standing, why)


def _known(judgements: dict[str, Judgement]) -> dict[str, Judgement]:
    return {kind: each for kind, each in judgements.items() if each.standing is not Standing.UNKNOWN}
