"""What can be done next with a user: a JSON file of actions, checked, and the users on whom nothing may be tried.

An impression can be bought: it has a cost. A click or a paid search is the user's own doing and cannot: what it would
be worth, its gain x `value`, is the bid at which it breaks even. `schemas.event_types` has which types can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import xxhash
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from model.features.kinds import Feature
from schemas.errors import ActionsFileError, first_problem
from schemas.event_types import BOUGHT, EVENT_TYPES, NOT_BOUGHT

if TYPE_CHECKING:
    BoughtType = str
    NotBoughtType = str
else:
    BoughtType, NotBoughtType = Literal[BOUGHT], Literal[NOT_BOUGHT]

HOLD_OUT, HOLD_OUT_SEED = 10, 20_170_615
"""One user of so many is held out: whose id's XXH3-64 with this seed is divisible by it."""


MOST_MONEY = 1e12
"""The greatest cost of an action, and the greatest value of a conversion."""


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    campaign: Annotated[str, Field(min_length=1)] | None = None


class Purchase(_Action):
    """One more event of a type that can be bought, an impression, of a campaign or of none in particular.

    `cost` is in the currency of `value`. It is not recommended to who had `cap` of them in the last 24 h.
    """

    type: BoughtType
    cost: Annotated[float, Field(ge=0, le=MOST_MONEY)]
    cap: Annotated[int, Field(ge=1)] | None = None


class Response(_Action):
    """One more touch that cannot be bought, a click or a paid search."""

    type: NotBoughtType


Action = Annotated[Purchase | Response, Field(discriminator="type")]


ANY = {each.code: f"any {each.singular}" for each in EVENT_TYPES if each.is_touch}
"""What all actions of a type are called together, where no campaigns of it are told apart."""


def _named(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    names = [action.name for action in actions]
    for action in actions:
        if names.count(action.name) > 1:
            raise ValueError(f"two have the name {action.name!r}")
        if action.name in ANY.values() and action.name != ANY[action.type]:
            raise ValueError(f"{action.name!r} is not what an action of type {action.type} may be called")
    return actions


class Actions(BaseModel):
    """What a file of actions holds: the `value` of a conversion, and actions of different names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: Annotated[float, Field(gt=0, le=MOST_MONEY)]
    actions: Annotated[tuple[Action, ...], Field(max_length=64), AfterValidator(_named)]

    @classmethod
    def none(cls) -> Actions:
        """Nothing that can be done."""
        return cls(value=1.0, actions=())

    @classmethod
    def from_json(cls, text: str | bytes) -> Actions:
        """Actions from the text of their file.

        Raises:
            ActionsFileError: one line that names the first field that is wrong.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ActionsFileError(first_problem(error)) from None

    def known_to(self, features: tuple[Feature, ...]) -> tuple[Purchase | Response, ...]:
        """The actions as far as a model that gives weight to these features can tell them apart.

        Where it knows no campaign of a type, all actions of that type are one, at the place of the first. It has the
        name of the one that is listed without a campaign, else `any impression`, `any click` or `any paid search`; it
        costs what the dearest does and has the smallest cap, so that what is said of it holds for each of them.
        """
        told_apart = {f.type for f in features if f.campaign is not None}
        alike: dict[tuple[str, str], list[Purchase | Response]] = {}
        for action in self.actions:
            name = action.name if told_apart & {action.type, None} else ""
            alike.setdefault((action.type, name), []).append(action)
        return tuple(actions[0] if len(actions) == 1 else _merged(actions) for actions in alike.values())


def _merged(actions: list[Purchase | Response]) -> Purchase | Response:
    """Actions of one type as one."""
    first = actions[0]
    name = next((action.name for action in actions if action.campaign is None), ANY[first.type])
    bought = [action for action in actions if isinstance(action, Purchase)]
    caps = [action.cap for action in bought if action.cap is not None]
    limits = {"cost": max(action.cost for action in bought), "cap": min(caps, default=None)} if bought else {}
    return first.model_copy(update={"name": name, "campaign": None, **limits})


def is_held_out(user_id: str) -> bool:
    """Whether nothing may be tried on a user, so that what was tried on the others can be judged beside them.

    >>> [number for number in range(50) if is_held_out(f"user-{number}")]
    [7, 40, 44]
    """
    return xxhash.xxh3_64_intdigest(user_id.encode(), HOLD_OUT_SEED) % HOLD_OUT == 0
