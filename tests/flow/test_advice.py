"""What a flow recommends of a model whose own test, on the log that it learnt from, found no signal."""

import sqlite3
from contextlib import closing

import pytest

from stores.sqlite.writer import SqliteWriter
from tests.flow.running import ROOT, run_flow
from tests.model.test_belief import WORSE, grade, with_test
from tests.viz.streams import load

NO_SIGNAL = {"auc": (0.44, 0.61), "information": (-0.023, -0.0001)}


@pytest.fixture
def log(tmp_path):
    """An hour between the events of users whom the default model would show something."""
    lines = ["event_id,user_id,timestamp,type,campaign"]
    for user in range(30):
        for place, kind in enumerate(("CL", "PS", "CL")):
            lines.append(f"{user}-{place},u{user},{1_530_000_000_000 + place * 3_600_000},{kind},Loyalty")
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def best_actions(store):
    with closing(sqlite3.connect(store)) as connection:
        return [row[0] for row in connection.execute("SELECT best_action FROM latest_propensity")]


def test_a_model_without_a_signal_recommends_nothing_and_that_is_said(tmp_path, log):
    model, store = tmp_path / "own.json", tmp_path / "own.db"
    model.write_text(with_test(**NO_SIGNAL).model_dump_json(exclude_none=True))
    run = run_flow(source="file", file=log, model=model, sqlite_path=store)
    assert run.returncode == 0, run.stderr
    assert best_actions(store) == [None] * 30
    assert run.stderr.count("best_action is withheld: Model default, on its test users: right after events worse") == 1


def test_a_grade_of_live_scores_withholds_it_too_and_a_setting_gives_it_nevertheless(tmp_path, log):
    default = ROOT / "model" / "default.json"
    for name, graded, settings, recommended in (
        ("a", False, {}, True), ("b", True, {}, False), ("c", True, {"advice": "always"}, True),
        ("d", False, {"advice": "graded"}, False), ("e", False, {"actions": ""}, False),
    ):  # fmt: skip
        store = tmp_path / f"{name}.db"
        if graded:
            with closing(SqliteWriter(store)) as writer:
                writer.write_grades([grade(load(default), **WORSE)])
                writer.flush()
        run = run_flow(source="file", file=log, model=default, sqlite_path=store, **settings)
        assert run.returncode == 0, run.stderr
        assert any(best_actions(store)) == recommended, (name, run.stderr)
