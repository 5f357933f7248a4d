"""A fifth type of event, an opened email, goes all the way: simulator, flow, both stores, credit, API and page.

A copy of the project gets what somebody who adds a type has to edit, and `with_new_type.py` runs there.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

from model.bucket import Bucket
from model.features.plan import FeaturePlan
from model.sealed import Sealed
from tests.flow.running import PATIENCE, ROOT, environment
from tests.model.driving import batch_of
from tests.model.worlds import MODELS
from tests.services.cassandra import Cassandra
from tests.viz.streams import journey

ROW = '    EventType("EM", 4, "email opened", "emails opened", is_touch=True),\n'
COPY = ROOT / "__pycache__" / "new-type"
"""Always the same place, and files keep their times: what Numba compiled of the copy is good for the next run too."""


def edit(path: Path, text: str) -> None:
    """Write a file that somebody edits, as old as the one that it takes the place of."""
    known = path.stat() if path.exists() else (ROOT / "pyproject.toml").stat()
    path.write_text(text)
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))


def add_type(project: Path) -> set[str]:
    """Add the type to a copy of the project; returns the files that this takes."""
    schemas = project / "schemas"
    table = (schemas / "event_types.py").read_text()
    before = '    EventType("PS", 2,'
    assert table.count(before) == 1
    edit(schemas / "event_types.py", table.replace(before, ROW + before))
    edited = {"event_types.py"}
    for name in ("event", "propensity"):
        current = (schemas / f"{name}.avsc").read_text()
        assert current.count('"PS", "CN"]') == 1
        former = next(f"{name}_v{number}.avsc" for number in range(1, 9) if not _has(schemas, name, number))
        edit(schemas / former, current)
        edit(schemas / f"{name}.avsc", current.replace('"PS", "CN"]', '"PS", "CN", "EM"]'))
        edited |= {former, f"{name}.avsc"}
    return edited


def _has(folder: Path, name: str, number: int) -> bool:
    return (folder / f"{name}_v{number}.avsc").exists()


def copy_of_the_project() -> Path:
    """What is in the repository, or will be, at `COPY`."""
    shutil.rmtree(COPY, ignore_errors=True)
    packages = [path.parent for path in ROOT.glob("[a-z]*/__init__.py")]
    parts = [*ROOT.glob("*.py"), ROOT / "pyproject.toml", *packages, ROOT / "tests"]
    for part in parts:
        if part.is_dir():
            shutil.copytree(part, COPY / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            COPY.mkdir(parents=True, exist_ok=True)
            shutil.copy2(part, COPY / part.name)
    return COPY


def test_an_opened_email_goes_all_the_way(cassandra: Cassandra, keyspace: str, tmp_path: Path) -> None:
    """One row of the table and a new version of the schemas: five files, and what was kept before is gone on with."""
    project = copy_of_the_project()
    assert len(add_type(project)) <= 5
    bucket = Bucket(FeaturePlan.of(MODELS["decay"].features))
    bucket.update(batch_of(journey("ann", ["IM", "CL", "PS", "CN"])))
    kept = tmp_path / "bucket.pickle"
    kept.write_bytes(pickle.dumps(Sealed(bucket.snapshot())))
    told = {
        "NEW_TYPE_KEPT": str(kept), "NEW_TYPE_HOST": cassandra.host, "NEW_TYPE_PORT": str(cassandra.port),
        "NEW_TYPE_KEYSPACE": keyspace, "NUMBA_CACHE_DIR": str(ROOT / "__pycache__" / "new-type-compiled"),
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/flow/with_new_type.py"],
        cwd=project,
        env=environment() | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert run.returncode == 0, run.stdout[-10_000:]
    assert " passed" in run.stdout
