"""Paths to conversions and to none, counted, in the table that other attribution tools read."""

from __future__ import annotations

import re

import duckdb
import numpy as np
import pyarrow as pa

from model.bucket import Snapshot
from model.sequences.entries import GHOST, unpack_tags
from model.sequences.texts import texts_of
from schemas.event_types import IS_TOUCH, TYPES
from schemas.events import MISSING

SEPARATOR = " > "
_UNSAFE = re.compile(r"[%>\x00-\x1f\x7f]|^\s+|\s+$")
_OPEN = pa.schema([("user_id", pa.string()), ("touch", pa.int64()), ("type", pa.string()), ("campaign", pa.string())])
_STEPS = pa.schema([("campaign", pa.string()), ("type", pa.string()), ("step", pa.string())])
PATHS = f"""
SELECT path, sum(conversions)::BIGINT AS total_conversions, round(fsum(revenue), 6) AS total_conversion_value,
  sum(nulls)::BIGINT AS total_null, '{SEPARATOR}' AS separator
FROM (
  SELECT string_agg(step, '{SEPARATOR}' ORDER BY touch) AS path, 1 AS conversions, any_value(revenue) AS revenue,
    0 AS nulls
  FROM credits JOIN steps USING (campaign, type) GROUP BY user_id, conversion_id, conversion_time
  UNION ALL
  SELECT string_agg(step, '{SEPARATOR}' ORDER BY touch), 0, 0.0, 1
  FROM open_ended JOIN steps USING (campaign, type)
  WHERE user_id NOT IN (SELECT user_id FROM conversions) GROUP BY user_id
) GROUP BY path ORDER BY total_conversions DESC, total_null DESC, path
"""
"""A path's conversions, their revenue, and the users without any conversion who have it."""


def step(campaign: str, kind: str) -> str:
    """How a touch is written in a path: its campaign, or its type in parentheses where it has none.

    What tools split or trim paths by is percent-encoded, so that each name is one step and names stay apart.

    >>> step("Brand > DE", "CL"), step("100 %", "IM"), step("NA", "CL"), step("CL", "IM"), step("(CL)", "IM")
    ('Brand %3E DE', '100 %25', '(CL)', 'CL', '%28CL)')
    """
    if campaign in ("", MISSING):
        return f"({kind})"
    name = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), campaign)
    return f"%28{name[1:]}" if name in {f"({each})" for each in TYPES} else name


def register_paths(tables: duckdb.DuckDBPyConnection, snapshot: Snapshot, attribution_window: int) -> None:
    """Make the query `PATHS` possible beside the tables `credits` and `conversions`.

    Args:
        tables: gets `steps`, and `open_ended`, the touches of each user in the window up to the user's newest.
        snapshot: all users' sequences at the end of the log.
        attribution_window: in ms.
    """
    tables.register("open_ended", _open_ended(snapshot, attribution_window))
    touches = tables.sql(
        "SELECT campaign, type FROM credits WHERE type <> '' UNION SELECT campaign, type FROM open_ended"
    ).fetchall()
    steps = [{"campaign": campaign, "type": kind, "step": step(campaign, kind)} for campaign, kind in touches]
    tables.register("steps", pa.Table.from_pylist(steps, _STEPS))


def _open_ended(snapshot: Snapshot, attribution_window: int) -> pa.Table:
    entries, sizes = snapshot.entries, snapshot.sizes["size"]
    types, numbers = unpack_tags(entries["tag"])
    touches = np.flatnonzero((entries["tag"] & GHOST == 0) & IS_TOUCH[types])
    users = np.repeat(np.arange(len(sizes)), sizes)[touches]
    newest = np.full(len(sizes), np.iinfo(np.int64).min)
    newest[users] = entries["timestamp"][touches]  # of a user's touches, which are in order, the last stays
    near = entries["timestamp"][touches] >= newest[users] - attribution_window
    touches, users = touches[near], users[near]
    ids, campaigns = texts_of(*snapshot.users), texts_of(*snapshot.campaigns)
    return pa.table(
        {
            "user_id": [ids[user].decode() for user in users.tolist()],
            "touch": touches,
            "type": [TYPES[kind] for kind in types[touches].tolist()],
            "campaign": [campaigns[number].decode() for number in numbers[touches].tolist()],
        },
        schema=_OPEN,
    )
