"""One of several processes whose peers do not come: it ends when it is asked to, and by itself after a time."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flow.running import PATIENCE, ROOT, command, environment, run_flow, wait_for
from tests.services.ports import free_port


@contextmanager
def alone(number: int, addresses: list[str], folder: Path, **settings: object) -> Iterator[subprocess.Popen[str]]:
    """One process of a flow of several, the others of which are not there."""
    program = subprocess.Popen(
        [*command(), "-i", str(number), "-a", ";".join(addresses)],
        cwd=ROOT,
        env=environment(sqlite_path=folder / "store.db", **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def is_listening(address: str) -> bool:
    """Whether somebody listens there; trying it would be taken for a peer."""
    port = f":{int(address.rpartition(':')[2]):04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(port in line and line.split()[1].endswith(port.strip()) and line.split()[3] == "0A" for line in lines)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("number", [0, 1])
def test_a_process_that_waits_for_its_peer_ends_when_asked_to(number: int, how: signal.Signals, tmp_path: Path) -> None:
    """It has read nothing, so that it has nothing to save: exit code 0, and one line that names the peer."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with alone(number, addresses, tmp_path) as program:
        assert program.stdout is not None
        if number:  # the second calls the first, and says so each second
            assert any("error connecting" in line for line in iter(program.stdout.readline, ""))
        else:
            wait_for(lambda: is_listening(addresses[0]), program)
        program.send_signal(how)
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0, errors
    peer = f"process {1 - number} at {addresses[1 - number]}"
    assert errors.splitlines()[-1] == f"ad-streams: ended by {how.name} while waiting for {peer}"


@pytest.mark.parametrize(
    ("number", "count", "others"), [(0, 2, "process 1 at {1}"), (1, 3, "one of process 0 at {0}, process 2 at {2}")]
)
def test_a_process_gives_its_peers_up_after_a_time(number: int, count: int, others: str, tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(count)]
    with alone(number, addresses, tmp_path, peer_timeout="1s") as program:
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1, errors
    assert errors.splitlines()[-1] == (
        f"ad-streams: {others.format(*addresses)} did not come within 1 s (ADSTREAMS_PEER_TIMEOUT):"
        " start all processes of a flow together"
    )


def test_a_flow_of_one_process_waits_for_nobody(tmp_path: Path) -> None:
    """Neither with one address."""
    run = run_flow(sqlite_path=tmp_path / "a.db", simulator_events=50, simulator_rate=0, peer_timeout="1s")
    assert run.returncode == 0, run.stderr
    with alone(0, [f"127.0.0.1:{free_port()}"], tmp_path, simulator_events=50, simulator_rate=0) as program:
        assert program.wait(PATIENCE) == 0
