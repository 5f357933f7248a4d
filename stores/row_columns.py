"""The columns of the tables of scored events, by name: those of the event come from `schemas.event_fields`."""

from __future__ import annotations

from dataclasses import fields

from schemas.event_fields import STORED
from stores.answers import Latest, Score

KEY = ("user_id", "event_time", "event_key")
BODY = ("event_type", "event_id", *(column.name for column in STORED))
"""What senders say about an event; of two bodies of one event see `stores.row_rules.merged`."""
COMPUTED = ("propensity", "seen", "version", "model_id")
"""What the flow computes about it; the greatest version stays."""
ADVISED = ("best_action", "gain", "net", "hold_out")
FULL_ROW, LATEST_ROW = (*KEY, *BODY, *COMPUTED), (*KEY, "event_type", *ADVISED, *COMPUTED)
"""A row of `propensity_by_user` and one of `latest_propensity`."""

POINT = (
    "event_time",
    "event_key",
    "event_id",
    "event_type",
    *(column.name for column in STORED),
    "propensity",
    "seen",
    "model_id",
)
"""The fields of a `stores.answers.Point`, in the order in which people read them."""
LATEST = tuple(each.name for each in fields(Latest))
SCORE = Score._fields
"""The fields of a `Latest` and of a `Score`."""
