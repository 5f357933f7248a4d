"""The next action: gains are those of the event itself, and the best one is worth its cost."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model.actions.catalogue import Actions
from model.actions.next_best import NextAction
from model.bucket import Bucket
from model.scoring.propensity import Model
from model.timeline import Models
from schemas.advice import NO_ACTION
from tests import reference
from tests.model.driving import DAY, HOUR, TIME, batch_of, chunks, event
from tests.model.test_curve import ordered, sequence_of, user_events
from tests.model.worlds import DOCUMENTS, MODELS, TIMES, cuts, events, later, lengths, within

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
starts = st.lists(st.sampled_from(TIMES), min_size=2, max_size=2, unique=True)
numbers = st.floats(-1, 1).map(lambda number: round(number, 3))


@st.composite
def documents(draw):
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


def as_the_model_knows(document):
    """The actions, for the reference."""
    return {**ACTIONS, "actions": reference.known_actions(document, ACTIONS["actions"])}


def advised(models, bucket, sent):
    """A batch, what it did to a bucket, and the advice about its rows."""
    batch = batch_of(sent)
    update = bucket.update(batch)
    scores, which = models.score(update.features, update.outcomes["timestamp"])
    advice = models.advise(update.features, scores, which, batch, update.outcomes["user_row"])
    assert advice.actions == models.action_names
    return batch, update, advice.rows


def names_of(models, advice):
    """The recommended actions' names."""
    return [None if place == NO_ACTION else models.action_names[place] for place in advice["action"].tolist()]


def near(value):
    return pytest.approx(value, abs=1e-12, rel=0)


def near_gain(value, propensity):
    """As exact as a gain can be: of a propensity near 1 what is missing to 1 is known to 2^-53 only."""
    return pytest.approx(value, abs=1e-12 + 2**-52 / max(1 - propensity, 2**-53), rel=0)


def clear(document, actions, newest, time):
    """Whether no interval begins so near to 0 that rounding decides."""
    return all(
        reference.interval(document, newest, time, action)[0] == 0
        or abs(reference.interval(document, newest, time, action)[0]) > 1e-12
        for action in actions["actions"]
        if document.get("bootstrap")
    )


@given(user_events, documents(), lengths, st.integers(0, 40 * DAY))
def test_options_are_the_references_with_the_event_appended(world, document, length, later):
    """At any time after a user's last event: gain, interval, cap, and which is best."""
    dicts = ordered(world)
    time = dicts[-1]["timestamp"] + later
    newest, actions = dicts[-length:], as_the_model_knows(document)
    assume(clear(document, actions, newest, time))
    options = NextAction(*pair(document), length).options(sequence_of(dicts), time)
    assert [each.action.name for each in options] == [each["name"] for each in actions["actions"]]
    for option, action in zip(options, actions["actions"], strict=True):
        before = reference.propensity_at(document, newest, time)
        assert option.gain == near_gain(reference.gain(document, newest, time, action), before)
        if document.get("bootstrap"):
            assert (option.low, option.high) == near(reference.interval(document, newest, time, action))
        else:
            assert (option.low, option.high) == (None, None)
        assert option.worth == near(option.gain * 30) or abs(option.worth) > 1
        assert option.net == (option.worth - action["cost"] if action["type"] == "IM" else None)
        assert option.capped == reference.is_capped(newest, time, action)
    best = reference.best_action(document, actions, newest, time)
    assert [each.action.name for each in options if each.best] == ([best[0]] if best else [])


@given(st.lists(events, min_size=1, max_size=24), documents(), lengths, cuts)
def test_the_streams_advice_is_the_references_whatever_came_first(world, document, length, places):
    """The last that is said of each row, after late events and repeats too; and who is held out."""
    world, (model, read), actions = within(world, length, length), pair(document), as_the_model_knows(document)
    models, said = Models(model, actions=read), {}
    bucket = Bucket(models.plan, length)
    for piece in chunks(world, places):
        batch, update, advice = advised(models, bucket, piece)
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
            (name,) = names_of(models, advice.reshape(1))
            assert (name, advice["gain"], advice["net"]) == (
                (best[0], near(best[1]), pytest.approx(best[2], abs=1e-10)) if best else (None, 0.0, 0.0)
            )
            assert advice["held_out"] == reference.is_held_out(user)


@given(st.lists(events, min_size=1, max_size=24), st.tuples(*[documents()] * 3), starts)
def test_each_row_is_advised_by_its_own_model_as_if_alone(world, drawn, starts):
    """Of several models, with and without campaigns; rows beside it do not matter."""
    (first, read), *others = [pair(document) for document in drawn]
    follow = [later(model, TIME + start) for (model, _), start in zip(others, starts, strict=True)]
    together = Models(first, follow, read)
    bucket = Bucket(together.plan)
    _, update, advice = advised(together, bucket, world)
    for row, outcome in enumerate(update.outcomes):
        own = Models(together.at(int(outcome["timestamp"])), actions=read)
        _, alone, said = advised(own, Bucket(own.plan), world)
        assert alone.outcomes[row] == outcome
        assert names_of(together, advice)[row] == names_of(own, said)[row]
        assert advice[["gain", "net", "held_out"]][row] == said[["gain", "net", "held_out"]][row]


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
    for weight in (1e9, -1e9):
        features = [{"aggregation": "count", "type": "IM", "look_back": "1d", "weight": weight}]
        document = {"id": "m", "intercept": 0.0, "horizon": "7d", "features": features}
        (option, *_) = NextAction(*pair(document), 10).options(sequence_of([]), TIME)
        assert option.gain == pytest.approx(0.5 if weight > 0 else -0.5)
        (option, *_) = NextAction(*pair({**document, "intercept": 800.0}), 10).options(sequence_of([]), TIME)
        assert option.gain == 0


def test_campaigns_that_a_model_gives_no_weight_are_not_told_apart():
    """Their features may be there for another horizon; a vector of the bootstrap that gives them some counts."""
    campaigns = [
        {"aggregation": "count", "type": "IM", "campaign": name, "look_back": "1d", "weight": 0.0} for name in "ab"
    ]
    plain = {"aggregation": "count", "type": "IM", "look_back": "1d", "weight": 0.5}
    document = {"id": "m", "intercept": -3.0, "horizon": "7d", "features": [plain, *campaigns]}
    for vectors, expected in (
        ([], 1),
        ([[0.4, 0.0, 0.0], [0.5, 0.0, 0.0]], 1),
        ([[0.4, 0.0, 0.0], [0.5, 0.0, 0.1]], 4),
    ):
        drawn = {"bootstrap": [{"intercept": -3.0, "weights": weights} for weights in vectors]} if vectors else {}
        options = NextAction(*pair({**document, **drawn}), 10).options(sequence_of([]), TIME)
        assert sum(each.action.type == "IM" for each in options) == expected


def test_without_actions_only_the_hold_out_is_said():
    models = Models(MODELS["rich"])
    assert (models.plan.count, models.action_names) == (len(MODELS["rich"].features), ())
    users = [f"user-{number}" for number in range(50)]
    _, _, advice = advised(models, Bucket(models.plan), [event(user=user) for user in users])
    assert set(names_of(models, advice)) == {None}
    assert not np.any(advice["gain"]) and not np.any(advice["net"])
    assert advice["held_out"].sum() == sum(map(reference.is_held_out, users)) > 0
    assert NextAction(MODELS["rich"], Actions.none(), 10).options(sequence_of([]), TIME) == []


def test_features_that_differ_in_their_weights_only_count_each():
    """Also one that a cap needs anyway: it has no column of its own."""
    feature = {"aggregation": "count", "type": "IM", "campaign": "a", "look_back": "1d"}
    features = [{**feature, "weight": weight} for weight in (0.5, 0.25)]
    document = {"id": "m", "intercept": -3.0, "horizon": "7d", "features": features}
    actions = {"value": 10.0, "actions": [{"name": "a", "type": "IM", "campaign": "a", "cost": 0.01, "cap": 2}]}
    model, read = pair(document, actions)
    assert Models(model, actions=read).plan.count == 1
    newest = [asdict(event("e", -HOUR, "IM", campaign="a"))]
    (option,) = NextAction(model, read, 10).options(sequence_of(newest), TIME)
    assert option.gain == near(reference.gain(document, newest, TIME, actions["actions"][0]))
    assert option.best
