"""What others wrote, on a person's screen and in a person's spreadsheet."""

from __future__ import annotations

import csv
import json
import logging
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from schemas.dead_letters import DeadLetter
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel
from schemas.valid_json import valid_json
from schemas.visible import visible
from settings import VisibleFormatter
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import ROOT

HOSTILE = "\x1b[2J\x1b]0;title\x07Sommer\u202egnp.exe\u2066\u200f\x9b31m\r\nad-streams: all is well\x7f\u2028"
SHOWN = r"\x1b[2J\x1b]0;title\x07Sommer\u202egnp.exe\u2066\u200f\x9b31m\r\nad-streams: all is well\x7f\u2028"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a hostile letter, and models of hostile ids."""
    path = tmp_path / "store.db"
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(path))
    monkeypatch.setenv("COLUMNS", "400")
    seed = json.loads((ROOT / "model" / "seed.json").read_text())
    with closing(SqliteWriter(path)) as writer:
        row = {"user_id": HOSTILE, "campaign": HOSTILE, "type": HOSTILE}
        writer.write_dead_letters([DeadLetter(HOSTILE, 0, 1, HOSTILE, HOSTILE, json.dumps(row).encode())])
        for start in (FROM_THE_BEGINNING, 5):
            model = json.dumps(seed | {"id": f"{HOSTILE}{start}"})
            writer.add_model(StoredModel(start, f"{HOSTILE}{start}", model))
        writer.flush()
    return path


def said(*arguments: str) -> str:
    """All that a command says: each character prints by itself."""
    done = CliRunner().invoke(app, list(arguments))
    output = done.stdout + done.stderr
    assert output.replace("\n", "").isprintable(), [each for each in output if not each.isprintable() and each != "\n"]
    assert not [line for line in output.splitlines() if line.startswith("ad-streams: all is well")]
    return output


@pytest.mark.parametrize(
    ("command", "is_named"),
    [
        (("dead-letters", "list"), True),
        (("dead-letters", "show", f"{HOSTILE}/0/1"), True),
        (("dead-letters", "show", f"{HOSTILE}/0/2"), True),
        (("dead-letters", "show", HOSTILE), True),
        (("dead-letters", "list", "--reason", HOSTILE), True),
        (("dead-letters", "retry"), False),
        (("dead-letters", "retry", "--recovery", HOSTILE, f"{HOSTILE}/0/1"), False),
        (("erase", HOSTILE), False),
        (("models", "list"), True),
        (("models", "remove", HOSTILE), True),
        (("models", "add", HOSTILE), True),
        (("attribute", HOSTILE + ".csv"), True),
        (("train", HOSTILE + ".csv", "--horizon", "7d", "--to", "/nowhere/m.json"), False),
        (("evaluate", "model/seed.json", HOSTILE + ".csv"), True),
        (("simulate", "--to", HOSTILE, "--events", "1"), True),
        (("supervise", "--processes", HOSTILE), False),
        ((HOSTILE,), False),
    ],
    ids=lambda each: " ".join(map(visible, each))[:30] if isinstance(each, tuple) else "",
)
def test_no_command_lets_anothers_text_act_on_the_terminal(
    store: Path, command: tuple[str, ...], is_named: bool
) -> None:
    """In tables, lines and complaints; what it is can be read."""
    output = said(*command)
    assert output
    if is_named:
        assert SHOWN in output


def test_campaigns_of_a_log_are_shown_and_written_as_they_are(tmp_path: Path, store: Path) -> None:
    """The table shows an escape; the file keeps the bytes."""
    log, days = tmp_path / "log.csv", tmp_path / "days.csv"
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["event_id", "user_id", "timestamp", "type", "campaign", "revenue"])
        rows.writerow(["e1", "u", 1_700_000_000_000, "CL", HOSTILE, 0])
        rows.writerow(["e2", "u", 1_700_000_060_000, "CN", "NA", 9])
    assert SHOWN in said("attribute", str(log), "--by-day", str(days))
    with days.open(newline="") as file:
        assert HOSTILE in {row["campaign"] for row in csv.DictReader(file)}


def test_a_line_of_the_log_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And a traceback has its lines."""
    logger, handler = logging.getLogger("adstreams.test"), logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(name)s %(message)s"))
    logger.addHandler(handler)
    logger.warning("%s: another file", HOSTILE)
    try:
        int(HOSTILE)
    except ValueError:
        logger.exception("it failed")
    logger.removeHandler(handler)
    lines = capsys.readouterr().err.split("\n")
    assert lines[0] == f"adstreams.test {SHOWN}: another file"
    assert lines[2].startswith("Traceback")


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", '=HYPERLINK("http://x","y")']
HARMLESS = ["Brand", "1-2", "a=b", "é", "'=1"]


def test_a_spreadsheet_computes_nothing_of_a_log_on_request(tmp_path: Path, store: Path) -> None:
    """A quote before what is a formula; numbers and other texts stay as they were."""
    log = tmp_path / "log.csv"
    names = FORMULAS + HARMLESS
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["event_id", "user_id", "timestamp", "type", "campaign", "revenue"])
        for number, name in enumerate(names):
            rows.writerow([f"e{number}", f"-u{number}", 1_700_000_000_000, "CL", name, 0])
            rows.writerow([f"c{number}", f"-u{number}", 1_700_000_060_000, "CN", "NA", 5])
        rows.writerow(["back", f"-u{names.index('Brand')}", 1_700_000_120_000, "CN", "NA", -9])  # a refund

    def written(*options: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        to, days = tmp_path / "all.csv", tmp_path / "days.csv"
        said("attribute", str(log), "--to", str(to), "--by-day", str(days), *options)
        with to.open(newline="") as first, days.open(newline="") as second:
            return list(csv.DictReader(first)), list(csv.DictReader(second))

    plain, guarded = written(), written("--for-spreadsheets")
    for before, after in zip(plain, guarded, strict=True):
        for old, new in zip(before, after, strict=True):
            for name, value in old.items():
                is_formula = (name == "campaign" and value in FORMULAS) or name == "user_id"
                assert new[name] == (f"'{value}" if is_formula else value)
    assert {row["campaign"] for row in guarded[1]} >= {f"'{name}" for name in FORMULAS} | set(HARMLESS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), '"NaN"'),
        ([float("inf"), -float("inf"), 1.5], '["Infinity", "-Infinity", 1.5]'),
        ({"a": {"b": b"\xff\x00"}}, r'{"a": {"b": "\\xff\u0000"}}'),
        ("\ud800é", r'"\ud800é"'),
        ({1: (2, None, True)}, '{"1": [2, null, true]}'),
        (2**70, str(2**70)),
    ],
)
def test_json_is_valid_whatever_it_holds(value: object, expected: str) -> None:
    text = valid_json(value)
    assert text == expected
    text.encode()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(text, parse_constant=refuse)
