"""`python -m jobs dead-letters list` and `show`, for the store's table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from schemas.avro.codec import Codec
from schemas.dead_letters import REASONS, DeadLetter
from schemas.events import Event
from stores.sqlite.writer import SqliteWriter
from tests.jobs.running import complaint

WHOLE = Codec().encode_one(Event("an event", "a user", 1_500_000_000_000, "CL", campaign="Spring"))
LETTERS = [
    *(DeadLetter("events", 1, offset, "unframed", "the message starts with 7b22", b'{"a": 1}') for offset in range(30)),
    DeadLetter("logs/may.csv", 0, 7, "id_length", "event_id has 0 bytes", b'{"user_id": "u\\u001b[31m"}'),
    DeadLetter("logs/may.csv", 0, 8, "undecodable", "EOFError: \x1b]0;owned\x07", WHOLE[:-20]),
]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that the settings name, empty."""
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(tmp_path / "store.db"))
    return tmp_path / "store.db"


def fill(store: Path, *letters: DeadLetter) -> None:
    writer = SqliteWriter(store)
    writer.write_dead_letters(letters)
    writer.flush()
    writer.close()


def answer(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["dead-letters", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("arguments", [["list"], ["show", "events/1/0"]])
def test_a_store_that_is_not_there_is_one_line_and_is_not_made(store: Path, arguments: list[str]) -> None:
    assert complaint("dead-letters", *arguments) == f"ad-streams: ADSTREAMS_SQLITE_PATH: {store}: no such file"
    assert not store.exists()


def test_an_empty_store_has_none(store: Path) -> None:
    fill(store)
    assert answer("list") == "no dead letters\n"


def test_a_list_has_places_reasons_and_totals(store: Path) -> None:
    """The first ones in the order of their places, and how many there are of each reason."""
    fill(store, *LETTERS)
    shown = answer("list")
    for offset in range(20):
        assert f"events/1/{offset} " in shown
    assert "events/1/20" not in shown
    assert "… and 12 more" in shown
    assert f"30 unframed: {REASONS['unframed']}" in shown
    assert "1 id_length: " in shown
    assert "logs/may.csv/0/7" in answer("list", "--count", "100")


def test_a_list_of_one_reason(store: Path) -> None:
    fill(store, *LETTERS)
    shown = answer("list", "--reason", "id_length")
    assert "logs/may.csv/0/7" in shown
    assert "events/1" not in shown
    assert answer("list", "--reason", "revenue") == "no dead letters with the reason revenue\n"


def test_a_letter_is_shown_with_its_bytes_and_what_they_say(store: Path) -> None:
    """Of a message that breaks off, the fields before that."""
    fill(store, *LETTERS)
    shown = answer("show", "logs/may.csv/0/8")
    assert f"undecodable: {REASONS['undecodable']}" in shown
    assert f"00000000  {WHOLE[:16].hex(' ')}" in shown
    assert "a user" in shown
    assert "an event" in shown
    assert "EOFError" in shown
    assert '"a": 1' in answer("show", "events/1/3"), "the bytes as ASCII"
    assert "u\\x1b[31m" in answer("show", "logs/may.csv/0/7")


def test_nothing_that_a_letter_holds_reaches_the_terminal_as_a_command(store: Path) -> None:
    """Escape sequences are written out."""
    fill(store, *LETTERS, replace(LETTERS[0], source="\x1b[2J[bold]", detail="[red]\x9b"))
    shown = answer("list", "--count", "100") + answer("show", "logs/may.csv/0/8") + answer("show", "\x1b[2J[bold]/1/0")
    assert not {character for character in shown if not character.isprintable()} - {"\n"}
    assert "[bold]" in shown
    assert "[red]" in shown


def test_what_is_wrong_is_told_in_one_line(store: Path) -> None:
    fill(store, *LETTERS)
    assert "events/1/99: no such dead letter" in complaint("dead-letters", "show", "events/1/99")
    assert "SOURCE/PARTITION/OFFSET" in complaint("dead-letters", "show", "events")
    assert "--reason: must be one of unframed," in complaint("dead-letters", "list", "--reason", "odd")
    assert "events/1/99: no such dead letter" in complaint("dead-letters", "retry", "events/1/99")
