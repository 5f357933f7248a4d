"""Brokers that are not there: at a start, and for a while in mid-load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Amount
from tests.faults.loads import check, drain, sending, wait_for_more
from tests.flow.running import make_recovery, processes, run_flow, wait_for
from tests.flow.streaming import Stream
from tests.services.kafka import Kafka


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """The only broker of a cluster of its own."""
    with Kafka(tmp_path_factory.mktemp("kafka"), quick=True) as broker:
        yield broker


@pytest.fixture
def stream(broker: Kafka) -> Stream:
    return Stream(broker.brokers)


@pytest.mark.needs("java")
def test_brokers_that_are_killed_in_mid_load_and_away_for_a_while(
    stream: Stream,
    broker: Kafka,
    settings: dict[str, object],
    amount: Amount,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guarantee: they are waited for, whether the flow reads or publishes, and all is there in the end."""
    recovery = make_recovery(tmp_path / "recovery")
    with sending(stream), processes(1, recovery, **settings) as (program,):
        wait_for_more(stream, program)
        broker.kill()
        time.sleep(amount.brokerless)  # how long they are away
        assert program.poll() is None
        broker.start()
        wait_for_more(stream, program)
        program.kill()  # what was published and not saved is published again
    drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=300)


@pytest.mark.needs("java")
def test_brokers_that_are_down_when_a_flow_is_to_go_on(
    stream: Stream, broker: Kafka, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee: one plain line and exit code 2; the state stays, and the next start goes on from it."""
    recovery = make_recovery(tmp_path / "recovery")
    with sending(stream):
        with processes(1, recovery, **settings) as (program,):
            wait_for_more(stream, program)
            program.kill()
        wait_for(lambda: sum(stream.ends().values()) > 1_000)
    saved = {file.name: file.read_bytes() for file in recovery.iterdir()}
    broker.stop()
    run = run_flow(recovery=recovery, **settings)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    told = f"ad-streams: ADSTREAMS_KAFKA_BROKERS: no broker answers at {broker.brokers} within 10 s"
    assert run.stderr.startswith(told)
    assert {file.name: file.read_bytes() for file in recovery.iterdir()} == saved
    broker.start()
    drain(stream, recovery, 1, settings)
    check(stream, settings, monkeypatch, least=700)
