"""The model changes while the flow runs: every row is by the model of its time, whatever happens meanwhile."""

from __future__ import annotations

import json
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from model.scoring.training_record import from_milliseconds
from schemas.events import Event
from schemas.stored_models import StoredModel
from stores.sqlite.writer import SqliteWriter
from tests import reference
from tests.flow.exactness import MODEL, check_store, check_topics, truth_of
from tests.flow.running import PATIENCE, ROOT, count, make_recovery, processes, query, run_flow, table, wait_for
from tests.flow.streaming import Stream
from tests.jobs.running import jobs
from tests.model.driving import near
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka

SEED, DECAY = ROOT / "model" / "seed.json", ROOT / "model" / "decay.json"
EVENTS, HOUR, DAY = 9_500, 3_600_000, 86_400_000
COLUMNS = ("user_id", "timestamp", "event_id", "type", "campaign", "propensity", "seen", "model_id")
ROWS = "SELECT user_id, event_time, event_id, event_type, campaign, propensity, seen, model_id FROM propensity_by_user"


def add(store: Path, start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the decay model follow the seed from a time on."""
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(store))
    monkeypatch.setenv("ADSTREAMS_MODEL", str(SEED))
    done = CliRunner().invoke(app, ["models", "add", str(DECAY), "--from", from_milliseconds(start)])
    assert done.exit_code == 0, done.output


def newest(store: Path) -> int:
    ((time,),) = query(store, "SELECT max(event_time) FROM latest_propensity")
    return int(str(time))


def assert_by_the_models_of_their_times(store: Path, start: int) -> None:
    """Every row, and where every user stands, is what the reference says of the model that is valid then."""
    nothing = dict.fromkeys(reference.BODY, 0)
    events: list[dict[str, Any]] = [dict(zip(COLUMNS, row, strict=True)) | nothing for row in query(store, ROWS)]
    later = [(start, reference.load(DECAY))]
    expected = reference.final_rows(events, reference.load(SEED), 1_000, later)
    assert len(expected) == len(events)
    for event in events:
        row = expected[reference.key_of(event)]
        assert (event["model_id"], event["seen"]) == (row.model_id, row.seen)
        assert event["propensity"] == near(row.propensity)
    assert {event["model_id"] for event in events} == {"seed", "decay"}
    wrong = query(
        store,
        "SELECT user_id FROM latest_propensity AS l WHERE NOT EXISTS (SELECT 1 FROM propensity_by_user AS p WHERE"
        " (p.user_id, p.event_time, p.event_key, p.propensity, p.model_id)"
        " = (l.user_id, l.event_time, l.event_key, l.propensity, l.model_id))",
    )
    assert wrong == []


@pytest.mark.parametrize("number", [1, 2])
def test_a_model_is_added_while_the_flow_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guarantee: through kill -9 and a restart too, and a replay from the beginning leaves the same rows."""
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": store, "simulator_users": 150, "simulator_events": EVENTS, "model": SEED}
    with processes(number, recovery, simulator_rate=500, **settings) as programs:
        wait_for(lambda: count(store) > 1_000, programs[0])
        start = newest(store) + 20 * DAY
        with closing(SqliteWriter(store)) as writer:  # the command waits for a minute, in which the log is over
            writer.add_model(StoredModel(start, "decay", DECAY.read_text()))
        wait_for(lambda: newest(store) > start + 2 * DAY, programs[0])
        assert count(store) < EVENTS
        programs[-1].send_signal(signal.SIGKILL)
        for program in programs:
            program.wait(PATIENCE)
    run = run_flow(recovery=recovery, simulator_rate=0, **settings)
    assert run.returncode == 0, run.stderr
    assert count(store) == EVENTS
    assert_by_the_models_of_their_times(store, start)
    anew = tmp_path / "anew.db"
    add(anew, start, monkeypatch)
    run = run_flow(simulator_rate=0, **settings | {"sqlite_path": anew})
    assert run.returncode == 0, run.stderr
    assert table(anew) == table(store)


def test_a_model_that_comes_too_late_is_undone_and_ends_the_flow(tmp_path: Path) -> None:
    """All rows stay by one model, through the next start too."""
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": store, "simulator_users": 300, "simulator_rate": 2_000, "model": SEED}
    with processes(1, recovery, **settings) as (program,):
        wait_for(lambda: count(store) > 2_000, program)
        late = StoredModel(newest(store) - DAY, "decay", DECAY.read_text())
        with closing(SqliteWriter(store)) as writer:
            writer.add_model(late)
            assert program.wait(PATIENCE) == 1
            assert [each.model_id for each in writer.models()] == ["seed"]
        *_, line = program.communicate()[1].splitlines()
    assert line == (
        f"ad-streams: model decay came too late: rows after {from_milliseconds(late.valid_from)}, from when on it is"
        " valid, had been scored; it was removed"
    )
    run = run_flow(recovery=recovery, **settings | {"simulator_rate": 0, "simulator_events": 10_000})
    assert run.returncode == 0, run.stderr
    assert query(store, "SELECT DISTINCT model_id FROM propensity_by_user") == [("seed",)]


def test_a_model_that_is_removed_too_late_is_put_back_and_ends_the_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, recovery = tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    add(store, 0, monkeypatch)
    settings = {"sqlite_path": store, "simulator_users": 300, "simulator_rate": 2_000, "model": SEED}
    with processes(1, recovery, **settings) as (program,), closing(SqliteWriter(store)) as writer:
        wait_for(lambda: count(store) > 2_000, program)
        models = writer.models()
        writer.remove_model(models[1])
        assert program.wait(PATIENCE) == 1
        assert writer.models() == models
        *_, line = program.communicate()[1].splitlines()
    assert line.startswith("ad-streams: model decay was removed too late: rows after 1970-01-01T00:00:00+00:00, ")
    assert line.endswith(" it was put back")
    assert query(store, "SELECT DISTINCT model_id FROM propensity_by_user") == [("decay",)]


def test_rows_of_two_models_lie_in_cassandra_and_the_topic(
    kafka: Kafka, cassandra: Cassandra, keyspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Kafka a model is of the future; the senders' clocks are far ahead here."""
    stream = Stream(kafka.brokers).make()
    settings = stream.settings | {
        "store": "cassandra", "cassandra_hosts": cassandra.host, "cassandra_port": cassandra.port,
        "cassandra_keyspace": keyspace, "model": MODEL,
    }  # fmt: skip
    now = time.time_ns() // 1_000_000
    refused = jobs("models", "add", SEED, "--from", from_milliseconds(now), **settings)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "has passed" in refused.stderr
    start = now + 2 * DAY
    added = jobs("models", "add", SEED, "--from", from_milliseconds(start), **settings)
    assert (added.returncode, added.stderr) == (0, "")
    times = range(start - 40 * HOUR, start + 40 * HOUR, HOUR)
    sent = [
        Event(f"{user}-{at}", user, at, ("IM", "CL", "PS", "CN")[place % 4])
        for place, at in enumerate(times)
        for user in ("anna", "bert", "cleo")
    ]
    recovery = make_recovery(tmp_path / "recovery")
    for some in (sent[::2], sent[1::2]):  # half of them late, on either side
        stream.send(*some)
        with processes(2, recovery, max_skew="10d", **settings) as programs:
            wait_for(stream.is_read, programs[0])
            programs[0].send_signal(signal.SIGTERM)
            assert [program.wait(PATIENCE) for program in programs] == [0, 0]
    truth = truth_of(stream, [(start, reference.load(SEED))])
    assert {row.model_id for row in truth.rows.values()} == {"decay", "seed"}
    check_topics(truth, stream, check_store(truth, settings, monkeypatch))


def test_a_store_that_began_with_another_model_is_refused_in_one_line(tmp_path: Path) -> None:
    settings = {"sqlite_path": tmp_path / "store.db", "simulator_events": 100, "simulator_rate": 0}
    assert run_flow(model=SEED, **settings).returncode == 0
    before = table(tmp_path / "store.db")
    changed = tmp_path / "model.json"
    changed.write_text(json.dumps(reference.load(SEED) | {"intercept": -1.0}))
    for other, named in ((DECAY, "model decay"), (changed, "another model of that id")):
        run = run_flow(model=other, **settings)
        assert run.returncode == 2
        (line,) = run.stderr.splitlines()
        assert line.startswith(f"ad-streams: ADSTREAMS_MODEL: this store began with model seed, not {named}; ")
    assert table(tmp_path / "store.db") == before
