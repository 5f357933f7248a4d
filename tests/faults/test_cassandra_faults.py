"""A way to Cassandra that loses acknowledgements or is slow, while events flow."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Amount
from tests.faults.loads import check, drain, sending, wait_for_more
from tests.faults.proxy import Proxy
from tests.flow.exactness import MODEL
from tests.flow.running import PATIENCE, make_recovery, processes, wait_for
from tests.flow.streaming import Stream
from tests.services.cassandra import Cassandra


def test_acknowledgements_that_are_lost_after_the_write_landed(
    stream: Stream,
    settings: dict[str, object],
    cassandra: Cassandra,
    chance: random.Random,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guarantee: what is written twice, because nobody heard that it was, is there once, and nothing is missing."""
    recovery = make_recovery(tmp_path / "recovery")
    with Proxy(cassandra.port).running() as proxy, sending(stream):
        away = settings | {"cassandra_port": proxy.port}
        with processes(1, recovery, **away) as (program,):
            for _ in range(3):
                wait_for_more(stream, program)
                lost, proxy.deaf = proxy.lost, True
                time.sleep(chance.uniform(0.2, 2.0))  # the moment of the cut
                wait_for(lambda lost=lost: proxy.lost > lost, program)
                proxy.cut()
                proxy.deaf = False
            wait_for_more(stream, program)
    drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=500)


def test_a_cassandra_that_takes_two_seconds_to_answer(
    stream: Stream,
    settings: dict[str, object],
    cassandra: Cassandra,
    amount: Amount,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guarantee: slow is not lost: epochs and the end wait for their writes, and all is there."""
    recovery = make_recovery(tmp_path / "recovery")
    with Proxy(cassandra.port).running() as proxy:
        away = settings | {"cassandra_port": proxy.port}
        with sending(stream), processes(1, recovery, **away) as (program,):
            wait_for(lambda: sum(stream.committed().values()) > 0, program)
            proxy.delay = 2.0
            for _ in range(amount.slow_epochs):
                wait_for_more(stream, program)
            program.send_signal(signal.SIGTERM)
            assert program.wait(PATIENCE) == 0
        drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=500)


@pytest.mark.needs("java")
def test_a_cassandra_that_is_killed_in_mid_load_and_away_for_a_while(
    stream: Stream, amount: Amount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee: a Cassandra that keeps what it acknowledged may be killed: the rest is written again."""
    recovery = make_recovery(tmp_path / "recovery")
    with Cassandra(tmp_path / "cassandra", settings={"commitlog_sync": "batch"}, quick=True) as server:
        settings = stream.settings | {
            "store": "cassandra", "cassandra_hosts": server.host, "cassandra_port": server.port, "model": MODEL,
        }  # fmt: skip
        with sending(stream), processes(1, recovery, **settings) as (program,):
            wait_for(lambda: sum(stream.committed().values()) > 0, program)
            server.kill()
            time.sleep(amount.away)  # how long it is away
            assert program.poll() is None
            server.start()
            wait_for_more(stream, program)
        drain(stream, recovery, 1, settings)
        check(stream, settings, monkeypatch, least=500)
