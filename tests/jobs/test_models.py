"""`python -m jobs models`: a model for some time on, and what is refused."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from model.scoring.training_record import from_milliseconds
from schemas.flow_status import FlowStatus
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter
from tests.jobs.running import complaint
from tests.model.driving import HOUR, TIME
from tests.model.worlds import FOLDER, MODELS
from tests.stores.rows import event, scored

MINUTE = 60_000
EARLIEST = TIME + HOUR + MINUTE + 1
"""Behind a newest event at TIME: ADSTREAMS_MAX_SKEW, a minute and a millisecond later."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose rows are scored by the seed model, the newest at TIME."""
    path = tmp_path / "rows.db"
    writer = SqliteWriter(path)
    writer.add_model(StoredModel(FROM_THE_BEGINNING, "seed", MODELS["seed"].model_dump_json()))
    writer.write(scored(event()))
    writer.flush()
    writer.close()
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(path))
    return path


@pytest.fixture
def models(store: Path) -> Callable[[], list[tuple[int, str]]]:
    def read() -> list[tuple[int, str]]:
        reader = SqliteReader(store)
        try:
            return [(each.valid_from, each.model_id) for each in reader.models()]
        finally:
            reader.close()

    return read


def done(*arguments: object) -> str:
    ended = CliRunner().invoke(app, ["models", *map(str, arguments)])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def file_of(folder: Path, **changes: object) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads((FOLDER / "decay.json").read_text()) | changes))
    return path


def test_a_model_is_added_listed_and_taken_back(models, tmp_path: Path) -> None:
    said = done("add", file_of(tmp_path), "--from", from_milliseconds(EARLIEST))
    assert "model decay is valid from 2017-07-14T03:41:00.001000+00:00 on" in said
    assert models() == [(FROM_THE_BEGINNING, "seed"), (EARLIEST, "decay")]
    *listed, last = done("list").splitlines()
    assert [line.split()[0] for line in listed] == ["model", "seed", "decay"]
    assert last == (
        f"the newest event is of {from_milliseconds(TIME)}; "
        f"another model can be valid from {from_milliseconds(EARLIEST)} on; --from earliest is as soon as possible"
    )
    assert "from the beginning" in listed[1]
    assert "from 2017-07-14T03:41:00.001000+00:00" in listed[2]
    assert done("remove", "decay") == "model decay was removed\n"
    assert models() == [(FROM_THE_BEGINNING, "seed")]


def test_a_change_of_the_horizon_is_told(models, tmp_path: Path) -> None:
    assert "note" not in done("add", file_of(tmp_path), "--from", from_milliseconds(EARLIEST))
    said = done("add", file_of(tmp_path, id="daily", horizon="1d"), "--from", from_milliseconds(EARLIEST + HOUR))
    assert "note: its propensities are for 1d, those of decay before it for 7d" in said


def test_the_file_may_say_from_when_on_and_the_option_goes_first(models, tmp_path: Path) -> None:
    done("add", file_of(tmp_path, valid_from="2017-07-20T00:00:00+02:00"))
    done("add", file_of(tmp_path, id="other", valid_from="2000-01-01T00:00:00Z"), "--from", "2017-07-21")
    assert models()[1:] == [(1_500_501_600_000, "decay"), (1_500_595_200_000, "other")]


def test_a_time_that_has_passed_is_refused_with_the_earliest_that_is_possible(models, tmp_path: Path) -> None:
    line = complaint("models", "add", file_of(tmp_path), "--from", from_milliseconds(EARLIEST - 1))
    assert line.startswith("ad-streams: --from: 2017-07-14T03:41:00+00:00 has passed")
    assert "2017-07-14T03:41:00.001000+00:00 is the earliest" in line
    assert "has passed" in complaint("models", "add", file_of(tmp_path, valid_from="2000-01-01T00:00:00Z"))
    assert len(models()) == 1


def test_the_earliest_time_is_taken_where_it_is_asked_for(models, tmp_path: Path) -> None:
    done("add", file_of(tmp_path), "--from", "earliest")
    assert models() == [(FROM_THE_BEGINNING, "seed"), (EARLIEST, "decay")]


def report(store: Path, speed: int) -> None:
    """A flow that runs, in which so many ms of event time pass in one."""
    now = time.time_ns() // 1_000_000
    writer = SqliteWriter(store)
    began = {"first_read": now - 1_000, "first": TIME - 1_000 * speed}
    writer.note_status(FlowStatus(0, 1, "host", 7, now, now, last_read=now, newest=TIME, **began))
    writer.close()


@pytest.mark.parametrize("speed", [1, 260, 40_000])
def test_the_time_that_is_listed_can_still_be_met_minutes_later(models, store: Path, tmp_path: Path, speed) -> None:
    """Although events come: what is listed is as far ahead as they get meanwhile."""
    report(store, speed)
    listed = re.search(r"can be valid from (\S+) on, if it is added within 5m", done("list"))
    assert listed is not None
    meanwhile = TIME + 5 * MINUTE * speed
    writer = SqliteWriter(store)
    writer.write(scored(event("later", meanwhile - TIME)))
    writer.flush()
    writer.close()
    done("add", file_of(tmp_path), "--from", listed[1])
    (_, (start, _)) = models()
    assert meanwhile + HOUR + MINUTE * speed < start <= meanwhile + HOUR + MINUTE * (speed + 1) + 1


def test_no_model_can_be_added_where_event_time_runs_away(models, store: Path, tmp_path: Path) -> None:
    report(store, 10**9)
    assert "can be added once the flow has ended, for event time passes too fast now" in done("list")
    assert "event time passes too fast" in complaint("models", "add", file_of(tmp_path), "--from", "earliest")
    assert len(models()) == 1


def test_from_kafka_a_model_is_of_the_future(models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADSTREAMS_SOURCE", "kafka")
    monkeypatch.setenv("ADSTREAMS_KAFKA_BROKERS", "127.0.0.1:1")
    assert "has passed" in complaint("models", "add", file_of(tmp_path), "--from", "2020-01-01")
    done("add", file_of(tmp_path), "--from", "2099-12-31")
    assert len(models()) == 2


def test_what_cannot_be_added_is_refused_in_one_line(models, tmp_path: Path) -> None:
    good, other, none = file_of(tmp_path).rename(tmp_path / "good.json"), file_of(tmp_path, id="other"), tmp_path / "no"
    done("add", good, "--from", "2017-08-01")
    assert "the store has a model decay already" in complaint("models", "add", good, "--from", "2017-09-01")
    assert "another model is valid from" in complaint("models", "add", other, "--from", "2017-08-01")
    assert "--from: needed" in complaint("models", "add", other)
    for end in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert "between 1970 and 2100" in complaint("models", "add", other, "--from", end)
    assert "--from: 'soon' is not a time" in complaint("models", "add", other, "--from", "soon")
    assert "No such file" in complaint("models", "add", none, "--from", "2017-09-01")
    none.write_text("{}")
    assert f"{none}: id: Field required" in complaint("models", "add", none, "--from", "2017-09-01")
    assert len(models()) == 2


def test_a_model_that_is_valid_or_unknown_is_not_removed(models, store: Path, tmp_path: Path) -> None:
    assert "seed: it stays, for it is valid from the beginning" in complaint("models", "remove", "seed")
    assert "odd: no such model; the store has seed" in complaint("models", "remove", "odd")
    done("add", file_of(tmp_path), "--from", "2017-08-01")
    writer = SqliteWriter(store)
    writer.write(scored(event("later", 19 * 24 * HOUR)))
    writer.flush()
    writer.close()
    assert "decay: it stays, for it is valid from 2017-08-01" in complaint("models", "remove", "decay")
    assert len(models()) == 2


def test_a_store_without_models_or_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(tmp_path / "none.db"))
    for command in (("list",), ("remove", "seed")):
        assert "ADSTREAMS_SQLITE_PATH" in complaint("models", *command)
    assert not (tmp_path / "none.db").exists()
    SqliteWriter(tmp_path / "none.db").close()
    assert done("list").startswith("the store has no models yet: ")
    assert "the store has none" in complaint("models", "remove", "seed")


def test_a_new_store_begins_with_the_model_of_the_settings(
    models, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that history can be scored anew by several."""
    store.unlink()
    monkeypatch.setenv("ADSTREAMS_MODEL", str(FOLDER / "seed.json"))
    done("add", file_of(tmp_path), "--from", "2000-01-01")
    assert models() == [(FROM_THE_BEGINNING, "seed"), (946_684_800_000, "decay")]
