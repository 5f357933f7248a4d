"""What a propensity is made of: its parts add up, and are those of the integral."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from model.attribution.explanation import Explainer
from model.features.curve import Curve, Sequence
from model.scoring.propensity import Model
from schemas.event_types import TYPES
from schemas.events import Event
from tests.model.driving import DAY, HOUR, TIME, event
from tests.model.worlds import MODELS, TIMES, events

PLAIN = Model.from_json(json.dumps({
    "id": "plain", "intercept": -3.0, "horizon": "7d",
    "features": [
        {"aggregation": "count", "type": "IM", "look_back": "10d", "weight": 0.4},
        {"aggregation": "decayed_count", "type": "CL", "campaign": "a", "half_life": "12h", "weight": 1.5},
        {"aggregation": "recency", "type": "CL", "never": 6.0, "weight": -0.2},
        {"aggregation": "time_between", "type": "IM", "never": 4.0, "weight": -0.3},
    ],
    "attribution": {"horizon": "1d", "intercept": -9.0, "weights": [0.0, 0.0, 0.0, 0.0]},
}))  # fmt: skip
"""Paid searches and conversions have no part in it; the short-term vector says nothing."""


def sequence_of(sent: list[Event]) -> Sequence:
    sent = sorted(sent, key=lambda each: (each.timestamp, TYPES.index(each.type)))
    return Sequence(
        np.array([each.timestamp for each in sent], np.int64),
        np.array([TYPES.index(each.type) for each in sent], np.int64),
        tuple(each.campaign for each in sent),
        refunds=np.array([each.type == "CN" and each.revenue < 0 for each in sent], np.bool_),
    )


@given(st.lists(events, max_size=40), st.sampled_from(TIMES), st.sampled_from([1, 3, 1_000]))
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_parts_add_up_to_the_curve_by_event_and_by_feature(model, sent, after, length) -> None:
    sequence, time = sequence_of(sent), TIME + after
    found = Explainer(model, length).explain(sequence, time)
    count = int((sequence.timestamps <= time).sum())
    assert (found.of_event.shape, found.of_feature.shape) == ((count,), (len(model.features),))
    curve = float(Curve(model, length).propensity(sequence, np.array([time]))[0])
    assert found.propensity == pytest.approx(curve, abs=1e-12)
    assert found.baseline + found.of_event.sum() == pytest.approx(found.propensity, abs=1e-15)
    assert found.baseline + found.of_feature.sum() == pytest.approx(found.propensity, abs=1e-13)
    assert not found.of_event[: max(count - length, 0)].any()
    nobody = float(Curve(model, length).propensity(sequence_of([]), np.array([time]))[0])
    assert found.baseline == pytest.approx(nobody, abs=1e-6)


@given(st.lists(events, max_size=40), st.sampled_from(TIMES))
def test_an_event_that_matches_no_feature_adds_nothing(sent, after) -> None:
    sequence = sequence_of(sent)
    found = Explainer(PLAIN, 1_000).explain(sequence, TIME + after)
    matching = np.isin(sequence.types[: len(found.of_event)], [TYPES.index("IM"), TYPES.index("CL")])
    assert not found.of_event[~matching].any()


def test_by_hand() -> None:
    """Each part integrated by SciPy from the definition."""
    sent = [
        event("i1", 0), event("c1", HOUR, "CL", campaign="a"), event("i2", 5 * HOUR), event("p", 6 * HOUR, "PS"),
        event("c2", 30 * HOUR, "CL", campaign="b"), event("n", 31 * HOUR, "CN"),
    ]  # fmt: skip
    click = 2 ** (-39 / 12)
    since, between = math.log1p(10) - 6.0, math.log1p(5) - 4.0

    def slope(alpha: float) -> float:
        logit = (
            -3.0 + 0.4 * math.log1p(2 * alpha) + 1.5 * math.log1p(alpha * click)
            - 0.2 * (6.0 + alpha * since) - 0.3 * (4.0 + alpha * between)
        )  # fmt: skip
        chance = 1 / (1 + math.exp(-logit))
        return chance * (1 - chance)

    def phi(inner) -> float:
        return quad(lambda alpha: slope(alpha) * inner(alpha), 0, 1, epsabs=1e-13)[0]

    impression, clicked = phi(lambda a: 0.4 / (1 + 2 * a)), phi(lambda a: 1.5 * click / (1 + a * click))
    recent, apart = phi(lambda _: -0.2 * since), phi(lambda _: -0.3 * between)
    found = Explainer(PLAIN, 1_000).explain(sequence_of(sent), TIME + 40 * HOUR)
    assert found.of_event == pytest.approx([impression, clicked, impression + apart, 0.0, recent, 0.0], abs=1e-9)
    assert found.of_feature == pytest.approx([2 * impression, clicked, recent, apart], abs=1e-9)
    assert found.baseline == pytest.approx(1 / (1 + math.exp(3.0 + 1.2 + 1.2)), abs=1e-9)


def test_before_the_first_event_all_is_the_baseline() -> None:
    found = Explainer(PLAIN, 1_000).explain(sequence_of([event("i1", DAY)]), TIME)
    assert not len(found.of_event)
    assert not found.of_feature.any()
    assert found.baseline == found.propensity
