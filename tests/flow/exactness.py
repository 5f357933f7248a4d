"""What a batch over all that was sent says that the store and the topics must hold, and whether they do."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import pytest

from schemas.avro.codec import codec
from schemas.avro.propensity_codec import PropensityCodec
from schemas.credits import RULES
from schemas.dead_letters import DeadLetter
from schemas.events import Event
from schemas.messages import MessageBatch
from schemas.scored import Propensity
from settings import load_settings
from stores.answers import Conversion, Latest, day_of
from stores.base import Reader
from stores.store_registry import reader_of
from tests.flow.running import ROOT
from tests.flow.streaming import Stream
from tests.reference import Credit, event_key, final_credits, final_rows, is_held_out, load
from topics.letter_topic import read_dead_letters
from topics.whole_topic import read_topic

MODEL = ROOT / "model" / "decay.json"
ACTIONS = load(ROOT / "model" / "actions.json")


@dataclass(frozen=True)
class Truth:
    """What must be there: the final rows of all valid events, a dead letter for each message that is none, and credits.

    Of each conversion its shares.
    """

    rows: Mapping[tuple[str, int, str], Any]
    broken: list[DeadLetter]
    credits: Mapping[tuple[str, int, str], Credit]

    @classmethod
    def of(
        cls,
        events: Iterable[Event],
        model: dict[str, Any],
        broken: list[DeadLetter],
        length: int = 1_000,
        later: Sequence[tuple[int, dict[str, Any]]] = (),
    ) -> Truth:
        """The truth about valid events, and messages that are none."""
        dicts = [asdict(event) for event in events]
        rows = final_rows(dicts, model, length, later, ACTIONS)
        return cls(rows, broken, final_credits(dicts, model, length, later))

    def since(self, time: int) -> Truth:
        """What is left where rows of events before a time (ms) are not kept."""
        rows, credits = ({key: held[key] for key in held if key[1] >= time} for held in (self.rows, self.credits))
        return Truth(rows, self.broken, credits)

    @property
    def users(self) -> list[str]:
        return sorted({user for user, _, _ in self.rows})


def truth_of(stream: Stream, later: Sequence[tuple[int, dict[str, Any]]] = ()) -> Truth:
    """The truth about what lies in the topics, event by event and in plain Python; `later` models follow the first."""
    events, letters = list[Event](), list[DeadLetter]()
    for topic in stream.topics:
        for messages in read_topic(stream.kafka, topic):
            for message in messages:
                number, offset, value = message.partition, message.offset, message.value
                decoded = codec().decode(MessageBatch.of(topic, number, offset, [value or b""]))
                events += decoded.events.events()
                letters += decoded.letters
    return Truth.of(events, load(MODEL), letters, later=later)


def counted(errors: list[str]) -> Counter[str]:
    """What all processes of a run say that they did in all."""
    total: Counter[str] = Counter()
    for text in errors:
        (line,) = re.findall(r"in all, .*", text)
        for number, word in re.findall(r"([\d,]+) (scored|late|repeats|conflicts|dead|expired)", line):
            total[word] += int(number.replace(",", ""))
    return total


def check_store(truth: Truth, settings: Mapping[str, object], monkeypatch: pytest.MonkeyPatch) -> dict[str, Latest]:
    """Fail unless the store holds the truth, all of it and nothing else; where it says that users stand."""
    for name, value in settings.items():
        monkeypatch.setenv(f"ADSTREAMS_{name.upper()}", str(value))
    with closing(reader_of(load_settings())()) as reader:
        return check_reader(truth, reader)


def check_reader(truth: Truth, reader: Reader) -> dict[str, Latest]:
    """Fail unless a store holds the truth, all of it and nothing else; where it says that users stand."""
    _check_curves(truth, reader)
    _check_credits(truth, reader)
    assert {_place(letter): letter.payload for letter in reader.dead_letters(100_000)} == {
        _place(letter): letter.payload for letter in truth.broken
    }
    latest = {each.user_id: each for each in reader.latest(truth.users)}
    assert latest.keys() == set(truth.users)
    assert reader.summary().users == len(latest)
    newest: dict[str, Any] = {}
    for (user, time, _), row in truth.rows.items():
        if user not in newest or row.seen > newest[user][1].seen:
            newest[user] = time, row
    for user, (time, row) in newest.items():
        stands = latest[user]
        assert (stands.event_time, stands.seen) == (time, row.seen)
        assert stands.propensity == pytest.approx(row.propensity, abs=1e-12)
        assert stands.hold_out == is_held_out(user)
        name, gain, net = row.best or (None, None, None)
        assert stands.best_action == name
        assert (stands.gain, stands.net) == (pytest.approx(gain, abs=1e-12), pytest.approx(net, abs=1e-10))
    return latest


def _check_curves(truth: Truth, reader: Reader) -> None:
    found = {(user, point.event_time, point.event_id): point for user in truth.users for point in reader.curve(user)}
    assert found.keys() == truth.rows.keys()
    for key, row in truth.rows.items():
        point = found[key]
        assert (point.event_type, point.campaign, point.seen) == (row.type, row.campaign, row.seen)
        assert point.model_id == row.model_id
        state, segment, publisher, product, quantity, revenue = row.body
        assert (point.state, point.segment, point.publisher, point.product) == (state, segment, publisher, product)
        assert (point.quantity, point.revenue) == (quantity, revenue)
        assert point.propensity == pytest.approx(row.propensity, abs=1e-12)


def _check_credits(truth: Truth, reader: Reader) -> None:
    """Each conversion's credits are there, and no others; the sums are those of the rows."""
    conversions = {user: reader.credits(user) for user in truth.users}
    found = {(user, each.event_time, each.event_key): each for user, held in conversions.items() for each in held}
    expected = {(user, time, event_key(event_id)): (user, time, event_id) for user, time, event_id in truth.credits}
    assert found.keys() == expected.keys()
    for place, key in expected.items():
        shares, credit = found[place].shares, truth.credits[key]
        must = credit.shares
        assert (found[place].part, found[place].order_time) == (credit.part, credit.order_time)
        assert (found[place].revenue, found[place].model_id) == (truth.rows[key].body[-1], truth.rows[key].model_id)
        assert [share[:4] for share in shares] == [
            (each.time, event_key(each.event_id) if each.type else 0, each.type, each.campaign) for each in must
        ]
        for share, each in zip(shares, must, strict=True):
            assert share.credit == pytest.approx(each.rules[0], abs=1e-6)
            assert share[5:] == pytest.approx(each.rules[1:], abs=1e-12)
    check_sums(reader, conversions)


def check_sums(reader: Reader, conversions: Mapping[str, Sequence[Conversion]]) -> None:
    """Fail unless the sums by day, campaign and type are those of the rows of all users."""
    sums: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0] * 2 * len(RULES))
    for conversion in chain(*conversions.values()):
        if conversion.part == "repeat":
            continue
        for share in conversion.shares:
            held = sums[day_of(conversion.order_time), share.campaign, share.type]
            for place, part in enumerate(share[4:]):
                held[place] += part * (conversion.part == "order")
                held[len(RULES) + place] += part * conversion.revenue
    found = {each[:3]: [*each.conversions, *each.revenue] for each in reader.credit_sums()}
    assert found.keys() == sums.keys()
    for key, each in sums.items():
        assert found[key] == pytest.approx(each, abs=1e-9, rel=1e-12)


def check_topics(truth: Truth, stream: Stream, latest: Mapping[str, Latest]) -> None:
    """Fail unless the changelog ends where users stand, and the topic of dead letters holds them all."""
    last = dict[bytes | None, Propensity]()
    for messages in read_topic(stream.kafka, f"{stream.name}-propensity"):
        for message in messages:
            if message.value is None:
                last.pop(message.key, None)
            else:
                last[message.key] = PropensityCodec().decode_one(message.value)
    changelog = {
        row.user_id: Latest(
            row.user_id, row.timestamp, row.type, row.propensity, row.seen, row.model_id, row.best_action, row.gain,
            row.net, row.hold_out,
        )
        for row in last.values()
    }  # fmt: skip
    assert changelog == latest
    letters = [rejection.letter for rejection in read_dead_letters(stream.kafka, f"{stream.name}-dead")]
    assert {(*_place(x), x.reason, x.payload) for x in letters} == {
        (*_place(x), x.reason, x.payload) for x in truth.broken
    }


def _place(letter: DeadLetter) -> tuple[str, int, int]:
    return letter.source, letter.partition, letter.offset
