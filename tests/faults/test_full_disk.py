"""A recovery directory that cannot be written: full, or refusing, or read-only from the start."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.loads import check, drain, sending
from tests.faults.privileges import unprivileged
from tests.flow.running import PATIENCE, ROOT, command, environment, make_recovery, processes, run_flow, wait_for
from tests.flow.streaming import Stream

SIZE = "96m"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own in a folder; skips where none may be made, which is told."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"NO DISK WAS FILLED, only files were limited: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all that is left."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as filler:
        for size in (65_536, 4_096, 1):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(size))
    return file


def stops(
    stream: Stream,
    recovery: Path,
    settings: dict[str, object],
    cause: Callable[[int], object],
    why: str,
) -> None:
    """Run the flow until it saves, let something happen to its process, and expect its end in one plain line."""
    with processes(1, recovery, **settings) as (program,):
        before = sum(stream.committed().values())
        wait_for(lambda: sum(stream.committed().values()) > before, program)
        cause(program.pid)
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1, errors
    *logged, last = errors.splitlines()
    told = (
        f"ad-streams: recovery directory {recovery}: an epoch could not be saved: {why}; the next start resumes before"
    )
    assert last.startswith(told), errors
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* ad", line) for line in logged), errors


def test_files_that_cannot_grow(
    stream: Stream, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee: an epoch that could not be saved counts as not there: one plain line, and equal when it can be."""
    recovery = make_recovery(tmp_path / "recovery")
    with sending(stream):
        stops(
            stream, recovery, settings,
            lambda process: resource.prlimit(process, resource.RLIMIT_FSIZE, (1, 1)), "disk I/O error",
        )  # fmt: skip
    drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=200)


def test_a_full_disk(
    stream: Stream, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee: the same; a start is refused while it is full, and after room was made all is there."""
    with small_disk(tmp_path / "disk"):
        recovery, fillers = make_recovery(tmp_path / "disk" / "recovery"), list[Path]()
        with sending(stream):
            stops(
                stream, recovery, settings,
                lambda _: fillers.append(fill(tmp_path / "disk")), "database or disk is full",
            )  # fmt: skip
            fill(tmp_path / "disk")
            before = stream.committed()
            run = run_flow(recovery=recovery, **settings)
            full = os.strerror(errno.ENOSPC)
            assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
            assert run.stderr.startswith(f"ad-streams: recovery directory {recovery}: [Errno {errno.ENOSPC}] {full}")
            assert stream.committed() == before
            fillers[0].unlink()
        drain(stream, recovery, 1, settings)
        check(stream, settings, monkeypatch, least=200)


@pytest.mark.parametrize("mode", ["directory", "files"])
def test_a_directory_that_is_read_only(mode: str, tmp_path: Path) -> None:
    """Guarantee: refused in one line before anything is read."""
    recovery, store = make_recovery(tmp_path / "recovery"), tmp_path / "store.db"
    settings = {"sqlite_path": store, "simulator_events": 100, "simulator_rate": 0}
    assert run_flow(recovery=recovery, **settings).returncode == 0
    for path in [recovery] if mode == "directory" else recovery.glob("part-*"):
        path.chmod(0o555)
    run = subprocess.run(
        unprivileged(command(1, recovery)), cwd=ROOT, env=environment(**settings | {"simulator_events": 200}),
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    recovery.chmod(0o755)
    why = rf"\[Errno {errno.EACCES}\] .*" if mode == "directory" else r"part-\d.sqlite3: it cannot be written"
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    assert re.match(rf"ad-streams: recovery directory {recovery}: {why}", run.stderr), run.stderr
