"""Somebody else's log through the whole dataflow, against the plain-Python reference."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest

from tests.flow.running import ROOT, data_file, query, read_text, run_flow
from tests.reference import event_key, final_rows, load

EVENTS = 15_401


@pytest.fixture(scope="module")
def log() -> str:
    return read_text(data_file("clickstream.csv.gz"))


@pytest.fixture(scope="module")
def expected(log: str) -> dict[tuple[str, int, int], tuple[str, str, str, float, int]]:
    """What must be in the table, by its key."""
    events: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(log)))
    for event in events:
        event["timestamp"] = int(event["timestamp"])
        event["revenue"] = float(event["revenue"])
    rows = final_rows(events, load(ROOT / "model" / "seed.json"))
    return {
        (user, time, event_key(event)): (event, row.type, row.campaign, row.propensity, row.seen)
        for (user, time, event), row in rows.items()
    }


def as_it_is(lines: list[str]) -> list[str]:
    return lines


def shuffled(lines: list[str]) -> list[str]:
    return random.Random(1).sample(lines, len(lines))


def with_repeats(lines: list[str]) -> list[str]:
    """30% of the lines again, anywhere."""
    again = random.Random(2).sample(lines, len(lines) * 3 // 10)
    return shuffled(lines + again)


@pytest.mark.parametrize(
    ("arrange", "processes"),
    [(as_it_is, 1), (shuffled, 1), (with_repeats, 1), (as_it_is, 2), (with_repeats, 3)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_rows_equal_the_reference(
    arrange: Any, processes: int, log: str, expected: dict[Any, Any], tmp_path: Path
) -> None:
    """Whatever the order of the lines, the repeats among them, and the number of processes."""
    header, *lines = log.splitlines(keepends=True)
    file, store = tmp_path / "log.csv", tmp_path / "store.db"
    file.write_text(header + "".join(arrange(lines)), encoding="utf-8", newline="")
    run = run_flow(processes, source="file", file=file, sqlite_path=store, model="model/seed.json")
    assert run.returncode == 0, run.stderr
    rows = query(
        store,
        "SELECT user_id, event_time, event_key, event_id, event_type, campaign, propensity, seen, model_id"
        " FROM propensity_by_user",
    )
    assert len(rows) == EVENTS
    for user, time, key, event, kind, campaign, propensity, seen, model in rows:
        assert model == "seed"
        assert (event, kind, campaign, pytest.approx(propensity, rel=0, abs=1e-12), seen) == expected[user, time, key]
    newest = query(store, "SELECT user_id, event_time, propensity, seen FROM latest_propensity")
    ends = query(
        store,
        "SELECT user_id, event_time, propensity, seen FROM propensity_by_user AS p WHERE seen ="
        " (SELECT max(seen) FROM propensity_by_user WHERE user_id = p.user_id)",
    )
    assert sorted(newest) == sorted(ends)


def test_compressed_file_with_default_settings(expected: dict[Any, Any], tmp_path: Path) -> None:
    """The file as it was handed over, under the shipped default model."""
    store = tmp_path / "store.db"
    run = run_flow(source="file", file=data_file("clickstream.csv.gz"), sqlite_path=store)
    assert run.returncode == 0, run.stderr
    assert query(store, "SELECT count(*) FROM propensity_by_user") == [(EVENTS,)]
    assert "15,401 scored" in run.stderr
    assert "0 dead letters" in run.stderr
