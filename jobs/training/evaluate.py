"""`python -m jobs evaluate`: models graded side by side on a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from jobs.bars import progress
from jobs.console import say
from jobs.grading.grade_tables import RatioTable, print_grades, print_ratios
from jobs.grading.measures import Scored, bin_of_hours, grade, names_of_hours, ratios, verdict
from jobs.model_files import read_model
from jobs.outputs import check_output
from jobs.training.candidates import candidates
from jobs.training.logs import read_log
from jobs.training.report import Reported, write_report
from jobs.training.train import asked_look_back
from jobs.training.training import Split, score
from jobs.training.training_rows import FIT, TEST, VALIDATE, Rows, look_back_for
from model.durations import write_duration
from model.features.kinds import Feature
from model.features.recency import Recency
from model.scoring.known_campaigns import unknown_campaigns
from schemas.errors import JobError
from schemas.event_types import TYPES
from schemas.logs.times import TimeFormat

SEED = Path(__file__).parent.parent.parent / "model" / "seed.json"
ORIGINAL, CEILING = "original", "gradient boosting"
PLACES = ("at events", "at clock times")


@dataclass(frozen=True, eq=False)
class Graded:
    """A model's test rows under the name that the tables give it."""

    name: str
    scored: Scored


def evaluate_files(
    given: Sequence[str],
    look_back: str | None,
    most: int,
    report: Path | None,
    times: TimeFormat | None = None,
) -> None:
    """Grade the models of files on a log, beside the original's weights and a gradient boosting; print the tables.

    Raises:
        JobError: there is no model, or one where the log should be, one cannot be read, their horizons differ, the log
            is too short or has too few conversions, or the report cannot be written.
        LogFileError, ColumnsError, SettingsError, TopicError: the log cannot be read.
    """
    files, events = _models_and_logs(given)
    if report is not None:
        check_output("--report", report, (".html",))
    models = [read_model(file) for file in files]
    horizon = models[0].horizon
    for file, model in zip(files, models, strict=True):
        if model.horizon != horizon:
            raise JobError(
                f"{file}: a horizon of {write_duration(model.horizon)}, {files[0]} has {write_duration(horizon)}: "
                f"give models of one horizon"
            )
    asked = asked_look_back(look_back)
    log = read_log(events, times)
    split = Split.of(log, horizon, asked or look_back_for(log, horizon), most)
    names = _distinct([model.id for model in models], files)
    test = split.parts[TEST]
    with progress() as bar:
        task = bar.add_task("scoring", total=len(models) + 2)
        graded = []
        for name, model in zip([*names, ORIGINAL], [*models, read_model(SEED)], strict=True):
            graded.append(Graded(name, score(log, test, model)))
            bar.advance(task)
        bar.update(task, description=CEILING)
        graded.append(Graded(CEILING, Scored(test.moments.users, test.labels, boosted(split))))
    say(f"{log.counts}; {log.rejected:,} rejected rows; horizon {write_duration(horizon)}")
    for line in log.remarks():
        say(line)
    by_part, reported = ratio_tables(split, graded), reported_of(split, graded)
    tell(reported, by_part)
    for model in models:
        if unknown := unknown_campaigns(model, log.touch_campaigns):
            say(unknown)
    if report is not None:
        facts = [f"The probability of an order within {write_duration(horizon)}, on {log.name}: {log.counts}."]
        try:
            write_report(report, f"Models on {log.name}", facts, reported, models, by_part)
        except OSError as error:
            raise JobError(f"{error.filename}: {error.strerror}") from None
        say(f"{report}: the report")


def _models_and_logs(given: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The model files, and then what the log consists of; a JSON file of objects may be either."""
    count = next((n for n, name in enumerate(given) if not _is_model(name)), len(given))
    if len(given) < 2:
        raise JobError("evaluate: give at least one model file, and then the log")
    if _is_model(given[-1]):
        raise JobError(f"evaluate: {given[-1]} is given as the log: the log comes last, after the model files")
    if not count:
        raise JobError("evaluate: give at least one model file, and then the log")
    return [Path(name) for name in given[:count]], list(given[count:])


def _is_model(name: str) -> bool:
    if not name.endswith(".json"):
        return False
    try:
        found = json.loads(Path(name).read_bytes())
    except (OSError, ValueError):  # an unreadable model is reported as such, but one object a line is a log
        return not Path(name).is_file() or b'"event_id"' not in Path(name).read_bytes()[:4_096].lower()
    return isinstance(found, dict)


def reported_of(split: Split, graded: Sequence[Graded]) -> list[Reported]:
    """The models' test rows by place, with their grades."""
    return [
        Reported(each.name, place, scored, grade(scored))
        for place, at in _places(split.parts[TEST])
        for each in graded
        for scored in [each.scored.take(at)]
    ]


def tell(reported: Sequence[Reported], by_part: Sequence[RatioTable]) -> None:
    """Print the grades, observed over expected by part, and what the grades say."""
    table = [(each.name, each.place, each.grades) for each in reported]
    print_grades(table, "Grades, on users and times that training on this log would not see")
    for part in by_part:
        print_ratios(part)
    for name, place, grades in table:
        say(f"{name} {place}: {verdict(grades)}")


def ratio_tables(split: Split, graded: Sequence[Graded]) -> list[RatioTable]:
    """Observed over expected by hours since the last event, and by segment."""
    test, log = split.parts[TEST], split.log
    hours = (test.moments.times - log.replay.last_before(test.moments)) / 3_600_000
    segments = log.segments[test.moments.users]
    by_event, by_clock = _places(test)
    parts = (
        ("hours since the last event", by_clock, bin_of_hours(hours), names_of_hours()),
        ("segment", by_event, segments, log.segment_names),
        ("segment", by_clock, segments, log.segment_names),
    )
    return [
        RatioTable(
            by, place, [each.name for each in graded], [ratios(each.scored.take(at), of[at], names) for each in graded]
        )
        for by, (place, at), of, names in parts
    ]


def boosted(split: Split) -> np.ndarray:
    """Propensities of the test rows (n) by gradient boosting on all features, recency too; no file holds it.

    It stops when other users gain no more.
    """
    features: tuple[Feature, ...] = max((each.features for each in candidates(split.log, split.look_back)), key=len)
    features += tuple(Recency(weight=0.0, aggregation="recency", type=kind, never=12.0) for kind in TYPES)
    fits, validates = split.parts[FIT], split.parts[VALIDATE]
    model = HistGradientBoostingClassifier(learning_rate=0.05, max_leaf_nodes=15, early_stopping=True, random_state=1)
    model.fit(
        split.features(FIT, features),
        fits.labels,
        X_val=split.features(VALIDATE, features),
        y_val=validates.labels,
    )
    found: np.ndarray = model.predict_proba(split.features(TEST, features))[:, 1]
    return found


def _distinct(ids: Sequence[str], files: Sequence[Path]) -> list[str]:
    """The models' ids, or their files' names where two are the same."""
    return list(ids) if len(set(ids)) == len(ids) else [str(file) for file in files]


def _places(test: Rows) -> list[tuple[str, np.ndarray]]:
    return [(PLACES[0], test.at_event), (PLACES[1], ~test.at_event)]
