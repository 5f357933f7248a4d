"""`python -m jobs erase`: what it says of a user whom nobody knows; what goes is in tests/flow/test_erasure.py."""

import uuid
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from schemas.avro.codec import codec
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure, hash_of, letters_of
from schemas.events import Event
from schemas.logs.columns import ColumnBatch, decode_columns
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter
from tests.stores.rows import event, scored


def test_a_user_in_no_table_is_told_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store.db"
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(store))
    SqliteWriter(store).close()
    rest = "dead letters that went: 0; the request is remembered, and running flows follow within seconds\n"
    done = CliRunner().invoke(app, ["erase", "nobody"])
    assert (done.exit_code, done.stdout) == (1, f"no user 'nobody' in the store; {rest}")
    with closing(SqliteWriter(store)) as writer:
        assert [each.user_hash for each in writer.erasures()] == [hash_of("nobody")]
    again = CliRunner().invoke(app, ["erase", "nobody"])
    assert (again.exit_code, again.stdout) == (0, f"no user 'nobody' any more, who was erased before; {rest}")


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("ANNA-1", "'Anna-1'"),
        (" Anna-1 ", "'Anna-1'"),
        ("Anna1", "'Anna-1'"),
        ("anna_001", "'Anna-1'"),
        ("42", "'0042'"),
        ("42.0", "'0042'"),
        ("somebody else", None),
    ],
)
def test_ids_near_one_that_nobody_has_are_named_and_stay(
    asked: str, near: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store.db"
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(store))
    with closing(SqliteWriter(store)) as writer:
        for user in ("Anna-1", "0042", "x9"):
            writer.write(scored(event(user=user)))
        writer.flush()
    done = CliRunner().invoke(app, ["erase", asked])
    assert done.exit_code == 1, done.output
    assert done.stdout.startswith(f"no user {asked!r} in the store; {f'near ids: {near}' if near else 'dead letters'}")
    with closing(SqliteReader(store)) as reader:
        assert sorted(reader.user_ids()) == ["0042", "Anna-1", "x9"]


PERSON = uuid.UUID("6f1c7f0e-23b1-4b6e-9e64-f5b9d8b0a001")
IDS = [
    (pa.array([42, 7], pa.int64()), "42"),
    (pa.array([42, 7], pa.uint8()), "42"),
    (pa.array([9_007_199_254_740_993, 7], pa.int64()), "9007199254740993"),
    (pa.array(["0042", "42"]), "0042"),
    (pa.array(["1047583920.1714550401", "1047583920.171455"]), "1047583920.1714550401"),
    (pa.array([b"42", b"7"], pa.large_binary()), "42"),
    (pa.array([Decimal(42), Decimal(7)], pa.decimal128(20, 0)), "42"),
    (pa.array(["42", "7"]).dictionary_encode(), "42"),
]


@pytest.mark.parametrize(("ids", "erased"), IDS, ids=lambda each: str(getattr(each, "type", each)))
def test_the_rejected_rows_of_an_erased_user_go_whatever_the_ids_type_was(
    ids: pa.Array, erased: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two rejected rows the person's goes, with id and product, and the other one stays."""
    rows = pa.RecordBatch.from_arrays(
        [pa.array(["e1", "e2"]), ids, pa.array([1, 1]), pa.array(["??", "??"]), pa.array(["his shoes", "hers"])],
        ["event_id", "user_id", "timestamp", "type", "product"],
    )
    letters = decode_columns(ColumnBatch("log", np.arange(1, 3), rows, [], 2), timedelta(0)).letters
    assert [letter.reason for letter in letters] == ["wrong_type", "wrong_type"]
    store = tmp_path / "store.db"
    with closing(SqliteWriter(store)) as writer:
        writer.write_dead_letters(letters)
        writer.flush()
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(store))
    done = CliRunner().invoke(app, ["erase", erased])
    assert done.exit_code == 0, done.output
    with closing(SqliteReader(store)) as reader:
        assert [letter.place for letter in reader.dead_letters(9)] == [("log", 0, 2)]
    assert b"his shoes" not in store.read_bytes()


def letter(payload: bytes, reason: str = "unframed") -> DeadLetter:
    return DeadLetter("events", 0, 1, reason, "", payload)


@pytest.mark.parametrize(
    ("payload", "reason", "user_id"),
    [
        (b'{"user_id": 42.0, "timestamp": 1}', "wrong_type", "42"),
        (b'{"user_id": 1047583920.17, "type": NaN}', "wrong_type", "1047583920.17"),
        (b'{"USER_ID": 42}', "missing", "42"),
        (b'{"event": {"properties": [{"userId": "u-1"}]}}', "unframed", "u-1"),
        (b'{"user_id": "u-1", "timestamp": "yesterday"}', "unframed", "u-1"),
        (f'{{"user_id": "{PERSON}"}}'.encode(), "wrong_type", str(PERSON)),
        (b"e1,u-1,1530622933000", "wrong_shape", "u-1"),
        (b'"e1";"u 1";x;y;z\r\n', "wrong_shape", "u 1"),
        (codec().encode_one(Event("e", "u-1", 5, "IM"))[:-3], "undecodable", "u-1"),
    ],
)
def test_a_letter_goes_with_whom_it_names(payload: bytes, reason: str, user_id: str) -> None:
    """JSON in any nesting, a line of text, an Avro message as far as it can be read."""
    held = [letter(payload, reason)]
    assert letters_of([Erasure.of(user_id, 10)], held, codec()) == held
    assert letters_of([Erasure.of("another", 10)], held, codec()) == []


@pytest.mark.parametrize(
    "payload",
    [b'{"user_id": "\\ud800"}', b'{"user_id": null}', b'{"user_id": [1]}', b"[" * 100_000, b'{"user_id": 1e999}', b""],
)
def test_what_names_nobody_stays(payload: Any) -> None:
    """And stops nothing."""
    assert letters_of([Erasure.of("1", 10)], [letter(payload)], codec()) == []


def test_a_letter_of_after_the_erasure_stays() -> None:
    """Where its time can be believed."""
    held = [letter(b'{"user_id": 42, "timestamp": 11}', "wrong_type")]
    assert letters_of([Erasure.of("42", 10)], held, codec()) == []
    assert letters_of([Erasure.of("42", 11)], held, codec()) == held
