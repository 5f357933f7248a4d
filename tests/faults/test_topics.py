"""Topics that somebody deletes and makes anew under a flow."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from schemas.event_types import TYPES
from schemas.events import Event
from tests.faults.loads import check, drain
from tests.flow.running import PATIENCE, make_recovery, processes, run_flow, wait_for
from tests.flow.streaming import Stream
from tests.services.kafka import Kafka


def events(count: int) -> list[Event]:
    return [Event(f"e{n}", f"u{n % 40}", 1_500_000_000_000 + n * 1_000, TYPES[n % 4]) for n in range(count)]


def test_a_topic_that_is_made_anew_while_it_is_read(
    stream: Stream, kafka: Kafka, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantee: its offsets mean nothing: one plain line, no start goes on from them, and a new one reads it all."""
    recovery, (topic, _), admin = make_recovery(tmp_path / "recovery"), stream.make().topics, kafka.admin()
    stream.send(*events(300))
    with processes(1, recovery, **settings) as (program,):
        wait_for(stream.is_read, program)
        admin.delete_topics([topic])[topic].result(PATIENCE)
        wait_for(lambda: topic not in stream.kafka.describe([topic]))
        stream.make()
        stream.send(*events(2_000))  # so that every offset of before is there again
        _, errors = program.communicate(timeout=PATIENCE)
    last = errors.rstrip().rpartition("\n")[2]
    assert program.returncode == 1, errors
    of_partition = r"it does not exist any more|it was made anew|messages that were not read yet were deleted"
    told = rf"ad-streams: topic {topic}(: it was made anew while it was read|, partition \d: ({of_partition}).*)"
    assert re.fullmatch(told, last), errors
    assert "Traceback" not in errors
    assert "panicked" not in errors
    run = run_flow(recovery=recovery, **settings)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    assert run.stderr.startswith(f"ad-streams: topic {topic}: it was made anew since recovery directory {recovery}")
    shutil.rmtree(recovery)
    admin.delete_consumer_groups([stream.name])[stream.name].result(PATIENCE)  # it says what was read of the first one
    drain(stream, make_recovery(recovery), 1, settings)
    check(stream, settings, monkeypatch, least=1_999)
