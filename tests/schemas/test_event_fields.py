"""The table of the event's columns, and the contracts that must say the same: schemas, tables, hash, encoding."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import fields

from schemas.avro.codec import FOLDER, load_schema
from schemas.event_fields import COLUMNS, REQUIRED, STORED, TEXTS, Hashed
from schemas.events import _FIRST
from stores.answers import Point
from stores.cassandra.row_encoding import BODY_COLUMNS
from stores.cassandra.tables import EVENTS, KINDS, create_statements
from stores.row_columns import BODY, COMPUTED, FULL_ROW, KEY, POINT
from stores.sqlite import database

AVRO = {"string": str, "int": int, "double": float}
OF_EVERY_EVENT = {*KEY, "event_type", "event_id", *COMPUTED}


def test_the_schema_of_events_has_these_columns() -> None:
    """With their kinds and defaults; other tests hold that versions before are still read."""
    schema = {each["name"]: each for each in load_schema("event")["fields"]}
    assert schema.keys() == {column.name for column in COLUMNS}
    for column in COLUMNS:
        if column.name in REQUIRED:
            assert "default" not in schema[column.name]
        else:
            assert (AVRO[schema[column.name]["type"]], schema[column.name]["default"]) == (column.kind, column.default)


def test_the_tables_of_sqlite_have_these_columns() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript((FOLDER / "sqlite.sql").read_text())
    there = {name: kind for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({EVENTS})")}
    connection.close()
    assert there.keys() == set(FULL_ROW)
    assert {column.name: there[column.name] for column in STORED} == {
        column.name: database.KINDS[column.kind] for column in STORED
    }


def test_the_tables_of_cassandra_have_these_columns() -> None:
    statement = create_statements("k")[EVENTS]
    there = dict(re.findall(r"^ +(\w+) +(text|timestamp|bigint|int|double),", statement, re.MULTILINE))
    assert there.keys() == set(FULL_ROW)
    assert {column.name: there[column.name] for column in STORED} == {
        column.name: KINDS[column.kind] for column in STORED
    }


def test_the_statements_of_cassandra_write_these_columns() -> None:
    assert sorted(BODY_COLUMNS) == sorted((*KEY, *BODY))


def test_a_point_has_these_columns() -> None:
    assert sorted(POINT) == sorted(each.name for each in fields(Point))
    assert OF_EVERY_EVENT.isdisjoint(column.name for column in STORED)


def test_all_that_is_stored_takes_part_in_telling_conflicts_from_repeats() -> None:
    """In the body's hash, or in the user's state; the order of the hash's first version is never changed."""
    for column in STORED:
        assert (column.hashed is Hashed.NEVER) == column.in_state
    always = [column.name for column in COLUMNS if column.hashed is Hashed.ALWAYS and column.name in TEXTS]
    assert [name for name in _FIRST if name is not None] == always
