"""Small worlds in which everything that can go wrong with order happens often."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from model.scoring.propensity import Model
from model.scoring.training_record import at_milliseconds
from schemas.event_types import TYPES
from schemas.events import Event
from tests.model.driving import DAY, HOUR, event
from tests.reference import load

FOLDER = Path(__file__).parent.parent.parent / "model"
RICH = {
    "id": "rich",
    "intercept": -1.5,
    "horizon": "7d",
    "features": [
        {"aggregation": "count", "look_back": "2d", "weight": 0.3},
        {"aggregation": "count", "type": "CL", "campaign": "a", "look_back": "2d", "weight": -0.4},
        {"aggregation": "count", "type": "IM", "look_back": "1ms", "weight": 0.7},
        {"aggregation": "decayed_count", "half_life": "1h", "weight": 0.2},
        {"aggregation": "decayed_count", "campaign": "b", "half_life": "1d", "weight": -0.6},
        {"aggregation": "decayed_count", "type": "CN", "campaign": "a", "half_life": "1h", "weight": 0.5},
        {"aggregation": "recency", "never": 3.0, "weight": 0.1},
        {"aggregation": "recency", "type": "IM", "campaign": "c", "never": -1.0, "weight": 0.2},
        {"aggregation": "recency", "type": "PS", "never": 9.0, "weight": -0.2},
        {"aggregation": "events_since", "weight": 0.9},
        {"aggregation": "events_since", "campaign": "a", "weight": 0.25},
        {"aggregation": "events_since", "type": "CN", "weight": -0.15},
        {"aggregation": "time_between", "never": 2.5, "weight": 0.3},
        {"aggregation": "time_between", "type": "CL", "campaign": "b", "never": 1.5, "weight": -0.35},
        {"aggregation": "distinct_campaigns", "look_back": "2d", "weight": 0.35},
        {"aggregation": "distinct_campaigns", "type": "IM", "look_back": "7d", "weight": -0.25},
    ],
}
DOCUMENTS = {"seed": load(FOLDER / "seed.json"), "decay": load(FOLDER / "decay.json"), "rich": RICH}
MODELS = {name: Model.from_json(json.dumps(document)) for name, document in DOCUMENTS.items()}
NAMES = tuple(DOCUMENTS)


def later(model: Model, start: int) -> Model:
    """The model, valid from a time (ms) on."""
    return model.model_copy(update={"valid_from": at_milliseconds(start)})


TIMES = (0, 1, 2, 59_999, 100_000, HOUR, 2 * DAY, 2 * DAY + 1, 7 * DAY, 7 * DAY + 1, 30 * DAY)

events = st.builds(
    event,
    st.sampled_from(["p", "q", "r", "s", "t"]),
    st.sampled_from(TIMES),
    st.sampled_from(TYPES),
    user=st.sampled_from(["u", "v"]),
    campaign=st.sampled_from(["", "a", "ab", "b", "c"]),
    publisher=st.sampled_from(["x", "x", "y"]),
    quantity=st.sampled_from([0, 0, 1, -1, -2]),
    revenue=st.sampled_from([0.0, 0.0, -0.0, 5.5, -5.5, -7.0]),
)
lengths = st.sampled_from([1, 2, 3, 5, 1_000])
names = st.sampled_from(NAMES)
cuts = st.lists(st.integers(0, 40), max_size=8)


def within(world: list[Event], length: int, most: int) -> list[Event]:
    """A world without what would give a user more than `most` events or L disputes."""
    kept: list[Event] = []
    identities: dict[str, set] = {}
    bodies: dict[str, set] = {}
    for each in world:
        ids = identities.setdefault(each.user_id, set())
        forms = bodies.setdefault(each.user_id, set())
        more_ids = ids | {(each.timestamp, each.event_id)}
        more_forms = forms | {each}
        if len(more_ids) <= most and len(more_forms) - len(more_ids) <= length:
            identities[each.user_id], bodies[each.user_id] = more_ids, more_forms
            kept.append(each)
    return kept
