"""The README's block "Your own log", line by line as a shell takes it, behind a simulated world of `make run`."""

from __future__ import annotations

import gzip
import os
import random
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.flow.running import PATIENCE, ROOT, environment, query, run_flow, wait_for
from tests.jobs.test_run import answer
from tests.services.ports import free_port

FILES = ("touchpoints.csv.gz", "touchpoints.parquet", "shop.json", "shop.db", "recovery-shop")
CHANNELS = ("Facebook", "Instagram", "Online Display", "Online Video", "Paid Search")
USERS = 700


def block() -> list[str]:
    """The lines of the block, each with what belongs to it."""
    section = re.search(r"^## Your own log\n(.*?)^## ", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert section is not None
    (code,) = re.findall(r"^```sh\n(.*?)^```", section.group(1), re.DOTALL | re.MULTILINE)
    return re.findall(r"^(\S.*?)(?=^\S|\Z)", code, re.DOTALL | re.MULTILINE)


def write_log(path: Path) -> set[str]:
    """Touches of a month in no order, and orders that depend on none of them; the ids of all who have one."""
    chance, start, users = random.Random(5), datetime(2018, 7, 1, tzinfo=UTC), set[str]()
    lines = ["customer_id,time,interaction,conversion,conversion_value,channel\n"]
    for number in range(USERS):
        user = f"{number:04x}7B3E9kDnEBk{number:05d}"
        for _ in range(chance.randint(1, 14)):
            time = start + timedelta(seconds=chance.randrange(31 * 86_400))
            bought = chance.random() < 0.06
            value = chance.choice(("6.5", "7.25")) if bought else "0.0"
            kind = "conversion" if bought else "impression"
            lines.append(f"{user},{time:%Y-%m-%dT%H:%M:%SZ},{kind},{bought:d},{value},{chance.choice(CHANNELS)}\n")
            users.add(user)
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return users


def test_the_block_ends_with_the_logs_own_curves_by_its_own_model(tmp_path: Path) -> None:
    """Each line in its order; nothing of the simulated world comes into the log's store, nor the other way."""
    simulated = tmp_path / "adstreams.db"
    run = run_flow(sqlite_path=simulated, simulator_events=100, simulator_rate=0, simulator_users=30)
    assert run.returncode == 0, run.stderr
    before = query(simulated, "SELECT count(*), min(user_id), max(user_id) FROM propensity_by_user")
    users = write_log(tmp_path / FILES[0])
    *lines, serve = block()
    port = free_port()
    serve = re.sub(r"\s+#.*", "", serve).rstrip() + f" --port {port}\n"
    here = {name: str(tmp_path / name) for name in FILES}
    script = re.sub(
        "|".join(map(re.escape, FILES)), lambda found: here[found.group()], "".join([*lines, "exec ", serve])
    )
    # The store of `make run` is in the environment, as if its default file lay there.
    shell = environment(sqlite_path=simulated) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    program = subprocess.Popen(
        ["bash", "-euc", script], cwd=ROOT, env=shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert program.stdout is not None
        said = list[str]()
        for line in iter(program.stdout.readline, ""):
            said.append(line)
            if f"http://localhost:{port}/app" in line:
                break
        assert any("no better than the base rate" in line or "worse than the base rate" in line for line in said), said
        store = tmp_path / "shop.db"
        events = gzip.decompress((tmp_path / FILES[0]).read_bytes()).count(b"\n") - 1
        wait_for(lambda: query(store, "SELECT count(*) FROM propensity_by_user") == [(events,)], program)
        shown = answer(f"http://127.0.0.1:{port}/api/users/{min(users)}/propensity")
        assert shown["events"], shown
        assert {str(user) for (user,) in query(store, "SELECT user_id FROM latest_propensity")} == users
        assert query(store, "SELECT DISTINCT model_id FROM propensity_by_user") == [("shop",)]
        program.send_signal(signal.SIGINT)
        said += program.communicate(timeout=PATIENCE)[0].splitlines()
        assert program.returncode == 0, said
    finally:
        if program.poll() is None:
            program.kill()
            program.communicate()
    assert query(simulated, "SELECT count(*), min(user_id), max(user_id) FROM propensity_by_user") == before
