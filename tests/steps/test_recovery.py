"""The files of a recovery directory."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from schemas.errors import SettingsError
from settings import RECOVERY_NOTE, Settings
from steps.process.recovery import PAGE_BYTES, check_recovery, widen_pages
from tests.faults.privileges import unprivileged
from tests.flow.running import ROOT, environment, make_recovery, run_flow
from topics.client import Topic


def pragma(part, name):
    with closing(sqlite3.connect(part)) as file:
        return file.execute(f"PRAGMA {name}").fetchone()[0]


def test_new_files_get_large_pages_and_lose_nothing(tmp_path):
    directory = make_recovery(tmp_path / "recovery")
    parts = sorted(directory.glob("part-*.sqlite3"))
    assert [pragma(part, "page_size") for part in parts] == [4096, 4096]
    with closing(sqlite3.connect(parts[0])) as file:
        before = list(file.iterdump())
    widen_pages(directory, [])
    assert [pragma(part, "page_size") for part in parts] == [PAGE_BYTES, PAGE_BYTES]
    assert {pragma(part, "journal_mode") for part in parts} == {"wal"}
    with closing(sqlite3.connect(parts[0])) as file:
        assert list(file.iterdump()) == before


def test_files_that_somebody_uses_stay_as_they_are(tmp_path):
    directory = make_recovery(tmp_path / "recovery")
    part = directory / "part-0.sqlite3"
    with closing(sqlite3.connect(part, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        widen_pages(directory, [])
    assert pragma(part, "page_size") == 4096


def test_a_partition_that_vanished_is_told(tmp_path):
    check_recovery(tmp_path, Settings(), "store", {"events": Topic("events", "id", 4)})
    told = f"topic events: recovery directory {tmp_path} reads 4 partitions, but it has 3"
    with pytest.raises(SettingsError, match=re.escape(told)):
        check_recovery(tmp_path, Settings(), "store", {"events": Topic("events", "id", 3)})


GROWN = """
import sys
from pathlib import Path
from settings import RECOVERY_NOTE, Settings
from schemas.errors import SettingsError
from steps.process.recovery import check_recovery
from topics.client import Topic
try:
    check_recovery(Path(sys.argv[1]), Settings(), "store", {"events": Topic("events", "id", 5)})
except SettingsError as error:
    print(error)
"""


def test_a_note_that_cannot_be_written_again_is_told(tmp_path):
    """Of a topic that grew: the note is somebody else's in a folder where each has only his own."""
    if os.geteuid():
        pytest.skip("only root can give a file to somebody else")
    tmp_path.parent.chmod(0o755)
    check_recovery(tmp_path, Settings(), "store", {"events": Topic("events", "id", 4)})
    for path in (tmp_path, tmp_path / RECOVERY_NOTE):
        os.chown(path, 65_534, 65_534)
    tmp_path.chmod(0o1777)
    command = unprivileged([sys.executable, "-c", GROWN, str(tmp_path)])
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment())
    assert run.stdout.startswith(f"recovery directory {tmp_path}: [Errno 1] Operation not permitted"), run.stderr
    assert run.stdout.count("\n") == 1


def test_a_used_directory_without_its_note_is_refused(tmp_path):
    """With other buckets its states would be left behind, and nobody would know."""
    recovery = make_recovery(tmp_path / "recovery")
    settings = {"sqlite_path": tmp_path / "store.db", "simulator_events": 500, "simulator_rate": 0}
    assert run_flow(recovery=recovery, **settings).returncode == 0
    (recovery / RECOVERY_NOTE).unlink()
    for note in (None, "[]"):
        if note is not None:
            (recovery / RECOVERY_NOTE).write_text(note)
        run = run_flow(recovery=recovery, **settings | {"buckets": 8})
        assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
        assert run.stderr.startswith(f"ad-streams: recovery directory {recovery}: {RECOVERY_NOTE} is ")
