"""`python -m jobs dead-letters retry` where the dataflow reads files: each mended event counts once."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from jobs.dead_letters.keeping import TableKeeper
from jobs.dead_letters.mending import Mender
from jobs.dead_letters.through_flow import LOCK, through_flow
from schemas.avro.codec import Codec
from schemas.dead_letters import DeadLetter
from schemas.events import Event
from schemas.logs.log_writer import LogWriter
from settings import load_settings
from stores.base import Writer
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import make_recovery, query, run_flow, running_flow, table, wait_for
from tests.jobs.running import complaint, jobs
from tests.model.driving import DAY, HOUR, TIME, batch_of

EVENTS = [
    Event(f"e{number}", f"u{number % 5}", TIME + number * HOUR, ("IM", "CL", "CN")[number % 3]) for number in range(90)
]
LOST = EVENTS[7:80:9]
"""Events that were rejected at first; in their users' sequences they are early ones."""


class Place:
    """A folder with a store, a recovery directory and a log."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.log = folder, folder / "store.db", folder / "log.csv"
        self.recovery = folder / "recovery"

    def write(self, path: Path, events: list[Event]) -> Path:
        with LogWriter(path) as out:
            out.write(batch_of(events))
        return path

    def run(self, log: Path, store: Path | None = None, recovery: Path | None = None, **settings: object) -> None:
        run = run_flow(
            recovery=recovery or self.recovery, source="file", file=log, sqlite_path=store or self.store, **settings
        )
        assert run.returncode == 0, run.stderr

    def bury(self, *letters: DeadLetter) -> None:
        writer = SqliteWriter(self.store)
        writer.write_dead_letters(letters)
        writer.flush()
        writer.close()

    def letters(self) -> list[tuple[object, ...]]:
        return query(self.store, 'SELECT source, "partition", "offset", reason FROM dead_letters ORDER BY 1, 2, 3')

    def retry(self, *arguments: object, **settings: object) -> str:
        given: dict[str, object] = {"source": "file", "file": self.log, "sqlite_path": self.store} | settings
        done = jobs("dead-letters", "retry", "--recovery", self.recovery, *arguments, **given)
        assert done.returncode == 0, done.stderr
        return done.stdout


def letter(event: Event, offset: int, reason: str = "id_length") -> DeadLetter:
    """A row of the log that is a valid event by the rules as they are now."""
    return DeadLetter("log.csv", 0, offset, reason, "", json.dumps(asdict(event)).encode())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place whose log has all events but the lost ones, which the dataflow has read."""
    place = Place(tmp_path_factory.mktemp("made"))
    make_recovery(place.recovery)
    place.write(place.log, [event for event in EVENTS if event not in LOST])
    place.run(place.log)
    return place.folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Place:
    """A copy of it."""
    shutil.copytree(made, tmp_path / "place")
    return Place(tmp_path / "place")


def test_mended_events_count_as_if_they_had_been_good_from_the_first(place: Place) -> None:
    """All rows of their users are those of a log without dead letters; a second retry changes none."""
    bad = replace(letter(LOST[0], 500), payload=b'{"user_id": "u"}')
    message = DeadLetter("events", 2, 9, "unknown_schema", "", Codec().encode_one(LOST[0]))
    place.bury(*(letter(event, 200 + n) for n, event in enumerate(LOST[1:])), message, bad)
    place.write(place.folder / "whole.csv", EVENTS)
    make_recovery(place.folder / "another")
    place.run(place.folder / "whole.csv", place.folder / "whole.db", place.folder / "another")

    said = place.retry()
    assert said == f"{len(LOST)} of {len(LOST) + 1} dead letters went back in\n1 stay: 1 missing\n"
    assert table(place.store) == table(place.folder / "whole.db")
    assert place.letters() == [("log.csv", 0, 500, "id_length")]
    assert place.retry() == "0 of 1 dead letters went back in\n1 stay: 1 missing\n"
    assert table(place.store) == table(place.folder / "whole.db")


def test_the_stores_own_recovery_directory_is_found(place: Place) -> None:
    """Whatever its name; where it is gone, it is asked for, and no letter is lost."""
    make_recovery(place.folder / "another")
    place.recovery = place.recovery.rename(place.folder / "recovery-shop")
    place.bury(letter(LOST[0], 201), letter(LOST[1], 202))
    asked: dict[str, object] = {"source": "file", "file": place.log, "sqlite_path": place.store}
    done = jobs("dead-letters", "retry", "log.csv/0/201", **asked)
    assert (done.returncode, done.stdout) == (0, "1 of 1 dead letters went back in\n"), done.stderr
    shutil.rmtree(place.recovery)
    done = jobs("dead-letters", "retry", **asked)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("ad-streams: --recovery: needed")
    assert place.letters() == [("log.csv", 0, 202, "id_length")]


def test_where_no_recovery_directory_was_kept_the_logs_are_read_again(tmp_path: Path) -> None:
    """What was bad is in them: what a mend made good goes in, the rest stays, and all rows are those of one run."""
    place = Place(tmp_path)
    place.write(place.log, EVENTS)
    place.log.write_text(place.log.read_text().replace("CN", "??", 1))
    run = run_flow(source="file", file=place.log, sqlite_path=place.store)
    assert run.returncode == 0, run.stderr
    before, ((source, _, bad, _),) = table(place.store), place.letters()
    place.bury(replace(letter(EVENTS[9], 11), source=str(source)))  # a row that an earlier version did not take
    other: dict[str, object] = {"source": "file", "file": tmp_path / "other.csv", "sqlite_path": place.store}
    place.write(tmp_path / "other.csv", EVENTS)
    refused = jobs("dead-letters", "retry", **other)
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "ad-streams: ADSTREAMS_SOURCE and ADSTREAMS_FILE: must be as the dataflow had them"
    )
    assert len(refused.stderr.splitlines()) == 1
    done = jobs("dead-letters", "retry", **other | {"file": place.log})
    assert (done.returncode, done.stdout) == (
        0,
        "1 of 2 dead letters went back in\n1 stay: 1 wrong_type\n",
    ), done.stderr
    assert place.letters() == [(source, 0, bad, "wrong_type")]
    assert table(place.store) == before


def test_only_the_chosen_ones_go_in(place: Place) -> None:
    place.bury(letter(LOST[0], 1), letter(LOST[1], 2), letter(LOST[2], 3, "missing"))
    assert "1 of 1 dead letters went back in" in place.retry("log.csv/0/2")
    assert [offset for _, _, offset, _ in place.letters()] == [1, 3]
    assert "1 of 1 dead letters went back in" in place.retry("--reason", "missing")
    assert [offset for _, _, offset, _ in place.letters()] == [1]
    assert place.retry("--reason", "missing") == "no dead letters with the reason missing\n"


def test_events_that_would_only_die_again_are_left_alone(place: Place) -> None:
    """Those of a reason that is named go in, and stay where they were when they do die."""
    place.store = place.folder / "another.db"
    log = place.write(place.folder / "many.csv", [Event(f"n{n}", "late", TIME + DAY + n, "IM") for n in range(6)])
    recovery = make_recovery(place.folder / "short")
    place.run(log, recovery=recovery, sequence_length=2)
    old = letter(Event("old", "late", TIME, "IM"), 50, "too_late")
    place.bury(old, letter(Event("older", "late", TIME - DAY, "IM"), 51, "id_length"))
    before = table(place.store)

    said = place.retry("--recovery", recovery, sequence_length=2)
    assert "0 of 2 dead letters went back in\n1 stay: 1 too_late\n" in said
    assert "1 left alone, which --reason would send in to no avail: 1 too_late" in said
    assert place.letters() == [("log.csv", 0, 50, "too_late"), ("log.csv", 0, 51, "too_late")]
    said = place.retry("--recovery", recovery, "--reason", "too_late", sequence_length=2)
    assert "0 of 2 dead letters went back in\n2 stay: 2 too_late" in said
    assert place.letters() == [("log.csv", 0, 50, "too_late"), ("log.csv", 0, 51, "too_late")]
    assert table(place.store) == before


class Crash(Exception):
    """The end of the program."""


def test_a_crash_before_the_letters_are_cleared_doubles_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next retry finds the letters, and their events are repeats; nothing is left over."""
    for name, value in {"SOURCE": "file", "FILE": place.log, "SQLITE_PATH": place.store}.items():
        monkeypatch.setenv(f"ADSTREAMS_{name}", str(value))
    settings = load_settings()
    place.bury(letter(LOST[0], 1), letter(LOST[1], 2))
    keeper = TableKeeper(settings)

    @contextmanager
    def crash() -> Iterator[Writer]:
        raise Crash
        yield

    with monkeypatch.context() as patch:
        patch.setattr(keeper, "writing", crash)
        mended = Mender(Codec(), settings.max_skew).mend([each.letter for each in keeper.letters()])
        with pytest.raises(Crash):
            through_flow(keeper, mended, place.recovery)
    leftover = DeadLetter("/tmp/ad-streams-retry-xyz/events.parquet", 0, 1, "too_late", "", b"{}")
    place.bury(leftover)  # as from a crash that left an event that had died again
    after = table(place.store)
    assert len(after) == len(EVENTS) - len(LOST) + 2
    assert len(place.letters()) == 3

    assert "2 of 2 dead letters went back in" in place.retry()
    assert table(place.store) == after
    assert place.letters() == []


def test_a_running_dataflow_is_refused_in_one_line(place: Place) -> None:
    """The letters stay."""
    place.store = place.folder / "another.db"
    place.bury(letter(LOST[0], 1))
    endless = make_recovery(place.folder / "running")
    with running_flow(endless, sqlite_path=place.store, simulator_rate=50) as program:
        wait_for(lambda: len(table(place.store)) > len(EVENTS), program)
        place.recovery = endless
        (endless / "ad-streams.json").write_text('{"ADSTREAMS_SOURCE": "file"}')  # held before it is compared
        done = jobs("dead-letters", "retry", "--recovery", endless, sqlite_path=place.store)
    assert done.returncode == 2
    assert done.stderr == (
        f"ad-streams: the dataflow accepted no event: recovery directory {endless}: in use by process {program.pid}\n"
    )
    assert len(place.letters()) == 1


def test_a_second_retry_at_a_time_is_refused(place: Place) -> None:
    place.bury(letter(LOST[0], 1))
    with (place.recovery / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = jobs("dead-letters", "retry", "--recovery", place.recovery, sqlite_path=place.store)
    assert done.returncode == 2
    assert done.stderr == f"ad-streams: recovery directory {place.recovery}: another retry is running\n"


@pytest.mark.parametrize(
    ("note", "line"),
    [
        ('{"ADSTREAMS_SOURCE": "simulator"}', "is that of the simulator, which takes no other events"),
        ('{"ADSTREAMS_SOURCE": "kafka"}', "is that of topics: set ADSTREAMS_SOURCE to kafka"),
        (None, "no dataflow has used it; --recovery names the one that keeps the sequences"),
    ],
)
def test_another_recovery_directory_is_refused_in_one_line(
    note: str | None, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(tmp_path / "store.db"))
    writer = SqliteWriter(tmp_path / "store.db")
    writer.write_dead_letters([letter(LOST[0], 1)])
    writer.flush()
    writer.close()
    if note is not None:
        (tmp_path / "ad-streams.json").write_text(note)
    said = complaint("dead-letters", "retry", "--recovery", tmp_path)
    assert said.startswith(f"ad-streams: recovery directory {tmp_path}")
    assert said.endswith(line)


def test_the_simulators_own_directory_is_refused(tmp_path: Path) -> None:
    """What the dataflow notes in it is what a retry looks for."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    run = run_flow(recovery=recovery, sqlite_path=store, simulator_events=10, simulator_rate=0)
    assert run.returncode == 0, run.stderr
    writer = SqliteWriter(store)
    writer.write_dead_letters([letter(LOST[0], 1)])
    writer.flush()
    writer.close()
    done = jobs("dead-letters", "retry", "--recovery", recovery, sqlite_path=store)
    assert done.returncode == 2
    assert "is that of the simulator" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_dataflow_of_another_store_is_told_in_its_own_words(place: Place) -> None:
    """The store was made anew: the directory does not go with it."""
    place.store.unlink()
    place.bury(letter(LOST[0], 1))
    done = jobs("dead-letters", "retry", "--recovery", place.recovery, sqlite_path=place.store)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("ad-streams: the dataflow accepted no event: store: ")
    assert len(place.letters()) == 1
