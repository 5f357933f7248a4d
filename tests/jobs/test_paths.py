"""The paths of `python -m jobs attribute --paths`: each name one step, each user without a conversion once."""

from __future__ import annotations

import csv
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.paths import SEPARATOR, step
from tests.jobs.running import jobs

T = 1_714_550_400_000
HOUR, DAY = 3_600_000, 86_400_000


def paths_of(
    folder: Path, *events: tuple[str, int, str, str], revenue: float = 10
) -> dict[str, tuple[int, float, int]]:
    """The paths of a log of (user, time, type, campaign), by name: conversions, their revenue, users without."""
    log, paths = folder / "log.csv", folder / "paths.csv"
    with log.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["event_id", "user_id", "timestamp", "type", "campaign", "revenue"])
        for number, (user, time, kind, campaign) in enumerate(events):
            out.writerow([f"e{number}", user, T + time, kind, campaign, revenue if kind == "CN" else 0])
    run = jobs("attribute", log, "--paths", paths)
    assert run.returncode == 0, run.stderr
    with paths.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["separator"] for row in rows} <= {SEPARATOR}
    numbers = ("total_conversions", "total_conversion_value", "total_null")
    return {row["path"]: tuple(float(row[name]) for name in numbers) for row in rows}  # type: ignore[misc]


def test_names_that_hold_the_separator_or_are_types_stay_apart(tmp_path: Path) -> None:
    assert paths_of(
        tmp_path,
        *[("u1", 0, "CL", "Brand > DE"), ("u1", HOUR, "CN", "")],
        *[("u2", 0, "IM", "Brand"), ("u2", 100, "CL", "DE"), ("u2", HOUR, "CN", "")],
        *[("u3", 0, "IM", "CL"), ("u3", HOUR, "CN", "")],
        *[("u4", 0, "CL", ""), ("u4", HOUR, "CN", "")],
        *[("u5", 0, "CL", "(CL)"), ("u5", HOUR, "CN", "")],
        *[("u6", 0, "CL", "Brand%3EDE"), ("u6", HOUR, "CN", "")],
        *[("u7", 0, "CL", "Brand>DE"), ("u7", HOUR, "CN", "")],
        *[("u8", 0, "CL", " Brand"), ("u8", HOUR, "CN", "")],
    ) == dict.fromkeys(
        [
            "Brand %3E DE",
            "Brand > DE",
            "CL",
            "(CL)",
            "%28CL)",
            "Brand%253EDE",
            "Brand%3EDE",
            "%20Brand",
        ],
        (1, 10, 0),
    )


@given(st.lists(st.text(min_size=1, max_size=12).filter(lambda name: name != "NA"), min_size=1, max_size=4))
def test_a_path_reads_back_as_its_campaigns(names: list[str]) -> None:
    """Also by tools that split at `>` alone and trim what is between."""
    path = SEPARATOR.join(step(name, "IM") for name in names)
    assert [unquote(each) for each in path.split(SEPARATOR)] == names
    assert [unquote(each.strip()) for each in path.split(">")] == names


@pytest.mark.parametrize("without", [0, 1 * DAY, 400 * DAY])
def test_each_user_without_a_conversion_counts_once_whenever_seen(tmp_path: Path, without: int) -> None:
    """Three users of whom one converted give 2, and what the converted one saw afterwards is no third."""
    found = paths_of(
        tmp_path,
        *[("buyer", 200 * DAY, "IM", "a"), ("buyer", 201 * DAY, "CN", ""), ("buyer", 202 * DAY, "IM", "b")],
        ("first", without, "IM", "a"),
        ("second", 300 * DAY, "CL", "c"),
    )
    assert found == {"a": (1, 10, 1), "c": (0, 0, 1)}


def test_a_path_to_no_conversion_reaches_back_from_its_newest_touch(tmp_path: Path) -> None:
    found = paths_of(
        tmp_path,
        *[("u", 0, "IM", "old"), ("u", 40 * DAY, "IM", "a"), ("u", 70 * DAY, "CL", "b"), ("v", 500 * DAY, "CN", "")],
    )
    assert found == {"a > b": (0, 0, 1)}
