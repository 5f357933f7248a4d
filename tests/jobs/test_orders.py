"""Orders, refunds and events of one instant in logs: `attribute`, stream and training agree on what a conversion is."""

from __future__ import annotations

import csv
import random
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jobs.remarks import TimesOfDay
from jobs.training.logs import log_of
from jobs.training.training_rows import draw, label
from model.features.count import Count
from schemas.credits import RULES
from schemas.event_types import TYPES
from schemas.events import Event
from tests.flow.running import query, run_flow
from tests.jobs.running import jobs
from tests.model.driving import batch_of

T, HOUR, DAY = 1_714_550_400_000, 3_600_000, 86_400_000
NAMES = ("event_id", "user_id", "timestamp", "type", "campaign", "revenue")
LINE_ITEMS = [
    ("a1", "u1", T, "CL", "spring", 0),
    ("o1-1", "u1", T + HOUR, "CN", "", 50),
    ("o1-2", "u1", T + HOUR, "CN", "", 10),
    ("o1-3", "u1", T + HOUR, "CN", "", 5),
]
RETRY = [
    ("m1", "u1", T, "CL", "spring", 0),
    ("m2", "u1", T + HOUR, "CN", "", 50),
    ("m2", "u1", T + HOUR + 37, "CN", "", 50),
    ("m3", "u1", T + 2 * HOUR, "IM", "spring", 0),
]
REFUND = [
    ("c1", "u1", T, "CL", "spring", 0),
    ("o1", "u1", T + HOUR, "CN", "", 50),
    ("r1", "u1", T + 25 * HOUR, "CN", "", -50),
    ("c2", "u2", T, "CL", "summer", 0),
    ("o2", "u2", T + HOUR, "CN", "", 50),
]
SECONDS = [
    ("a", "u", T, "IM", "x", 0),
    *((f"o{n}", "u", T + HOUR + n * 40_000, "CN", "", 1.5) for n in range(4)),  # for longer than a minute in all
    ("next", "u", T + 2 * HOUR, "CN", "", 2),
]
PARTIAL = [
    ("a", "u", T, "CL", "x", 0),
    ("o", "u", T + HOUR, "CN", "", 30),
    ("p", "u", T + HOUR + 5, "CN", "", 20),
    ("r", "u", T + 9 * DAY, "CN", "", -12.5),
    ("r", "u", T + 9 * DAY + 200, "CN", "", -12.5),  # sent again
]
DISCOUNTS = [
    ("c0", "u", T - DAY, "CN", "", 8),
    ("a", "u", T, "CL", "x", 0),
    ("o", "u", T + HOUR, "CN", "", 30),
    *((f"d{n}", "u", T + HOUR, "CN", "", -2) for n in range(4)),  # rows of the order, of its very time
]
ORPHAN = [("r", "u", T, "CN", "", -7), ("c", "u", T + 1, "CL", "x", 0), ("o", "u", T + DAY, "CN", "", 20)]


def written(folder: Path, rows: list[tuple]) -> Path:
    """The log of some rows."""
    with (folder / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([NAMES, *rows])
    return folder / "log.csv"


@pytest.mark.parametrize(
    ("rows", "conversions", "revenue", "said"),
    [
        (LINE_ITEMS, 1, 65, "2 more conversion events are items of an order"),
        (RETRY, 1, 50, "same id at another time: 1 events"),
        (REFUND, 2, 50, "1 refund, -50.00"),
        (SECONDS, 2, 8, "3 more conversion events"),
        (PARTIAL, 1, 37.5, "1 refund, -12.50"),
        (DISCOUNTS, 2, 30, "4 refunds, -8.00"),
        (ORPHAN, 1, 13, "1 of them, -7.00, with no order before"),
    ],
    ids=["line_items", "retry", "refund", "seconds", "partial", "discounts", "orphan"],
)
def test_what_a_conversion_is(rows: list[tuple], conversions: int, revenue: float, said: str, tmp_path: Path) -> None:
    """The same in `attribute`, whatever the order of rows, and in the stream's tables."""
    log, to, days, store = (tmp_path / name for name in ("log.csv", "to.parquet", "days.parquet", "store.db"))
    written(tmp_path, random.Random(1).sample(rows, len(rows)))
    run = jobs("attribute", log, "--to", to, "--by-day", days)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"{conversions} conversions of ")
    assert f"revenue {revenue:,.2f}, " in run.stdout
    assert said in run.stdout
    lost = 7 if rows is ORPHAN else 0
    counts = "count(DISTINCT (user_id, conversion_id)), sum(credit), sum(last), sum(credit * revenue)"
    ((orders, *sums),) = duckdb.sql(f"SELECT {counts} FROM '{to}'").fetchall()
    assert orders == conversions
    assert sums == pytest.approx([conversions, conversions, revenue + lost])
    if rows is DISCOUNTS:
        assert duckdb.sql(f"SELECT sum(last * revenue) FROM '{to}' WHERE campaign = 'x'").fetchall() == [(22,)]
        assert duckdb.sql(f"SELECT sum(last_revenue) FROM '{days}' WHERE campaign = 'x'").fetchall() == [(22,)]
    flow = run_flow(source="file", file=log, sqlite_path=store)
    assert flow.returncode == 0, flow.stderr
    assert ("with the same id at another time" in flow.stderr) == (rows in (RETRY, PARTIAL))
    keys, values = "day, campaign, type", ", ".join((*RULES, *(f"{rule}_revenue" for rule in RULES)))
    offline = duckdb.sql(f"SELECT day::VARCHAR, campaign, type, {values} FROM '{days}' ORDER BY {keys}").fetchall()
    stored = query(store, f"SELECT {keys}, {values} FROM credit_by_day ORDER BY {keys}")
    assert [row[:3] for row in stored] == [row[:3] for row in offline]
    assert [row[3:] for row in stored] == [pytest.approx(row[3:]) for row in offline]
    assert sum(row[4] for row in stored) == pytest.approx(conversions)
    assert sum(row[-1] for row in stored) == pytest.approx(revenue)


def test_a_click_of_the_orders_day_is_before_it_in_credit_and_in_training(tmp_path: Path) -> None:
    """In a log of whole days, and that is said: what a click foretells is seen in its label."""
    rng, world = random.Random(5), list[Event]()
    for user in range(1_000):
        for turn in range(rng.randint(1, 4)):
            time, kind, name = rng.randrange(90) * DAY, rng.choice(["IM", "CL"]), f"{user}-{turn}"
            world.append(Event(name, f"u{user}", T // DAY * DAY + time, kind))
            if kind == "CL" and rng.random() < 0.5:
                world.append(Event(f"{name}-n", f"u{user}", T // DAY * DAY + time, "CN"))
    log = log_of(iter([batch_of(world)]), "log")
    assert [line[:31] for line in log.remarks()] == ["this log has whole days only: w"]
    moments, at_event = draw(log, 0, T + 91 * DAY)
    kinds = log.replay.types[moments.counts - 1]
    touches = at_event & (kinds != TYPES.index("CN"))
    labels = label(log, moments, 7 * DAY)[touches]
    assert roc_auc_score(labels, kinds[touches] == TYPES.index("CL")) > 0.7
    shown = Count(aggregation="count", weight=0.0, type="CN", look_back=timedelta(milliseconds=1))
    assert not log.features([shown], moments.take(touches)).any()
    run = jobs("attribute", written(tmp_path, [(*row[:2], T // DAY * DAY, *row[3:]) for row in REFUND]))
    assert "this log has whole days only" in run.stdout


@pytest.mark.parametrize(
    ("times", "missing"),
    [
        ([0, DAY, 5 * DAY], True),
        ([0, 0], True),
        ([0], False),
        ([22 * HOUR + n * DAY for n in range(9)] + [23 * HOUR], True),
        ([HOUR * 9 // 2 + n * DAY for n in range(12)], True),
        ([HOUR, 2 * HOUR, DAY], False),
        ([n * DAY + n for n in range(20)], False),
        ([7, DAY + 7] * 9, False),
    ],
)
def test_logs_of_whole_days_are_noticed(times: list[int], missing: bool) -> None:
    """Of UTC, of a zone with summer time, of one with half an hour; chance is none."""
    for size in (1, len(times)):
        clock = TimesOfDay()
        for first in range(0, len(times), size):
            clock.note(np.array(times[first : first + size]) + T // DAY * DAY)
        assert clock.are_missing == missing
