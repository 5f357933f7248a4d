"""One user with half of all events, who has far more than count, while runs break."""

from __future__ import annotations

from pathlib import Path

from schemas.avro.codec import codec
from schemas.event_types import TYPES
from schemas.events import Event, Origin
from settings import Settings
from tests.faults.breaking import Breakdown, Flow, Moment
from tests.flow.exactness import Truth, check_reader
from tests.model.driving import HOUR, TIME
from tests.model.worlds import DOCUMENTS, MODELS

EVENTS, LENGTH, BATCH = 3_000, 50, 50


def test_half_of_all_events_are_of_one_user(tmp_path: Path) -> None:
    """Guarantee: such a user's rows are as exact as all others', also those after older events were dropped."""
    events = [
        Event(
            f"e{number}", f"user-{number % 97}" if number % 2 else "one", TIME + number * HOUR, TYPES[number % 7 % 4],
            campaign="abc"[number % 3],
        )
        for number in range(EVENTS)
    ]  # fmt: skip
    flow = Flow(
        tmp_path, MODELS["rich"], Settings(sequence_length=LENGTH), codec(),
        {Origin("events", 0): [codec().encode_one(event) for event in events]}, BATCH,
    )  # fmt: skip
    for workers, moment in ((1, Moment.READING), (2, Moment.WRITTEN), (1, Moment.WRITING)):
        assert flow.run(workers, Breakdown(moment, after=15)) is None
    assert flow.run(2, Breakdown()) is not None
    with flow.reader() as reader:
        check_reader(Truth.of(events, DOCUMENTS["rich"], [], LENGTH), reader)
        assert len(reader.curve("one")) == EVENTS // 2
