"""`python -m jobs train`: a log in, a model file and its report out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from jobs.bars import progress
from jobs.console import say
from jobs.duration_option import duration
from jobs.grading.grade_tables import print_grades
from jobs.grading.measures import grade, verdict
from jobs.outputs import check_output
from jobs.training.candidates import SHORTEST_HALF_LIFE
from jobs.training.logs import Log, read_log
from jobs.training.report import Reported, write_report
from jobs.training.training import Split, score, train
from jobs.training.training_rows import TEST, look_back_for
from model.durations import write_duration
from model.scoring.propensity import Model
from schemas.errors import JobError
from schemas.logs.times import TimeFormat

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3_650)
"""Bounds of horizons; the longest look-back too."""


def train_file(
    events: Sequence[str],
    to: Path,
    horizon: str,
    look_back: str | None,
    name: str,
    most: int,
    times: TimeFormat | None = None,
) -> None:
    """Train on a log and write the model to `to` and its report beside it; say how it did.

    Raises:
        JobError: an option is wrong, the log is too short or has too few conversions, or a file cannot be written.
        LogFileError, ColumnsError, SettingsError, TopicError: the log cannot be read.
    """
    check_output("--to", to, (".json",))
    page = to.with_suffix(".html")
    check_output("--to", page, (".html",))
    if not 1 <= len(name) <= 100:
        raise JobError(f"--id: must have 1 to 100 characters, got {len(name)}")
    h = duration("--horizon", horizon, SHORTEST, LONGEST)
    asked = asked_look_back(look_back)
    log = read_log(events, times)
    split = Split.of(log, h, asked or look_back_for(log, h), most)
    with progress() as bar:
        task = bar.add_task("training", total=None)
        model = train(split, name, h, lambda what: bar.update(task, description=what, advance=1))
    tell(split, model)
    try:
        to.write_text(text_of(model), encoding="utf-8")
        write_report(page, f"Model {name}", facts_of(log, model), reported_of(split, model), [model])
    except OSError as error:
        raise JobError(f"{error.filename}: {error.strerror}") from None
    say(f"{to}: the model; {page}: its report")


def asked_look_back(text: str | None) -> timedelta | None:
    """What `--look-back` says: at least the shortest half-life that a feature may have.

    Raises:
        JobError: it is none.
    """
    return None if text is None else duration("--look-back", text, SHORTEST_HALF_LIFE, LONGEST)


def text_of(model: Model) -> str:
    """A model's file: one line for each feature and vector."""
    document = model.model_dump(mode="json", exclude_none=True)
    lines = []
    for key, value in document.items():
        if isinstance(value, list | tuple):
            text = "[\n" + ",\n".join(f"    {json.dumps(each, ensure_ascii=False)}" for each in value) + "\n  ]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def tell(split: Split, model: Model) -> None:
    """Print what the model was made of, and how it did."""
    record = model.trained_on
    assert record is not None, "train has just made it"
    say(f"{split.log.counts}; {split.log.rejected:,} rejected rows")
    for line in split.log.remarks():
        say(line)
    parts = ", ".join(f"{name} {part.rows:,} ({part.positive:,} positive)" for name, part in record.parts.items())
    say(f"rows: {parts}")
    say(f"features {record.feature_set}: {np.count_nonzero(model.weights)} have weight; C = {record.regularisation:g}")
    if model.metrics is not None:
        print_grades(
            [
                (model.id, "at events", model.metrics.at_events),
                (model.id, "at clock times", model.metrics.at_clock_times),
            ]
        )
    say(verdict_of(model))


def verdict_of(model: Model) -> str:
    """How the model did, in words."""
    if model.metrics is None:
        return "not graded: the test rows at events or at clock times have one label only"
    return f"at events {verdict(model.metrics.at_events)}; at clock times {verdict(model.metrics.at_clock_times)}"


def facts_of(log: Log, model: Model) -> list[str]:
    """What the report begins with."""
    record = model.trained_on
    assert record is not None, "train has just made it"
    return [
        f"The probability of an order within {write_duration(model.horizon)}. Trained on {log.name}: {log.counts}; "
        f"labels known by {record.known:%Y-%m-%d %H:%M} UTC, look-back {write_duration(record.look_back)}, features "
        f"{record.feature_set}, C = {record.regularisation:g}.",
        f"On users and times that training never saw: {verdict_of(model)}. Under measures: 95% intervals over users.",
    ]


def reported_of(split: Split, model: Model) -> list[Reported]:
    """The model's test rows by place."""
    test, known = split.parts[TEST], model.metrics
    scored = score(split.log, test, model)
    events, clock_times = scored.take(test.at_event), scored.take(~test.at_event)
    return [
        Reported(model.id, "at events", events, known.at_events if known else grade(events)),
        Reported(model.id, "at clock times", clock_times, known.at_clock_times if known else grade(clock_times)),
    ]
