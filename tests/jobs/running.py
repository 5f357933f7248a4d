"""Running `python -m jobs` in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

from jobs.__main__ import app
from tests.flow.running import PATIENCE, ROOT, environment


def jobs(*arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with only the given settings."""
    return subprocess.run(
        [sys.executable, "-m", "jobs", *map(str, arguments)],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def complaint(*arguments: object) -> str:
    """The one line that a wrong command is answered with, and exit code 2."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("ad-streams: ")
    return line
