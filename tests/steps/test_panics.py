"""What native code writes to standard error, while panics over SQLite are looked for in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.flow.running import ROOT

PROGRAM = """
import os, sys, time
from pathlib import Path
from settings import start_logging
from steps.process import ending
ending.watch_saving(Path("recovery"))
start_logging()
ending.prepare()
"""
PANIC = "thread '<unnamed>' panicked at src/recovery.rs:626:22:\n"
FULL = 'called: SqliteFailure(Error { code: DiskFull, extended_code: 13 }, Some("database or disk is full"))\n'
OTHER = "index out of bounds\nstack backtrace:\n"


def run(code: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM + code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stderr


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "ending.leave(0)"])
def test_what_it_writes_arrives(end):
    """All of it, however the process ends."""
    assert run(f"os.write(2, b'x' * 200_000 + b'\\nend')\n{end}") == (0, "x" * 200_000 + "\nend")


def test_another_panic_is_shown_as_it_is():
    written = f"os.write(2, {(PANIC + OTHER)!r}.encode())"
    code, errors = run(f"{written}\nending.leave(3)")
    assert code == 3
    assert errors == PANIC + OTHER


def test_a_write_that_sqlite_refused_ends_the_process_in_one_line():
    written = f"os.write(2, {(PANIC + FULL + OTHER)!r}.encode())"
    assert run(f"{written}\ntime.sleep(300)") == (
        1,
        "ad-streams: recovery directory recovery: an epoch could not be saved: database or disk is full;"
        " the next start resumes before it\n",
    )
