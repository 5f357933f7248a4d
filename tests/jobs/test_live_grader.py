"""`python -m jobs grade`: one pass with a table, or passes beside the flow until a signal comes."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.grading.grader import remarks
from jobs.grading.passes import grade_store
from model.scoring.training_record import HISTORY
from stores.sqlite.reader import SqliteReader
from tests.flow.running import PATIENCE, ROOT, environment, query, wait_for
from tests.jobs.running import complaint, jobs
from tests.jobs.test_live_grades import MIDNIGHT, Kept, at, model_named, plan
from tests.jobs.worlds import DAY

HALF = DAY // 2


def model_file(folder, name="seed", horizon="1d", **fields):
    """A model of the repository with another horizon."""
    file = folder / f"{name}.json"
    held = json.loads((ROOT / "model" / f"{name}.json").read_text())
    file.write_text(json.dumps(held | {"horizon": horizon} | fields))
    return file


@pytest.fixture
def kept(tmp_path):
    """A store of a few users, some of whom convert."""
    model = model_named("seed").model_copy(update={"horizon": timedelta(days=1)})
    world = [at(day * DAY + user, f"e{user}-{day}", user=f"u{user}") for day in range(6) for user in range(40)]
    world += [at(2 * DAY + HALF + user, f"c{user}", "CN", f"u{user}") for user in range(0, 40, 4)]
    return Kept(tmp_path / "rows.db", model).take(*world)


def test_one_pass_prints_a_table_and_words(kept, tmp_path):
    """Models by kind, what they say, and up to when; a challenger is called one. The grades are in the store."""
    challenger = model_file(tmp_path, "decay", "2d")
    settings = {"sqlite_path": kept.path, "model": model_file(tmp_path), "challenger_model": challenger}
    run = jobs("grade", "--once", **settings)
    assert run.returncode == 0, run.stderr
    for expected in ("seed", "decay (challenger)", "at events", "at clock times", "observed/expected"):
        assert expected in run.stdout
    assert "seed at events: " in run.stdout
    assert "seed: what was said up to 2017-07-18 00:00 UTC, an order within 1d is known of it" in run.stdout
    assert "decay: what was said up to 2017-07-17 00:00 UTC, an order within 2d is known of it" in run.stdout
    with closing(SqliteReader(kept.path)) as reader:
        grades = {(each.model_id, each.kind, each.day): each for each in reader.grades()}
    assert {each.role for each in grades.values()} == {"model", "challenger"}
    whole = grades["seed", "event", "all"]
    assert (whole.rows, whole.users, whole.graded_until) == (5 * 40, 40, MIDNIGHT + 4 * DAY + 39)
    assert whole.positives > 0


def test_of_a_young_stream_it_is_said_that_scores_are_too_low(kept, tmp_path):
    """Until a look-back is known of it: before, nobody can have a history."""
    caution = "a young stream: what users did before 2017-07-14 00:00 UTC is not known"
    run = jobs("grade", "--once", sqlite_path=kept.path, model=model_file(tmp_path))
    assert sum(line.startswith(caution) for line in run.stdout.splitlines()) == 1
    with closing(SqliteReader(kept.path)) as reader:
        found = grade_store(reader, plan())
    for missing, is_young in ((1, True), (0, False)):
        old = replace(found, first=found.grades[0].graded_until - HISTORY + missing)
        assert any(line.startswith("a young stream") for line in remarks(old, plan())) == is_young
    told = "7 users are set apart as automated (ADSTREAMS_MAX_DAILY_EVENTS) and not graded"
    assert told in remarks(replace(found, set_apart=7), plan())


def test_a_sample_is_called_one(kept, tmp_path):
    more = [at(user, f"x{user}", user=f"v{user}") for user in range(400)]
    run = jobs("grade", "--once", "--users", 100, sqlite_path=kept.take(*more).path, model=model_file(tmp_path))
    assert "of 440 users, by hash, a share of 22.73%" in run.stdout


def test_scores_whose_labels_are_not_known_yet_are_waited_for(kept, tmp_path):
    run = jobs("grade", "--once", sqlite_path=kept.path, model=model_file(tmp_path, horizon="30d"))
    assert run.returncode == 0
    (line,) = run.stdout.splitlines()
    assert line.startswith("seed: nothing to grade; the store's newest event is of 2017-07-19 00:00 UTC")


def test_scores_of_another_model_are_told(kept):
    run = jobs("grade", "--once", sqlite_path=kept.path)
    assert "250 scores are of a model 'seed' that the store does not name: not graded" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--once",), "ADSTREAMS_SQLITE_PATH: rows.db: no such file"),
        (("--every", "soon"), "--every: 'soon' is not a duration such as"),
        (("--every", "10ms"), "--every: must be at least 1s, got 10ms"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(monkeypatch, tmp_path, arguments, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", "rows.db")
    assert expected in complaint("grade", *arguments)


def test_an_empty_store_says_so(monkeypatch, tmp_path):
    file = tmp_path / "rows.db"
    SqliteReader(file).close()
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(file))
    assert "the store holds no scores yet" in complaint("grade", "--once")


@contextmanager
def passes(errors, **settings):
    """The grader, with a pass a second; it is killed if the test does not end it.

    It is in a session of its own, as its low priority would keep it from getting anywhere beside busy tests.
    """
    command = [sys.executable, "-m", "jobs", "grade", "--every", "1s"]
    given = {"env": environment(**settings), "stdout": subprocess.PIPE, "stderr": errors, "text": True}
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **given) as program:
        try:
            yield program
        finally:
            program.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_passes_follow_one_another_until_a_signal_comes(kept, tmp_path, how):
    """A late conversion is graded by the next one; the end is clean, and the priority low."""
    settings = {"sqlite_path": kept.path, "model": model_file(tmp_path)}

    def positives():
        found = query(kept.path, "SELECT positives FROM grades WHERE kind = 'event' AND day = '2017-07-14'")
        return found[0][0] if found else None

    with passes(subprocess.PIPE, **settings) as program:
        wait_for(lambda: positives() is not None, program)
        before = positives()
        kept.take(at(DAY, "late", "CN", "u1"))
        wait_for(lambda: positives() == before + 1, program)
        niceness = int(Path(f"/proc/{program.pid}/stat").read_text().rpartition(") ")[2].split()[16])
        assert niceness >= 10
        program.send_signal(how)
        output, errors = program.communicate(timeout=PATIENCE)
    assert (program.returncode, output) == (0, "")
    assert "seed at events: " in errors
    assert "Traceback" not in errors


def test_a_store_that_does_not_answer_for_a_while_is_graded_afterwards(kept, tmp_path):
    """It is told, and the same verdict is not said again."""
    log, away = tmp_path / "log", tmp_path / "away.db"
    settings = {"sqlite_path": kept.path, "model": model_file(tmp_path)}
    with log.open("w") as errors, passes(errors, **settings) as program:
        wait_for(lambda: " graded: " in log.read_text(), program)
        kept.path.rename(away)
        kept.path.mkdir()
        wait_for(lambda: "not graded: " in log.read_text(), program)
        kept.path.rmdir()
        with closing(sqlite3.connect(away)) as connection, connection:
            connection.execute("DELETE FROM grades")
        away.rename(kept.path)
        wait_for(lambda: query(kept.path, "SELECT count(*) FROM grades") != [(0,)], program)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE) == 0
    lines = [line for line in log.read_text().splitlines() if "graded: " in line and "not graded" not in line]
    assert len(lines) == 1, lines
