"""Credit for conversions: its axioms, and its independence of what came when."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from model.attribution.rules import Attribution
from model.bucket import Bucket
from model.features.curve import Curve, Sequence
from model.scoring.propensity import Model
from model.timeline import Models
from schemas.credits import BASELINE, RULES
from schemas.event_types import TYPES
from schemas.events import USER_ID, Event
from tests.model.driving import DAY, HOUR, TIME, batch_of, chunks, event
from tests.model.worlds import DOCUMENTS, FOLDER, MODELS, NAMES, cuts, events, within
from tests.reference import event_key, final_credits, load

LOOK_BACK = 30 * DAY
PLAIN = {
    "id": "plain", "intercept": -3.0, "horizon": "1d",
    "features": [
        {"aggregation": "count", "type": "IM", "look_back": "10d", "weight": 0.4},
        {"aggregation": "decayed_count", "type": "CL", "half_life": "12h", "weight": 1.5},
        {"aggregation": "decayed_count", "type": "CN", "half_life": "7d", "weight": 0.7},
        {"aggregation": "recency", "type": "CL", "never": 6.0, "weight": -0.2},
    ],
}  # fmt: skip
"""A sum of each kind, and a feature that is none; paid search has no weight."""


def model_of(document: dict) -> Model:
    return Model.from_json(json.dumps(document))


def credited(model: Model, sent: list[Event], places: list[int] = [], length: int = 1_000) -> dict:  # noqa: B006
    """For each conversion the credits that were computed last: (touch time, key, type) -> what each rule gives."""
    models, found = Models(model), {}
    bucket, attribution = Bucket(models.plan, length), Attribution(models, LOOK_BACK)
    for piece in chunks(sent, places):
        batch = batch_of(piece)
        update = bucket.update(batch, attribution)
        fresh: dict = {}
        for row in update.credits.rows:
            outcome = update.outcomes[row["outcome"]]
            user_id = batch.text(int(outcome["user_row"]), USER_ID)
            conversion = (user_id, int(outcome["timestamp"]), int(outcome["event_key"]))
            touch = (int(row["touch_time"]), int(row["touch_key"]), int(row["type"]))
            fresh.setdefault(conversion, {})[touch] = tuple(float(row[rule]) for rule in RULES)
        found |= fresh
    return found


def propensity_before(model: Model, sent: list[Event], time: int) -> float:
    """What the curve says of the events before a time, at that time."""
    past = sorted((e for e in sent if e.timestamp < time), key=lambda e: e.timestamp)
    sequence = Sequence(
        np.array([e.timestamp for e in past], np.int64),
        np.array([TYPES.index(e.type) for e in past], np.int64),
        tuple(e.campaign for e in past),
        refunds=np.array([e.type == "CN" and e.revenue < 0 for e in past], np.bool_),
    )
    return float(Curve(model).propensity(sequence, np.array([time]))[0])


JOURNEY = [
    event("i1", 0), event("c1", HOUR, "CL"), event("n0", 2 * HOUR, "CN"), event("p", 5 * HOUR, "PS"),
    event("i2", 20 * HOUR), event("c2", 30 * HOUR, "CL"), event("n", 40 * HOUR, "CN"),
]  # fmt: skip


def test_by_hand() -> None:
    """Of one conversion, integrated by SciPy from the definition."""
    model = model_of(PLAIN)
    time = TIME + 40 * HOUR
    age = {e.event_id: (time - e.timestamp) / HOUR for e in JOURNEY}
    clicks = {name: 2 ** (-age[name] / 12) for name in ("c1", "c2")}
    bought = 2 ** (-age["n0"] / (7 * 24))

    def slope(alpha: float) -> float:
        logit = (
            -3.0 + 0.4 * math.log1p(2 * alpha) + 1.5 * math.log1p(alpha * sum(clicks.values()))
            + 0.7 * math.log1p(bought) - 0.2 * (6.0 + alpha * (math.log1p(age["c2"]) - 6.0))
        )  # fmt: skip
        chance = 1 / (1 + math.exp(-logit))
        return chance * (1 - chance)

    def phi(inner) -> float:
        return quad(lambda alpha: slope(alpha) * inner(alpha), 0, 1, epsabs=1e-13)[0]

    whole = propensity_before(model, JOURNEY, time)
    impression = phi(lambda a: 0.4 / (1 + 2 * a)) / whole
    click = {name: phi(lambda a, k=k: 1.5 * k / (1 + a * sum(clicks.values()))) / whole for name, k in clicks.items()}
    click["c2"] += phi(lambda _: -0.2 * (math.log1p(age["c2"]) - 6.0)) / whole
    found = credited(model, JOURNEY)["u", time, event_key("n")]
    by_id = {
        e.event_id: found[e.timestamp, event_key(e.event_id), TYPES.index(e.type)] for e in JOURNEY if e.type != "CN"
    }
    credit = {name: rules[0] for name, rules in by_id.items()}
    assert credit == pytest.approx({"i1": impression, "i2": impression, "p": 0.0, **click}, abs=1e-9)
    without = propensity_before(model, [e for e in JOURNEY if e.type == "CN"], time)
    assert found[0, 0, BASELINE][0] == pytest.approx(without / whole, abs=1e-9)
    assert [by_id[name][1:3] for name in ("i1", "c2", "p")] == [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    assert [by_id[name][3] for name in by_id] == [0.2] * 5
    assert by_id["c2"][4] / by_id["i1"][4] == pytest.approx(2 ** (30 / (7 * 24)))
    assert [by_id[name][5] for name in ("i1", "c1", "c2")] == pytest.approx([0.4, 0.2 / 3, 0.4])
    assert set(found[0, 0, BASELINE][1:]) == {0.0}


def test_a_conversion_that_nothing_came_before() -> None:
    """All is the baseline's, by every rule; also where touches are older than the look-back, or came after."""
    sent = [event("old", 0), event("n", LOOK_BACK + 1, "CN"), event("later", LOOK_BACK + 2)]
    (found,) = credited(model_of(PLAIN), sent).values()
    assert found == {(0, 0, BASELINE): (1.0,) * len(RULES)}
    (found,) = credited(model_of(PLAIN), [event("old", 1), event("n", LOOK_BACK + 1, "CN")]).values()
    assert len(found) == 2


def test_where_the_propensity_is_0_all_is_the_baselines() -> None:
    """Of a model that is sure that nobody converts."""
    found = credited(model_of(PLAIN | {"intercept": -800.0}), JOURNEY)["u", TIME + 40 * HOUR, event_key("n")]
    assert {touch: rules[0] for touch, rules in found.items() if rules[0]} == {(0, 0, BASELINE): 1.0}


@given(st.lists(events, max_size=40), cuts, st.sampled_from([2, 5, 1_000]))
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_of_each_conversion_the_credits_are_one_whatever_came_when(model, sent, places, length) -> None:
    """And they are those of a batch of all events in order: a late touch changes the credit of what came after it."""
    sent = within(sent, length, 2 * length)
    found = credited(model, sent, places, length)
    for rows in found.values():
        for rule in range(len(RULES)):
            assert sum(row[rule] for row in rows.values()) == pytest.approx(1, abs=1e-12)
    whole = credited(model, sorted(sent, key=lambda each: each.timestamp), [], length)
    assert found.keys() == whole.keys()
    for conversion, rows in found.items():
        assert rows.keys() == whole[conversion].keys()
        for touch, row in rows.items():
            assert row == pytest.approx(whole[conversion][touch], abs=1e-12)


def agrees(found: dict, sent: list[Event], document: dict, length: int = 1_000) -> None:
    """Fail unless credits are those of the reference, to a millionth of what touches have in all."""
    expected = final_credits(map(asdict, sent), document, length)
    assert found.keys() == {(user, time, event_key(event_id)) for user, time, event_id in expected}
    for (user, time, event_id), credit in expected.items():
        shares = credit.shares
        rows, scale = found[user, time, event_key(event_id)], sum(abs(share.rules[0]) for share in shares[:-1])
        assert len(rows) == len(shares)
        for share in shares:
            key = event_key(share.event_id) if share.type else 0
            own, *others = rows[share.time, key, TYPES.index(share.type) if share.type else BASELINE]
            assert own == pytest.approx(share.rules[0], rel=0, abs=1e-6 * scale + 1e-12)
            assert others == pytest.approx(share.rules[1:], abs=1e-12)


@given(st.lists(events, max_size=24), cuts, st.sampled_from([2, 5, 1_000]), st.sampled_from(NAMES))
def test_credits_are_those_of_the_plain_reference(sent, places, length, name) -> None:
    sent = within(sent, length, 2 * length)
    agrees(credited(MODELS[name], sent, places, length), sent, DOCUMENTS[name], length)


@pytest.mark.parametrize("days", [1, 25])
@pytest.mark.parametrize("count", [1, 5, 40, 999])
@pytest.mark.parametrize("name", [*NAMES, "default"])
def test_the_integral_is_right_to_a_millionth(name, count, days) -> None:
    """However far the touches move the propensity: from one to as many as count, of any types."""
    rng, document = (
        np.random.default_rng(count),
        load(FOLDER / "default.json") if name == "default" else DOCUMENTS[name],
    )
    campaigns = rng.choice(["Loyalty", "Retargeting", "Brand", "a", "b"], count).tolist()
    kinds = rng.choice(TYPES, count, p=[0.53, 0.3, 0.15, 0.02]).tolist()
    times = np.sort(rng.integers(0, days * DAY, count)).tolist()
    sent = [
        event(f"e{number}", time, kind, campaign=campaign)
        for number, (time, kind, campaign) in enumerate(zip(times, kinds, campaigns, strict=True))
    ]
    sent.append(event("n", days * DAY, "CN"))
    agrees(credited(model_of(document), sent), sent, document)


OF_A = {"aggregation": "decayed_count", "type": "IM", "campaign": "a", "half_life": "2d", "weight": 0.8}


def parted(sent: list[Event], kept: tuple[str, ...]) -> list[Event]:
    """Events whose campaigns, but for some, are in as many parts as there are ids, in the same order of names."""
    return [
        each if each.campaign in kept else replace(each, campaign=f"{each.campaign}-{each.event_id}") for each in sent
    ]


@given(st.lists(events, max_size=30))
def test_a_campaign_that_a_model_does_not_know_earns_the_same_in_parts(sent) -> None:
    """Beside one that it knows, too."""
    model, sent = model_of(PLAIN | {"features": [*PLAIN["features"], OF_A]}), within(sent, 1_000, 1_000)
    assert credited(model, sent) == credited(model, parted(sent, ("a",)))


def test_a_campaign_that_a_model_knows_does_not_earn_the_same_in_parts() -> None:
    """Its features are sums of its own events: parts of other names are other campaigns."""
    model = model_of(PLAIN | {"features": [*PLAIN["features"], OF_A]})
    sent = [replace(each, campaign="a") for each in JOURNEY]
    assert credited(model, sent) != credited(model, parted(sent, ()))


@pytest.mark.parametrize("count", [1, 10, 1_000])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_baseline_is_the_propensity_without_touches(model, count) -> None:
    """As far as the integral is exact: the baseline takes its error."""
    rng = np.random.default_rng(count)
    kinds = rng.choice(TYPES, count, p=[0.7, 0.2, 0.05, 0.05]).tolist()
    times = np.sort(rng.integers(0, 20 * DAY, count)).tolist()
    sent = [event(f"e{number}", time, kind) for number, (time, kind) in enumerate(zip(times, kinds, strict=True))]
    time = 20 * DAY + HOUR
    found = credited(model, [*sent, event("n", time, "CN")])["u", TIME + time, event_key("n")]
    whole = propensity_before(model, sent, TIME + time)
    without = propensity_before(model, [each for each in sent if each.type == "CN"], TIME + time)
    assert found[0, 0, BASELINE][0] == pytest.approx(without / whole, abs=1e-5)


def test_a_sequence_that_was_cut_is_credited_before_it_is() -> None:
    """More events in one batch than are kept: each conversion has the newest L before it."""
    sent = [event(f"e{number}", number * 10_000, "CN" if number % 10 == 9 else "IM") for number in range(200)]
    model = model_of(PLAIN)
    at_once, one_by_one = credited(model, sent, [], 5), credited(model, sent, list(range(200)), 5)
    assert at_once == one_by_one
    assert {len(rows) for rows in at_once.values()} == {6}
