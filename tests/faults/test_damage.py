"""A recovery directory that was damaged where it lay: nothing goes on from it, and its copy does."""

from __future__ import annotations

import pickle
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from schemas.errors import SettingsError
from steps.process.snapshots import check_snapshots
from tests.faults.conftest import Amount
from tests.faults.loads import check, drain, sending
from tests.flow.running import make_recovery, processes, query, run_flow, table, wait_for
from tests.flow.streaming import Stream

EVENTS = 20_000
SETTINGS = {"simulator_users": 300, "simulator_rate": 0}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recovery directory and the store that belongs to it."""
    folder = tmp_path_factory.mktemp("saved")
    recovery = make_recovery(folder / "recovery")
    slowly = SETTINGS | {"simulator_rate": EVENTS / 3}  # so that several epochs of a second are saved
    run = run_flow(recovery=recovery, sqlite_path=folder / "store.db", simulator_events=EVENTS, **slowly)
    assert run.returncode == 0, run.stderr
    return folder


def change_state(recovery: Path, step: str, change: Callable[[bytes], bytes | None]) -> None:
    """Change the newest state of a step's largest key."""
    for part in recovery.glob("part-*.sqlite3"):
        with closing(sqlite3.connect(part)) as file, file:
            found = file.execute(
                "SELECT rowid, ser_change FROM snaps WHERE step_id LIKE ? AND ser_change IS NOT NULL"
                " ORDER BY snap_epoch DESC, length(ser_change) DESC",
                (f"%.{step}%",),
            ).fetchone()
            if found is not None:
                file.execute("UPDATE snaps SET ser_change = ? WHERE rowid = ?", (change(found[1]), found[0]))
                return
    raise AssertionError(f"no state of {step}")


def change_states(recovery: Path, step: str, change: Callable[[bytes], bytes]) -> None:
    """Change all states of a step: after a crash the newest ones may be of an epoch that nothing goes on from."""
    for part in recovery.glob("part-*.sqlite3"):
        with closing(sqlite3.connect(part)) as file, file:
            file.create_function("changed", 1, change)
            file.execute(
                "UPDATE snaps SET ser_change = changed(ser_change) WHERE step_id LIKE ? AND ser_change IS NOT NULL",
                (f"%.{step}%",),
            )


def change_bytes(file: Path, start: int, to: bytes) -> None:
    with file.open("r+b") as bytes_:
        bytes_.seek(start)
        bytes_.write(to)


def flipped(place: float) -> Callable[[bytes], bytes]:
    """A bit flipped at a place between 0 and 1."""

    def flip(state: bytes) -> bytes:
        changed = bytearray(state)
        changed[int(len(changed) * place)] ^= 16
        return bytes(changed)

    return flip


def set_back(recovery: Path) -> None:
    """The file that says how far the flow was, as it was at the first epoch."""
    for part in recovery.glob("part-*.sqlite3"):
        with closing(sqlite3.connect(part)) as file, file:
            file.execute("UPDATE fronts SET worker_frontier = 1")


def rename_key(recovery: Path) -> None:
    """One byte of a bucket's number in its row: another bucket's state, of a sound pickle."""
    part = recovery / "part-0.sqlite3"
    with closing(sqlite3.connect(part)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    name = rb"ad_streams\.sequences\.stateful_flat_map\.stateful\.stateful_batch(\d)"
    found = list(re.finditer(name, part.read_bytes()))[-1]
    change_bytes(part, found.start(1), bytes([found[1][0] ^ 1]))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "an array": (lambda recovery: change_state(recovery, "sequences", flipped(0.5)), "the state of .* is damaged"),
    "the end": (lambda recovery: change_state(recovery, "sequences", lambda state: state[:-9]), "the state of "),
    "the start": (lambda recovery: change_state(recovery, "sequences", flipped(0.0)), "the state of .* is damaged"),
    "a place": (lambda recovery: change_state(recovery, "source", flipped(0.7)), "the state of ad_streams.source, "),
    "a truncation": (lambda recovery: change_state(recovery, "sequences", lambda state: state[:2_000]), "the state of"),
    "a key": (rename_key, "damaged: .* index"),
    "a page": (lambda recovery: change_bytes(recovery / "part-0.sqlite3", 131_072, bytes(65_536)), "damaged: "),
    "a head": (lambda recovery: change_bytes(recovery / "part-1.sqlite3", 0, b"-"), "file is not a database"),
    "an older file": (set_back, "its files are of different times: epoch [^1] is saved, and 1 not begun"),
    "a file": (lambda recovery: (recovery / "part-1.sqlite3").unlink(), "of 2 files 1 are there"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_before_anything_is_read(damage: str, saved: Path, tmp_path: Path) -> None:
    """Guarantee: one plain line and exit code 2, and nothing was read or written."""
    folder = Path(shutil.copytree(saved, tmp_path / "saved"))
    store, recovery, (do, line) = folder / "store.db", folder / "recovery", DAMAGES[damage]
    before = table(store)
    do(recovery)
    run = run_flow(recovery=recovery, sqlite_path=store, simulator_events=2 * EVENTS, **SETTINGS)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    assert re.match(rf"ad-streams: recovery directory {recovery}: (part-\d.sqlite3: )?{line}", run.stderr), run.stderr
    assert "put a copy of the whole directory in its place, or remove it to start anew" in run.stderr
    assert table(store) == before


def repacked(state: object) -> bytes | None:
    """A state once it was unpickled: its own pickle may say the same in other words."""
    return pickle.dumps(pickle.loads(state)) if isinstance(state, bytes) else None


def loaded(recovery: Path) -> list[object]:
    """All that a start takes from the files, without the times of day that nobody reads."""
    found = list[object]()
    for part in sorted(recovery.glob("part-*.sqlite3")):
        found += query(part, "SELECT part_index, part_count FROM parts")
        found += query(part, "SELECT ex_num, worker_count, resume_epoch FROM exs")
        found += query(part, "SELECT ex_num, worker_index, worker_frontier FROM fronts")
        found += query(part, "SELECT part_index, commit_epoch FROM commits")
        rows = query(part, "SELECT step_id, state_key, ser_change FROM snaps ORDER BY snap_epoch")
        found.append({(step, key): repacked(state) for step, key, state in rows})
    return found


def test_any_bit(saved: Path, amount: Amount, chance: random.Random, tmp_path: Path) -> None:
    """Guarantee: a bit that flips anywhere in the files is told, or changes nothing of what is gone on from."""
    truth, files, told = loaded(saved / "recovery"), {}, 0
    for file in (saved / "recovery").glob("part-*.sqlite3"):
        files[tmp_path / file.name] = file.read_bytes()
    for copy, content in files.items():
        copy.write_bytes(content)
    for _ in range(amount.flips):
        file = chance.choice(list(files))
        place = chance.randrange(len(files[file]))
        change_bytes(file, place, bytes([files[file][place] ^ 1 << chance.randrange(8)]))
        try:
            check_snapshots(tmp_path)
        except SettingsError as error:
            assert "\n" not in str(error)
            told += 1
        else:
            assert loaded(tmp_path) == truth, f"byte {place} of {file.name}"
        file.write_bytes(files[file])
    assert told > amount.flips / 20


def test_damage_after_a_crash_and_the_copy_put_back(
    stream: Stream, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee: nothing is consumed or committed, and from the copy of a moment before all is as if nothing was."""
    recovery, copy = make_recovery(tmp_path / "recovery"), tmp_path / "copy"
    with sending(stream):
        with processes(1, recovery, **settings) as (program,):
            wait_for(lambda: sum(stream.committed().values()) > 200, program)
            program.kill()
        shutil.copytree(recovery, copy)
        change_states(recovery, "sequences", flipped(0.5))
        before = stream.committed()
        run = run_flow(recovery=recovery, **settings)
        assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
        assert stream.committed() == before
    shutil.rmtree(recovery)
    copy.rename(recovery)
    drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=200)
