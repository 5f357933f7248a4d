"""A Cassandra that stays away: the run ends with one line, saves nothing, and the next one leaves nothing out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from cassandra import InvalidRequest
from cassandra.cluster import NoHostAvailable, Session

from tests.flow.running import PATIENCE, ROOT, command, environment, make_recovery, run_flow, wait_for
from tests.services.cassandra import Cassandra

EVENTS = 10_000


def rows(session: Session, keyspace: str) -> int:
    """How many rows there are; none before there is a table, or while it is made."""
    try:
        (found,) = session.execute(f"SELECT count(*) FROM {keyspace}.propensity_by_user")
    except (InvalidRequest, NoHostAvailable):
        return 0
    return int(found[0])


def test_the_end_of_patience_ends_the_run_and_the_next_one_goes_on(own_cassandra: Cassandra, tmp_path: Path) -> None:
    recovery, cassandra, keyspace = make_recovery(tmp_path / "recovery"), own_cassandra, "own"
    settings = {
        "store": "cassandra", "cassandra_hosts": cassandra.host, "cassandra_port": cassandra.port,
        "cassandra_keyspace": keyspace, "simulator_users": 300,
    }  # fmt: skip
    impatient = [
        "tests.flow.impatient:impatient_flow()" if part == "dataflow" else part for part in command(1, recovery)
    ]
    given = environment(simulator_rate=500, **settings)
    with subprocess.Popen(impatient, cwd=ROOT, env=given, stderr=subprocess.PIPE, text=True) as program:
        try:
            with cassandra.session() as session:
                wait_for(lambda: rows(session, keyspace) > 1_000, program)
            cassandra.stop()
            _, errors = program.communicate(timeout=PATIENCE)
        finally:
            program.kill()
    assert program.returncode == 1
    told = r"ad-streams: Cassandra at \S+ port \d+: no acknowledgement for 2 s: .*"
    assert re.fullmatch(told, errors.splitlines()[-1]), errors
    assert "Traceback" not in errors
    cassandra.start()
    run = run_flow(recovery=recovery, simulator_rate=0, simulator_events=EVENTS, **settings)
    assert run.returncode == 0, run.stderr
    with cassandra.session() as session:
        assert rows(session, keyspace) == EVENTS
