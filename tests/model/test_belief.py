"""A model is believed by its live grade, else by its own test; worse is called worse."""

import json

import pytest

from model.scoring.belief import believe
from model.scoring.judgement import Ends, Standing, judge
from model.scoring.known_campaigns import unknown_campaigns
from schemas.advice import Policy
from schemas.grades import ALL, CLOCK, EVENT, MODEL, Grade
from tests.model.worlds import MODELS
from tests.viz.streams import ROOT, load

DEFAULT, SEED = load(ROOT / "model" / "default.json"), MODELS["seed"]
GOOD = {
    "auc": 0.78, "auc_low": 0.75, "auc_high": 0.81, "log_loss": 0.11, "base_log_loss": 0.125, "information": 0.12,
    "information_low": 0.1, "information_high": 0.14, "observed_over_expected": 1.0,
    "observed_over_expected_low": 0.9, "observed_over_expected_high": 1.1, "brier": 0.02,
}  # fmt: skip
WORSE = {**GOOD, "auc_low": 0.45, "auc_high": 0.6, "information_low": -0.2, "information_high": -0.01}
CHANCE = {**GOOD, "auc_low": 0.44, "auc_high": 0.61, "information_low": -0.02, "information_high": 0.01}
FEW = {**GOOD, "auc_low": 0.0, "auc_high": 1.0, "information_low": None, "information_high": None}


def grade(model, kind=CLOCK, day=ALL, **measures):
    return Grade(model.id, kind, day, MODEL, 1_000, 500, 30, 0, 1, **measures)


@pytest.mark.parametrize(
    ("ends", "standing", "words"),
    [
        # the test of a model that was trained on touchpoints without a signal: information -0.023 to -0.0001
        ((0.443, 0.609, -0.023, -0.0001, 0.66, 1.46), Standing.WORSE, "worse than the base rate"),
        (
            (0.407, 0.675, -0.087, 0.006, 0.86, 2.4),
            Standing.NO_BETTER,
            "no better than the base rate, within the error",
        ),
        ((0.6, 0.7, -0.3, -0.1, 0.3, 0.4), Standing.WORSE, "ranks better than chance, but its percentages are worse"),
        ((0.3, 0.4, -0.1, 0.1, 0.9, 1.1), Standing.WORSE, "worse than the base rate: it ranks worse than chance"),
        ((0.6, 0.7, -0.1, 0.1, 0.9, 1.1), Standing.RANKING, "ranks better than chance, but its percentages are no"),
        ((0.6, 0.7, 0.01, 0.1, 0.9, 1.1), Standing.BETTER, "better than the base rate, and calibrated"),
        ((0.0, 1.0, -0.2, -0.1, 0.9, 1.1), Standing.UNKNOWN, "no better than the base rate, as far as so few users"),
        ((0.0, 1.0, None, None, None, None), Standing.UNKNOWN, "no better than the base rate, as far as so few users"),
    ],
)
def test_what_lies_below_the_base_rate_is_worse_and_what_spans_it_no_better(ends, standing, words):
    found = judge(Ends(*ends))
    assert found.standing is standing
    assert found.words.startswith(words)


@pytest.mark.parametrize(
    ("grades", "believed"),
    [
        ([], True),
        ([grade(SEED, **GOOD)], True),
        ([grade(SEED, **WORSE)], False),
        ([grade(SEED, EVENT, **WORSE), grade(SEED, **GOOD)], False),
        ([grade(SEED, **CHANCE)], False),
        ([grade(SEED, **FEW)], True),
        ([grade(SEED)], True),
        ([grade(SEED, day="2017-06-22", **WORSE)], True),
        ([grade(DEFAULT, **WORSE)], True),
    ],
)
def test_a_live_grade_decides(grades, believed):
    assert believe(SEED, grades, Policy.BELIEVED).believed == believed
    assert believe(SEED, grades, Policy.ALWAYS).believed
    good = [each for each in grades if each.model_id == SEED.id and each.day == ALL and each.auc_low == 0.75]
    assert believe(SEED, grades, Policy.GRADED).believed == (len(good) == len(grades) > 0)


def with_test(**intervals):
    """The default model, as if its test had said so of both places."""
    document = json.loads(DEFAULT.model_dump_json())
    for place in document["metrics"].values():
        for name, (low, high) in intervals.items():
            place[name] |= {"low": low, "high": high}
    document["trained_on"].pop("world", None)
    return type(DEFAULT).from_json(json.dumps(document))


def test_without_one_the_own_test_does():
    worse = with_test(auc=(0.44, 0.6), information=(-0.02, -0.001))
    belief = believe(worse, [], Policy.BELIEVED)
    assert (belief.believed, belief.standing) == (False, Standing.WORSE)
    assert belief.why.startswith(
        "Model default, on its test users: right after events worse than the base rate; at any"
    )
    assert believe(worse, [grade(worse, **GOOD)], Policy.BELIEVED).believed
    assert not believe(DEFAULT, [grade(DEFAULT, **WORSE)], Policy.BELIEVED).believed


def test_a_test_in_the_simulated_world_says_nothing_of_another():
    assert believe(DEFAULT, [], Policy.GRADED, simulated=True).believed
    elsewhere = believe(DEFAULT, [], Policy.GRADED)
    assert (elsewhere.believed, elsewhere.standing) == (False, Standing.UNKNOWN)
    assert "in the simulated world only" in elsewhere.why


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (["Online Display", "Online Video", "Paid Search", "Instagram"], "knows none of the 4 campaigns of this log"),
        (["Frühling"], "does not know the one campaign of this log, “Frühling”"),
        (["Frühling", "Loyalty"], ""),
        (["", "NA"], ""),
        ([], ""),
    ],
)
def test_a_model_that_knows_none_of_the_campaigns_says_so(seen, line):
    found = unknown_campaigns(DEFAULT, seen)
    assert bool(found) == bool(line)
    assert line in found
    assert unknown_campaigns(SEED, ["x"]).startswith("model seed tells no campaigns apart")


def test_grades_of_few_users_have_no_interval_and_are_no_reason():
    few = grade(SEED, **FEW)
    assert few.verdict == "no better than the base rate, as far as so few users can tell"
    assert grade(SEED).verdict == "all rows have one label so far"
