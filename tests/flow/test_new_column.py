"""A new text column of the event: a line of the table, its place in both stores' tables, and a version of the schema.

It is added to a copy of the program, which then takes it from a log to both stores and the API, goes on with stores and
a recovery directory of the version before, and takes their events for repeats.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stores.cassandra.address import CassandraAddress
from stores.cassandra.writer import CassandraWriter
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import PATIENCE, ROOT, environment
from tests.services.cassandra import Cassandra
from tests.stores.rows import TIME, event, scored

COLUMN = "landing_page"
PARTS = ("schemas", "model", "simulator", "stores", "topics", "steps", "jobs", "viz", "tests")
LOG = f"""event_id,user_id,timestamp,type,campaign,{COLUMN}
shown,ann,{TIME},IM,Spring,NA
clicked,ann,{TIME + 1_000},CL,Spring,/shoes
bought,ann,{TIME + 2_000},CN,Spring,/cart
clicked,ann,{TIME + 1_000},CL,Spring,/shoes
clicked,ann,{TIME + 1_000},CL,Spring,/zoo
"""
ASK = """
import json
from contextlib import closing
from settings import load_settings
from stores.store_registry import reader_of
from viz.api import read_propensity
from viz.feed import Feed
from viz.trace import Tracer

settings = load_settings()
with closing(reader_of(settings)()) as reader:
    feed = Feed(reader_of(settings), Tracer(settings.loaded_model, 1_000))
    found = {user: read_propensity(reader, feed, user, None, None, None)["events"] for user in ("ann", "bob")}
    feed.stop()
print(json.dumps(found))
"""
READ = """
from dataclasses import asdict
from schemas.avro.codec import VERSIONS, Codec, codec
from schemas.events import Event

event = Event("e", "ann", 1_500_000_000_000, "CL", landing_page="/shoes")
assert codec().decode_one(codec().encode_one(event)) == event
assert codec().decode_one(Codec(VERSIONS[1:]).encode_one(event)).landing_page == "NA"
print(asdict(event)["landing_page"])
"""


def changes(root: Path) -> dict[Path, str]:
    """All that a contributor writes: by file its new text."""
    schemas = root / "schemas"
    number = 1 + max(int(each.stem.removeprefix("event_v")) for each in schemas.glob("event_v*.avsc"))
    table, event = schemas / "event_fields.py", schemas / "event.avsc"
    row, field = f"    {COLUMN}: str = column(MISSING)\n", {"name": COLUMN, "type": "string", "default": "NA"}
    schema = json.loads(event.read_text())
    schema["fields"].append(field)
    return {
        table: _behind(table, '    product: str = column(MISSING, Hashed.ALWAYS, label="Product")\n', row),
        event: json.dumps(schema, indent=2),
        schemas / f"event_v{number}.avsc": event.read_text(),
        schemas / "sqlite.sql": _behind(
            schemas / "sqlite.sql", "  model_id   TEXT    NOT NULL,\n", f"  {COLUMN} TEXT NOT NULL DEFAULT 'NA',\n"
        ),
        schemas / "cassandra.cql": _behind(schemas / "cassandra.cql", "  model_id   text,\n", f"  {COLUMN} text,\n"),
    }


def _behind(path: Path, line: str, new: str) -> str:
    """The text of a file with a line added behind the first of some lines."""
    before, found, after = path.read_text().partition(line)
    assert found, f"{path} has no line {line!r}"
    return before + found + new + after


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program whose events have one more column."""
    root = tmp_path_factory.mktemp("program")
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy(path, root)
    written = changes(root)
    assert len(written) <= 5
    for path, text in written.items():
        path.write_text(text)
    return root


def run(program: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run something of the copy to its end, without an error."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=program,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def check_flow(program: Path, log: Path, settings: Mapping[str, Any]) -> None:
    """Fail unless a flow of the copy brings the column from a log to the store and to the API."""
    log.write_text(LOG)
    ended = run(program, "-m", "bytewax.run", "dataflow", source="file", file=log, **settings)
    assert "3 scored (0 late), 2 repeats (1 conflicts)" in ended.stderr
    found = json.loads(run(program, "-c", ASK, **settings).stdout)
    of_ann = {each["event_id"]: (each["campaign"], each[COLUMN]) for each in found["ann"]}
    assert of_ann == {"shown": ("Spring", "NA"), "clicked": ("Spring", "/zoo"), "bought": ("Spring", "/cart")}
    assert [(each["event_id"], each["campaign"], each[COLUMN]) for each in found["bob"]] == [("e", "Autumn", "NA")]


def test_it_reaches_an_sqlite_store_of_before_and_the_api(program: Path, tmp_path: Path) -> None:
    store = tmp_path / "rows.db"
    with closing(SqliteWriter(store)) as before:
        before.write(scored(event(user="bob", campaign="Autumn")))
        before.flush()
    check_flow(program, tmp_path / "log.csv", {"sqlite_path": store})


def test_it_reaches_a_keyspace_of_before_and_the_api(
    program: Path, cassandra: Cassandra, keyspace: str, tmp_path: Path
) -> None:
    with closing(CassandraWriter(CassandraAddress((cassandra.host,), cassandra.port, keyspace))) as before:
        before.write(scored(event(user="bob", campaign="Autumn")))
        before.flush()
    place = {"cassandra_hosts": cassandra.host, "cassandra_port": cassandra.port, "cassandra_keyspace": keyspace}
    check_flow(program, tmp_path / "log.csv", {"store": "cassandra", **place})


def test_messages_of_both_versions_are_read(program: Path) -> None:
    assert run(program, "-c", READ).stdout == "/shoes\n"


def test_contracts_hold_and_events_of_before_are_repeats(program: Path) -> None:
    """The tests of the table, of the body's hash and of upgrades, in the copy."""
    tests = ("tests/schemas/test_event_fields.py", "tests/schemas/test_bodies.py", "tests/flow/test_upgrade.py")
    run(program, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
