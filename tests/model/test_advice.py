"""The next action: gains are those of the event itself, and the best one is worth its cost."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model.actions import Actions
from model.advice import Advisor, NextAction
from model.bucket import Bucket
from model.plan import FeaturePlan
from model.propensity import Model, Scorer
from schemas.scored import COMPUTED_AGAIN, NO_ACTION
from tests import reference
from tests.model.driving import DAY, HOUR, TIME, batch_of, chunks, event
from tests.model.test_curve import ordered, sequence_of, user_events
from tests.model.worlds import DOCUMENTS, TIMES, cuts, events, lengths, within

ACTIONS = {
    "value": 30.0,
    "actions": [
        {"name": "a", "type": "IM", "campaign": "a", "cost": 0.1},
        {"name": "b", "type": "IM", "campaign": "b", "cost": 0.0, "cap": 1},
        {"name": "c", "type": "IM", "campaign": "c", "cost": 0.4, "cap": 2},
        {"name": "none", "type": "IM", "cost": 0.2, "cap": 2},
        {"name": "click a", "type": "CL", "campaign": "a"},
        {"name": "click b", "type": "CL", "campaign": "b"},
        {"name": "search", "type": "PS"},
    ],
}
numbers = st.floats(-1, 1).map(lambda number: round(number, 3))


@st.composite
def models(draw):
    """A model of worlds with other weights, and with up to 21 vectors or none."""
    document = DOCUMENTS[draw(st.sampled_from(["decay", "rich"]))]
    count = len(document["features"])
    weights = st.lists(st.one_of(numbers, st.just(0.0)), min_size=count, max_size=count)
    features = [
        {**feature, "weight": weight} for feature, weight in zip(document["features"], draw(weights), strict=True)
    ]
    vectors = draw(st.lists(st.fixed_dictionaries({"intercept": numbers, "weights": weights}), max_size=21))
    return {**document, "intercept": draw(numbers), "features": features} | ({"bootstrap": vectors} if vectors else {})


def pair(document, actions=ACTIONS):
    return Model.from_json(json.dumps(document)), Actions.from_json(json.dumps(actions))


def as_the_model_knows(document, actions=ACTIONS):
    """The actions as dicts, for the reference."""
    model, read = pair(document, actions)
    known = [each.model_dump(exclude_none=True) for each in read.known_to(model.features)]
    return {**actions, "actions": known}


def near(value):
    return pytest.approx(value, abs=1e-12, rel=0)


def clear(document, actions, newest, time):
    """Whether no interval begins so near to 0 that rounding decides."""
    return all(
        reference.interval(document, newest, time, action)[0] == 0
        or abs(reference.interval(document, newest, time, action)[0]) > 1e-12
        for action in actions["actions"]
        if document.get("bootstrap")
    )


@given(user_events, models(), lengths, st.integers(0, 40 * DAY))
def test_options_are_the_references_with_the_event_appended(world, document, length, later):
    """At any time after a user's last event: gain, interval, cap, and which is best."""
    dicts = ordered(world)
    time = dicts[-1]["timestamp"] + later
    newest, actions = dicts[-length:], as_the_model_knows(document)
    assume(clear(document, actions, newest, time))
    options = NextAction(*pair(document), length).options(sequence_of(dicts), time)
    assert [each.action.name for each in options] == [each["name"] for each in actions["actions"]]
    for option, action in zip(options, actions["actions"], strict=True):
        assert option.gain == near(reference.gain(document, newest, time, action))
        if document.get("bootstrap"):
            assert (option.low, option.high) == near(reference.interval(document, newest, time, action))
        else:
            assert (option.low, option.high) == (None, None)
        assert option.worth == near(option.gain * 30) or abs(option.worth) > 1
        assert option.net == (option.worth - action["cost"] if action["type"] == "IM" else None)
        assert option.capped == reference.is_capped(newest, time, action)
    best = reference.best_action(document, actions, newest, time)
    assert [each.action.name for each in options if each.best] == ([best[0]] if best else [])


@given(st.lists(events, min_size=1, max_size=24), models(), lengths, cuts)
def test_the_streams_advice_is_the_references_whatever_came_first(world, document, length, places):
    """The last that is said of each row, after late events and repeats too; and who is held out."""
    world, (model, read), actions = within(world, length, length), pair(document), as_the_model_knows(document)
    advisor, said = Advisor(model, read), {}
    bucket = Bucket(FeaturePlan.of(advisor.features), length)
    for piece in chunks(world, places):
        batch = batch_of(piece)
        update = bucket.update(batch)
        users = update.outcomes["user_row"]
        advice = advisor(update.features, Scorer(model)(update.features), batch, users)
        for outcome, each in zip(update.outcomes, advice, strict=True):
            user = batch.event(outcome["user_row"]).user_id
            said[user, int(outcome["timestamp"]), int(outcome["event_key"])] = each
    for user, sequence in reference.sequences(map(asdict, world)).items():
        for seen in range(1, len(sequence) + 1):
            newest = [others[0] for others in sequence[max(0, seen - length) : seen]]
            last = newest[-1]
            assume(clear(document, actions, newest, last["timestamp"]))
            advice = said[user, last["timestamp"], reference.event_key(last["event_id"])]
            best = reference.best_action(document, actions, newest, last["timestamp"])
            name = None if advice["action"] == NO_ACTION else advisor.names[advice["action"]]
            assert (name, advice["gain"], advice["net"]) == (
                (best[0], near(best[1]), pytest.approx(best[2], abs=1e-10)) if best else (None, 0.0, 0.0)
            )
            assert advice["held_out"] == reference.is_held_out(user)


@given(user_events, models(), st.sampled_from(TIMES))
def test_rows_beside_it_do_not_matter(world, document, later):
    """Many rows at once are advised as one by one."""
    model, read = pair(document)
    advisor = Advisor(model, read)
    batch = batch_of(world)
    update = Bucket(FeaturePlan.of(advisor.features)).update(batch)
    scores, users = Scorer(model)(update.features), update.outcomes["user_row"]
    together = advisor(update.features, scores, batch, users)
    for row in range(len(scores)):
        one = slice(row, row + 1)
        assert advisor(update.features[one], scores[one], batch, users[one])[0] == together[row]


def test_what_costs_more_than_it_brings_is_not_recommended():
    """Nor what is capped, nor what only some trainings believe in; the next best is."""
    features = [
        {"aggregation": "count", "type": "IM", "campaign": name, "look_back": "30d", "weight": weight}
        for name, weight in (("a", 1.0), ("b", 0.5), ("c", 0.2))
    ]
    document = {"id": "m", "intercept": -3.0, "horizon": "7d", "features": features}
    newest = [asdict(event("e", -HOUR, "IM", campaign="a"))]

    def best(document=document, **changes):
        actions = [{"name": name, "type": "IM", "campaign": name, "cost": 0.01} for name in "abc"]
        for name, change in changes.items():
            actions["abc".index(name)] |= change
        options = NextAction(*pair(document, {"value": 10.0, "actions": actions}), 1_000).options(
            sequence_of(newest), TIME
        )
        return [each.action.name for each in options if each.best]

    assert best() == ["a"]
    assert best(a={"cap": 1}) == ["b"]
    assert best(a={"cap": 2}) == ["a"]
    assert best(a={"cost": 5.0}) == ["b"]
    assert best(a={"cost": 5.0}, b={"cost": 5.0}, c={"cost": 5.0}) == []
    doubtful = [{"intercept": -3.0, "weights": [0.0 if n < 3 else 1.0, 0.5, 0.2]} for n in range(20)]
    assert best({**document, "bootstrap": doubtful}) == ["b"]
    assert best({**document, "bootstrap": doubtful[1:]}) == ["b"]
    assert best({**document, "bootstrap": [*doubtful[1:], doubtful[-1]]}) == ["a"]


def test_gains_far_out_are_numbers():
    for weight in (1e308, -1e308):
        features = [{"aggregation": "count", "type": "IM", "look_back": "1d", "weight": weight}]
        document = {"id": "m", "intercept": 0.0, "horizon": "7d", "features": features}
        (option, *_) = NextAction(*pair(document), 10).options(sequence_of([]), TIME)
        assert option.gain == pytest.approx(0.5 if weight > 0 else -0.5)


def test_without_actions_only_the_hold_out_is_said():
    document = DOCUMENTS["rich"]
    model = Model.from_json(json.dumps(document))
    advisor = Advisor(model, Actions.none())
    assert (advisor.features, advisor.names) == (model.features, ())
    batch = batch_of([event(user=f"user-{number}") for number in range(50)])
    update = Bucket(FeaturePlan.of(advisor.features)).update(batch)
    assert (update.outcomes["body_row"] != COMPUTED_AGAIN).all()
    scores = Scorer(model)(update.features)
    advice = advisor(update.features, scores, batch, update.outcomes["user_row"])
    assert set(advice["action"].tolist()) == {NO_ACTION}
    assert not np.any(advice["gain"]) and not np.any(advice["net"])
    assert advice["held_out"].sum() == sum(reference.is_held_out(f"user-{number}") for number in range(50)) > 0
    assert NextAction(model, Actions.none(), 10).options(sequence_of([]), TIME) == []
