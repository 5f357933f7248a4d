"""Model files: what is read, and what is refused with one line that names the field."""

import copy
import json
import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.features.plan import FeaturePlan
from model.scoring.propensity import Model, Scorer
from schemas.errors import ModelFileError
from tests.model.worlds import FOLDER, MODELS, RICH

COUNT = {"aggregation": "count", "type": "IM", "look_back": "30d", "weight": 0.1}
GOOD = {"id": "m", "intercept": -2.0, "horizon": "7d", "features": [COUNT]}
DROP = object()


def changed(**changes):
    """The good file with some top-level fields changed or dropped."""
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not DROP}


def feature(**changes):
    """The good file whose only feature is changed."""
    fields = {name: value for name, value in {**COUNT, **changes}.items() if value is not DROP}
    return changed(features=[fields])


def other(aggregation):
    """The good file whose only feature is of another aggregation and has nothing of its own."""
    return feature(aggregation=aggregation, look_back=DROP)


BROKEN = {
    "no id": (changed(id=DROP), "id"),
    "empty id": (changed(id=""), "id"),
    "long id": (changed(id="x" * 101), "id"),
    "id is a number": (changed(id=7), "id"),
    "no intercept": (changed(intercept=DROP), "intercept"),
    "intercept is text": (changed(intercept="low"), "intercept"),
    "intercept is NaN": (changed(intercept=math.nan), "intercept"),
    "intercept is infinite": (changed(intercept=math.inf), "intercept"),
    "no horizon": (changed(horizon=DROP), "horizon"),
    "horizon without a unit": (changed(horizon="7"), "horizon"),
    "horizon below a minute": (changed(horizon="59s"), "horizon"),
    "valid_from without a zone": (changed(valid_from="2026-12-01T00:00:00"), "valid_from"),
    "valid_from is no time": (changed(valid_from="soon"), "valid_from"),
    "unknown field": (changed(author="me"), "author"),
    "no features": (changed(features=DROP), "features"),
    "empty features": (changed(features=[]), "features"),
    "too many features": (changed(features=[COUNT] * 257), "features"),
    "features is a dict": (changed(features=COUNT), "features"),
    "no aggregation": (feature(aggregation=DROP), "features.0"),
    "unknown aggregation": (feature(aggregation="mean"), "features.0"),
    "unknown type": (feature(type="XX"), "features.0.count.type"),
    "no weight": (feature(weight=DROP), "features.0.count.weight"),
    "weight is infinite": (feature(weight=-math.inf), "features.0.count.weight"),
    "empty campaign": (feature(campaign=""), "features.0.count.campaign"),
    "no look-back": (feature(look_back=DROP), "features.0.count.look_back"),
    "look-back without a unit": (feature(look_back=30), "features.0.count.look_back"),
    "look-back of nothing": (feature(look_back="0ms"), "features.0.count.look_back"),
    "look-back beyond 100 years": (feature(look_back="36501d"), "features.0.count.look_back"),
    "misspelt look-back": (feature(lookback="3d"), "features.0.count.lookback"),
    "a half-life in a count": (feature(half_life="3d"), "features.0.count.half_life"),
    "no half-life": (other("decayed_count"), "features.0.decayed_count.half_life"),
    "recency without never": (other("recency"), "features.0.recency.never"),
    "time between without never": (other("time_between"), "features.0.time_between.never"),
    "look-back in events since": (feature(aggregation="events_since"), "features.0.events_since.look_back"),
    "second feature": (changed(features=[COUNT, {**COUNT, "weight": "x"}]), "features.1.count.weight"),
    "a huge weight": (feature(weight=1.7e308), "features.0.count.weight"),
    "a huge intercept": (changed(intercept=-1.7e308), "intercept"),
    "a list": ([], "file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_model_file_is_refused_with_one_line_that_names_the_field(case):
    document, field = BROKEN[case]
    with pytest.raises(ModelFileError) as error:
        Model.from_json(json.dumps(document))
    assert str(error.value).startswith(f"{field}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "null", '{"id": "m"', b"\xff\xfe", "[1, 2]"])
def test_what_is_not_json_of_an_object_is_refused(text):
    with pytest.raises(ModelFileError) as error:
        Model.from_json(text)
    assert str(error.value).startswith("file: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[!a]*.json")), ids=lambda path: path.name)
def test_every_shipped_model_loads_and_scores(path):
    model = Model.from_json(path.read_bytes())
    assert model.id == path.stem
    scores = Scorer(model)(np.zeros((1, len(model.features))))
    assert 0 < scores[0] < 1


def test_the_seed_is_the_original_model():
    """30 days of impressions 0.01, 7 of clicks 0.1, 2 of paid searches 1.0, a year of conversions 1.99."""
    seed = MODELS["seed"]
    assert seed.intercept == -2
    assert [(f.type, f.look_back, f.weight) for f in seed.features] == [
        ("IM", timedelta(days=30), 0.01),
        ("CL", timedelta(days=7), 0.1),
        ("PS", timedelta(days=2), 1.0),
        ("CN", timedelta(days=365), 1.99),
    ]


def test_a_model_is_written_as_it_was_read():
    for model in MODELS.values():
        assert Model.from_json(model.model_dump_json()) == model
    again = json.loads(MODELS["rich"].model_dump_json(exclude_none=True))
    expected = copy.deepcopy(RICH)
    for each in expected["features"]:
        if "half_life" in each or "look_back" in each:
            assert isinstance(each.get("half_life", each.get("look_back")), str)
    assert again == expected


def test_a_model_is_valid_from_a_millisecond_on():
    """The first one that is not before its time."""
    texts = ["1970-01-01T00:00:01Z", "1970-01-01T01:00:01.5+01:00", "1970-01-01T00:00:00.000001Z"]
    models = [Model.from_json(json.dumps(changed(valid_from=text))) for text in texts]
    assert [model.start for model in models] == [1_000, 1_500, 1]
    assert [Model.from_json(model.model_dump_json()) for model in models] == models


def test_a_feature_has_a_name_for_people():
    names = [each.name for each in MODELS["rich"].features]
    assert names[0] == "count(any, 2d)"
    assert names[1] == "count(CL, a, 2d)"
    assert names[4] == "decayed_count(any, b, 1d)"
    assert names[8] == "recency(PS)"
    assert len(set(names)) == len(names)


def test_a_plan_shares_time_scales():
    plan = FeaturePlan.of(MODELS["rich"].features)
    assert plan.arrays.windows.tolist() == [1, 172_800_000, 604_800_000]
    assert plan.arrays.half_lives.tolist() == [3_600_000.0, 86_400_000.0]
    assert plan.campaigns == ("a", "b", "c")


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 20)), min_size=1, max_size=12), st.floats(-50, 50))
def test_a_score_is_the_logistic_of_the_weighted_sum(pairs, intercept):
    features = [{**COUNT, "weight": weight} for weight, _ in pairs]
    model = Model.from_json(json.dumps(changed(intercept=intercept, features=features)))
    values = np.array([[value for _, value in pairs]])
    logit = intercept
    for weight, value in pairs:
        logit += weight * value
    expected = 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
    assert Scorer(model)(values)[0] == pytest.approx(expected, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize(("intercept", "expected"), [(1e9, 1.0), (-1e9, 0.0), (800.0, 1.0), (-800.0, 0.0), (0.0, 0.5)])
def test_a_score_far_out_is_a_probability(intercept, expected):
    """Neither an error nor NaN."""
    model = Model.from_json(json.dumps(changed(intercept=intercept)))
    assert Scorer(model)(np.zeros((1, 1)))[0] == expected


def test_a_score_does_not_depend_on_the_rows_beside_it():
    rng = np.random.default_rng(3)
    features = rng.random((500, 16)) * 8
    scorer = Scorer(MODELS["decay"])
    together = scorer(features)
    assert together.tolist() == [scorer(features[row : row + 1])[0] for row in range(500)]
    assert scorer(np.empty((0, 16))).shape == (0,)


def test_the_default_model_is_a_trained_one():
    """With vectors for intervals and for attribution, better than the base rate, and no marketing weight below 0."""
    model = Model.from_json((FOLDER / "default.json").read_bytes())
    assert (model.id, model.horizon, model.attribution.horizon) == (
        "default",
        timedelta(days=7),
        timedelta(days=1),
    )
    assert len(model.bootstrap) == 20
    assert min(model.metrics.at_events.information.low, model.metrics.at_clock_times.information.low) > 0
    assert min(feature.weight for feature in model.features if feature.type != "CN") >= 0
    assert {feature.type for feature in model.features} == {None, "IM", "CL", "PS", "CN"}
