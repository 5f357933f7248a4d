"""`python -m jobs erase`: what it says of a user whom nobody knows; what goes is in tests/flow/test_erasure.py."""

from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from schemas.erasures import hash_of
from stores.sqlite.writer import SqliteWriter


def test_a_user_in_no_table_is_told_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store.db"
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(store))
    SqliteWriter(store).close()
    done = CliRunner().invoke(app, ["erase", "nobody"])
    assert done.exit_code == 0, done.output
    said = "no table has a user 'nobody', dead letters that went: 0; the request is remembered"
    assert done.stdout == f"{said}; running flows follow within seconds\n"
    with closing(SqliteWriter(store)) as writer:
        assert [each.user_hash for each in writer.erasures()] == [hash_of("nobody")]
