"""The grader: passes over the store one after another, at low priority, their grades written beside the scores."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from types import FrameType

from rich.markup import escape
from rich.table import Table

from jobs.console import say, show
from jobs.grading.grade_tables import interval
from jobs.grading.passes import Pass, Plan, grade_store
from jobs.problems import require_store
from model.durations import to_milliseconds, write_duration
from model.scoring.training_record import HISTORY, Estimate, from_milliseconds
from schemas.errors import JobError, StoreError
from schemas.grades import ALL, CHALLENGER, EVENT, Grade
from settings import Settings
from stores.store_registry import reader_of, writer_of

REST = 10.0
"""A pass is followed by at least this many times its own duration without one."""
FIRST = timedelta(seconds=5)
"""The pause between two passes while there is nothing to grade yet."""

_log = logging.getLogger("adstreams.grades")


def plan_of(settings: Settings, days: int, most: int) -> Plan:
    """What the settings say is to be graded."""
    return Plan(
        settings.loaded_model, settings.loaded_challenger, days, most, settings.sequence_length, settings.daily_limit
    )


def grade_once(settings: Settings, plan: Plan) -> None:
    """Make one pass, write its grades, and print them.

    Raises:
        JobError: the store is not there, or holds no scores.
        StoreError: it cannot be used.
    """
    require_store(settings)
    found = make_pass(settings, plan)
    if found is None:
        raise JobError("the store holds no scores yet: run the dataflow first")
    tell(found, plan)


def keep_grading(settings: Settings, plan: Plan, every: timedelta) -> None:
    """Make passes until a signal comes; what a store does not answer is asked again at the next one."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    told = ""
    while True:
        began = time.monotonic()
        try:
            found = make_pass(settings, plan)
        except StoreError as error:
            found = None
            _log.warning("not graded: %s", error)
        if found is not None and found.grades:
            words = "; ".join((*in_words(found.grades), *_caution(found)))
            if words != told:
                told = words
                _log.info("graded: %s", words)
        pause = every if found is not None and found.grades else min(every, FIRST)
        time.sleep(max(pause.total_seconds(), REST * (time.monotonic() - began)))


def make_pass(settings: Settings, plan: Plan) -> Pass | None:
    """One pass, its grades durable in the end; None where the store holds no scores.

    Raises:
        StoreError: the store cannot be used.
    """
    with closing(reader_of(settings)()) as reader:
        found = grade_store(reader, plan)
    if found is not None and found.grades:
        with closing(writer_of(settings, first=False)()) as writer:
            writer.write_grades(found.grades)
            writer.flush()
    return found


def in_words(grades: Sequence[Grade]) -> list[str]:
    """What the grades of all days say."""
    return [f"{_name(each)} {_where(each)}: {each.verdict}" for each in grades if each.day == ALL]


def tell(found: Pass, plan: Plan) -> None:
    """Print the grades of all days, what they say, and what they leave out."""
    table = Table(
        "model",
        "where",
        "days",
        "rows",
        "users",
        "positive",
        "AUC",
        "log loss",
        "base rate's",
        "observed/expected",
        "Brier",
    )
    whole = [each for each in found.grades if each.day == ALL]
    for each in whole:
        days = sum((one.model_id, one.kind) == (each.model_id, each.kind) for one in found.grades) - 1
        table.add_row(
            escape(_name(each)),
            _where(each),
            f"{days}",
            *(f"{count:,}" for count in (each.rows, each.users, each.positives)),
            _interval(each.auc, each.auc_low, each.auc_high, 3),
            *("-" if loss is None else f"{loss:.5f}" for loss in (each.log_loss, each.base_log_loss)),
            _interval(
                each.observed_over_expected, each.observed_over_expected_low, each.observed_over_expected_high, 2
            ),
            "-" if each.brier is None else f"{each.brier:.5f}",
        )
    if whole:
        show(table)
    for line in (*in_words(whole), *remarks(found, plan)):
        say(line)


def remarks(found: Pass, plan: Plan) -> list[str]:
    """What a reader of the grades should know of them."""
    lines = _caution(found)
    graded = {each.model_id for each in found.grades}
    if plan.challenger is not None and found.models[-1] is not plan.challenger:
        lines.append(f"{plan.challenger.id}: no challenger any more, the store has a model of this id")
    for model in found.models:
        horizon = write_duration(model.horizon)
        until = found.now - to_milliseconds(model.horizon)
        if model.id in graded:
            lines.append(f"{model.id}: what was said up to {_minute(until)}, an order within {horizon} is known of it")
        else:
            lines.append(
                f"{model.id}: nothing to grade; the store's newest event is of {_minute(found.now)}, and whether an "
                f"order follows within {horizon} is known of what was said up to {_minute(until)}"
            )
    if found.share < 1:
        lines.append(f"a sample: {found.looked_at:,} of {found.users:,} users, by hash, a share of {found.share:.2%}")
    if found.set_apart:
        lines.append(
            f"{found.set_apart:,} users are set apart as automated (ADSTREAMS_MAX_DAILY_EVENTS) and not graded"
        )
    if found.cut:
        lines.append(
            f"{found.cut:,} users are left out at clock times, and for a challenger: their first events are not stored"
        )
    for name, count in sorted(found.unknown.items()):
        lines.append(f"{count:,} scores are of a model {name!r} that the store does not name: not graded")
    return lines


def _caution(found: Pass) -> list[str]:
    """What is to be said of a stream whose users had no time yet to show who they are."""
    if max((each.graded_until for each in found.grades), default=found.first + HISTORY) - found.first >= HISTORY:
        return []
    return [
        f"a young stream: what users did before {_minute(found.first)} is not known, so that scores are lower than "
        f"they should be; judge by later grades"
    ]


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _name(grade: Grade) -> str:
    return f"{grade.model_id} (challenger)" if grade.role == CHALLENGER else grade.model_id


def _where(grade: Grade) -> str:
    return "at events" if grade.kind == EVENT else "at clock times"


def _minute(time: int) -> str:
    return f"{from_milliseconds(time)[:16].replace('T', ' ')} UTC"


def _interval(value: float | None, low: float | None, high: float | None, digits: int) -> str:
    return interval(None if value is None else Estimate(value=value, low=low, high=high), digits)
