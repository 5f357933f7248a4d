"""Everything that may happen to a flow, in any order: in the end its rows are those of the reference."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from schemas.avro.codec import Codec, codec, load_schema
from schemas.dead_letters import DeadLetter
from schemas.event_types import TYPES
from schemas.events import Event, Origin
from schemas.stored_models import StoredModel
from settings import Settings
from tests.faults.breaking import Breakdown, Flow, Moment
from tests.faults.conftest import LONG, SEED, Amount
from tests.flow.exactness import Truth, check_reader
from tests.flow.running import count
from tests.model.driving import DAY, HOUR, TIME
from tests.model.worlds import DOCUMENTS, MODELS
from tests.model.worlds import events as events_of_two_users
from tests.schemas.oracle import Shelf, message_of, registered_message_of

LENGTH = 4
"""L: small, so that events leave the window; no user has more than twice as many, so that none is too late."""
PARTITIONS = (Origin("events", 0), Origin("events", 1), Origin("conversions", 0))
RETENTION_DAYS, LONG_AGO = 7_300, TIME - 9_000 * DAY
"""An event of 1992 has no row any more and counts all the same; those of 2017 have theirs until 2037."""
REGISTERED_ID = 9
SECOND = StoredModel(TIME + HOUR, "decay", MODELS["decay"].model_dump_json())
"""The model of some of the instants."""


class Message(NamedTuple):
    """An event as it was sent, and its bytes."""

    event: Event
    payload: bytes


def of_first_version(event: Event) -> Event:
    """What the first version of the schema can say of an event."""
    return replace(event, placement="NA")


def first_version(event: Event) -> dict[str, object]:
    """An event as a datum of the first version: a publisher was a site, and placements were not told apart."""
    fields = asdict(event)
    return {"site": fields.pop("publisher")} | {name: fields[name] for name in fields if name != "placement"}


FIRST_SCHEMA = load_schema("event_v1")
WRITERS: dict[str, Callable[[Event], Message]] = {
    "now": lambda event: Message(event, codec().encode_one(event)),
    "before": lambda event: Message(of_first_version(event), message_of(FIRST_SCHEMA, first_version(event))),
    "before, by id": lambda event: Message(
        of_first_version(event), registered_message_of(FIRST_SCHEMA, REGISTERED_ID, first_version(event))
    ),
}
"""What a sender may write with."""


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Of few users, instants and ids, so that they meet; one in ten of long ago."""
    event = replace(
        draw(events_of_two_users), user_id=draw(st.sampled_from("uvwx")), placement=draw(st.sampled_from(["NA", "top"]))
    )
    is_old = draw(st.integers(0, 9)) == 9
    return replace(event, timestamp=event.timestamp - TIME + LONG_AGO) if is_old else event


class AnyOrder(RuleBasedStateMachine):
    """Messages lie in partitions that only grow; a flow reads them whenever it runs.

    What was `read` lies before where the last run that came to its end stood; after a crash more of it may be read
    again. `waiting` is what came since the last run of any kind.
    """

    sent, held = Bundle("sent"), Bundle("held")
    partitions, workers = st.sampled_from(PARTITIONS), st.integers(1, 3)

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        options = Settings(sequence_length=LENGTH, retention_days=RETENTION_DAYS, buckets=8)
        reading = Codec(lookup=Shelf({REGISTERED_ID: FIRST_SCHEMA}))
        partitions: dict[Origin, list[bytes]] = {name: [] for name in PARTITIONS}
        self._flow = Flow(Path(self._folder.name), MODELS["rich"], options, reading, partitions, stored=[SECOND])
        self._events, self._letters = list[Event](), list[DeadLetter]()
        self._identities = defaultdict[str, set[tuple[int, str]]](set)
        self._bodies = defaultdict[str, set[Event]](set)
        self._write = WRITERS["now"]
        self._read, self._waiting, self._is_behind = Counter[str](), 0, False

    def _takes(self, event: Event) -> bool:
        """Whether its user has room for an event, such that it is neither too late nor disputed in any order."""
        identities = self._identities[event.user_id] | {(event.timestamp, event.event_id)}
        bodies = self._bodies[event.user_id] | {event}
        if len(identities) > 2 * LENGTH or len(bodies) - len(identities) > LENGTH:
            return False
        self._identities[event.user_id], self._bodies[event.user_id] = identities, bodies
        return True

    def _made(self, drawn: Sequence[Event]) -> list[Message]:
        return [message for message in map(self._write, drawn) if self._takes(message.event)]

    def _put(self, partition: Origin, payloads: Sequence[bytes]) -> None:
        self._flow.partitions[partition].extend(payloads)
        self._waiting, self._is_behind = self._waiting + len(payloads), True

    def _send(self, partition: Origin, messages: Sequence[Message]) -> None:
        self._events += [message.event for message in messages]
        self._put(partition, [message.payload for message in messages])

    @rule(target=sent, partition=partitions, drawn=st.lists(events(), min_size=1, max_size=8))
    def send(self, partition: Origin, drawn: list[Event]) -> MultipleResults[Message]:
        self._send(partition, made := self._made(drawn))
        return multiple(*made)

    @rule(partition=partitions, again=st.lists(sent, min_size=1, max_size=4))
    def duplicate(self, partition: Origin, again: list[Message]) -> None:
        self._send(partition, again)

    @rule(
        target=sent, partition=partitions, message=sent, kind=st.sampled_from(TYPES),
        campaign=st.sampled_from(["", "a", "z"]), quantity=st.integers(-1, 1),
    )  # fmt: skip
    def dispute(
        self, partition: Origin, message: Message, kind: str, campaign: str, quantity: int
    ) -> MultipleResults[Message]:
        other = replace(message.event, type=kind, campaign=campaign, quantity=quantity)
        self._send(partition, made := self._made([other]))
        return multiple(*made)

    @rule(target=held, drawn=st.lists(events(), min_size=1, max_size=3))
    def delay(self, drawn: list[Event]) -> MultipleResults[Message]:
        return multiple(*self._made(drawn))

    @rule(target=sent, partition=partitions, message=consumes(held))
    def arrive(self, partition: Origin, message: Message) -> Message:
        self._send(partition, [message])
        return message

    @rule(partition=partitions, message=sent, at=st.floats(0, 1, exclude_max=True))
    def truncate(self, partition: Origin, message: Message, at: float) -> None:
        payload = message.payload[: int(at * len(message.payload))]
        offset = len(self._flow.partitions[partition])
        self._letters.append(DeadLetter(*partition, offset, "", "", payload))
        self._put(partition, [payload])

    @rule(name=st.sampled_from(list(WRITERS)))
    def change_schema(self, name: str) -> None:
        self._write = WRITERS[name]

    @precondition(lambda self: self._is_behind)
    @rule(workers=workers, after=st.integers(1, 6))
    def crash_while_reading(self, workers: int, after: int) -> None:
        self._run(workers, Breakdown(Moment.READING, after))

    @precondition(lambda self: self._is_behind)
    @rule(workers=workers, after=st.integers(1, 3))
    def crash_before_a_write(self, workers: int, after: int) -> None:
        self._run(workers, Breakdown(Moment.WRITING, after))

    @precondition(lambda self: self._is_behind)
    @rule(workers=workers, after=st.integers(1, 3))
    def crash_before_a_save(self, workers: int, after: int) -> None:
        self._run(workers, Breakdown(Moment.WRITTEN, after))

    @precondition(lambda self: self._is_behind)
    @rule(workers=workers)
    def restart(self, workers: int) -> None:
        self._run(workers, Breakdown())
        self._is_behind = (
            False  # not where a run that was to break did not: threads decide that, and may not decide more
        )

    def _run(self, workers: int, breakdown: Breakdown) -> None:
        """Go on from where it stood; where the run comes to its end, check its counts and all that is there."""
        counts = self._flow.run(workers, breakdown)
        waiting, self._waiting = self._waiting, 0
        if counts is None:
            return
        now = self._check()
        if waiting == now.total() - self._read.total():  # nothing broke since the last end
            assert {fate: counts[fate] for fate in now} == {fate: now[fate] - self._read[fate] for fate in now}
        assert waiting <= sum(counts[fate] for fate in now) <= now.total() - self._read.total()
        self._read = now

    def _check(self) -> Counter[str]:
        """Fail unless the store holds what it must; what became of each message, in all."""
        later = [(SECOND.valid_from, DOCUMENTS[SECOND.model_id])]
        whole = Truth.of(self._events, DOCUMENTS["rich"], self._letters, LENGTH, later)
        rows, truth = whole.rows, whole.since(TIME)
        with self._flow.reader() as reader:
            check_reader(truth, reader)
            assert reader.search("", 100) == truth.users
        assert count(self._flow.store) == len(truth.rows)
        return Counter(
            scored=len(truth.rows), expired=len(rows) - len(truth.rows), repeats=len(self._events) - len(rows),
            dead=len(self._letters),
        )  # fmt: skip

    def teardown(self) -> None:
        try:
            self._run(1, Breakdown())
        finally:
            self._folder.cleanup()


def test_any_order(amount: Amount) -> None:
    """Guarantee: sent late, twice or disputed, by old senders, through crashes and rescaling: each has one effect."""
    form = settings(
        max_examples=amount.worlds, stateful_step_count=30, derandomize=not LONG, deadline=None, database=None,
        print_blob=True, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(seed(SEED)(AnyOrder) if LONG else AnyOrder, settings=form)
