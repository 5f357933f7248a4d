"""Files of actions: what is read, what is refused, and what a model can tell apart."""

import json

import numpy as np
import pytest

from model.actions.catalogue import Actions, is_held_out
from model.actions.next_best import NextAction
from model.features.curve import Sequence
from schemas.errors import ActionsFileError
from tests import reference
from tests.model.worlds import FOLDER, MODELS

SHOW = {"name": "show", "type": "IM", "campaign": "a", "cost": 0.5, "cap": 3}
SEARCH = {"name": "search", "type": "PS"}
GOOD = {"value": 40.0, "actions": [SHOW, SEARCH]}


def action(**changes):
    """The good file whose first action is changed; None drops a field."""
    fields = {name: value for name, value in {**SHOW, **changes}.items() if value is not None}
    return {**GOOD, "actions": [fields]}


BROKEN = {
    "no value": ({"actions": [SHOW]}, "value"),
    "a value of nothing": ({**GOOD, "value": 0}, "value"),
    "an infinite value": ({**GOOD, "value": float("inf")}, "value"),
    "a huge value": ({**GOOD, "value": 1.7e308}, "value"),
    "a huge cost": (action(cost=1.7e308), "actions.0.IM.cost"),
    "no actions": ({"value": 1}, "actions"),
    "too many": ({**GOOD, "actions": [{**SHOW, "name": str(n)} for n in range(65)]}, "actions"),
    "two of one name": ({**GOOD, "actions": [SHOW, {**SEARCH, "name": "show"}]}, "actions"),
    "a name that all of another type may get": (action(name="any click"), "actions"),
    "an unknown field": ({**GOOD, "currency": "EUR"}, "currency"),
    "no name": (action(name=None), "actions.0.IM.name"),
    "an empty name": (action(name=""), "actions.0.IM.name"),
    "no type": (action(type=None), "actions.0"),
    "a conversion": (action(type="CN"), "actions.0"),
    "an empty campaign": (action(campaign=""), "actions.0.IM.campaign"),
    "no cost": (action(cost=None), "actions.0.IM.cost"),
    "a negative cost": (action(cost=-1), "actions.0.IM.cost"),
    "a cap of nothing": (action(cap=0), "actions.0.IM.cap"),
    "half a cap": (action(cap=1.5), "actions.0.IM.cap"),
    "a click that is bought": (action(type="CL", cap=None), "actions.0.CL.cost"),
    "a search with a cap": (action(type="PS", cost=None), "actions.0.PS.cap"),
    "a list": ([], "file"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_with_one_line_that_names_the_field(case):
    document, field = BROKEN[case]
    with pytest.raises(ActionsFileError) as error:
        Actions.from_json(json.dumps(document))
    assert str(error.value).startswith(f"{field}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("case", ["an unknown field", "a click that is bought", "a search with a cap"])
def test_a_key_that_is_none_is_called_so(case):
    document, field = BROKEN[case]
    with pytest.raises(ActionsFileError, match=f"^{field}: no such key$"):
        Actions.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "null", b"\xff\xfe"])
def test_what_is_not_json_of_an_object_is_refused(text):
    with pytest.raises(ActionsFileError, match=r"^file: .*$"):
        Actions.from_json(text)


def test_the_shipped_actions_are_those_of_the_simulated_campaigns():
    actions = Actions.from_json((FOLDER / "actions.json").read_bytes())
    shown = [each.campaign for each in actions.actions if each.type == "IM"]
    assert shown == ["Awareness", "Prospecting", "Seasonal", "Retargeting", "Loyalty"]
    assert {each.campaign for each in actions.actions if each.type == "PS"} == {"Brand", "Generic"}
    assert {each.type for each in actions.actions} == {"IM", "CL", "PS"}


def test_a_model_without_campaigns_has_one_action_of_a_type():
    """It costs what the dearest does, and has the smallest cap."""
    more = [
        {**SHOW, "name": "dear", "campaign": "b", "cost": 2.0, "cap": 9},
        {"name": "click a", "type": "CL", "campaign": "a"},
        {"name": "click", "type": "CL"},
        {"name": "cheap", "type": "IM", "campaign": "c", "cost": 0.1},
    ]
    actions = Actions.from_json(json.dumps({"value": 1.0, "actions": [SHOW, SEARCH, *more]}))
    any_show, search, click = actions.known_to(MODELS["seed"].features)
    assert (any_show.name, any_show.campaign, any_show.cost, any_show.cap) == ("any impression", None, 2.0, 3)
    assert (search.name, search.campaign) == ("search", None)
    assert (click.name, click.campaign) == ("click", None)


def test_a_model_with_campaigns_knows_each_action():
    actions = Actions.from_json(json.dumps({**GOOD, "actions": [SHOW, {**SHOW, "name": "other", "campaign": "zzz"}]}))
    assert actions.known_to(MODELS["rich"].features) == actions.actions


def test_a_tenth_of_users_is_held_out_whatever_their_bucket():
    users = [f"user-{number}" for number in range(20_000)]
    held = [user for user in users if is_held_out(user)]
    assert held == [user for user in users if reference.is_held_out(user)]
    assert 0.094 < len(held) / len(users) < 0.106


def test_actions_of_one_name_keep_their_own_gains():
    """As a model that tells no campaigns apart may know them, whatever its file's names are."""
    clicks = [{"name": f"click {campaign}", "type": "CL", "campaign": campaign} for campaign in "ab"]
    given = Actions.from_json(json.dumps({"value": 40.0, "actions": [SHOW, *clicks]}))
    alike = given.model_copy(
        update={"actions": (given.actions[0].model_copy(update={"name": "any click"}), *given.actions[1:])}
    )
    sequence = Sequence(np.zeros(1, np.int64), np.zeros(1, np.int64), ("a",))
    options, expected = (NextAction(MODELS["seed"], each, 10).options(sequence, 5) for each in (alike, given))
    assert [each.action.name for each in options] == ["any click", "any click"]
    assert [each.gain for each in options] == [each.gain for each in expected]
    assert options[0].gain < options[1].gain
