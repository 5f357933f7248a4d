"""Stores with real events in them, written as the dataflow writes: codec, bucket, scorer, writer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from model.attribution.rules import Attribution
from model.bucket import Bucket
from model.features.plan import DEFAULT_LENGTH
from model.scoring.propensity import Model
from model.timeline import Models, read_models
from schemas.avro.codec import Codec
from schemas.events import Event, EventBatch
from schemas.flow_status import ENDED, FlowStatus
from schemas.messages import MessageBatch
from schemas.scored import ScoredRows
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel
from simulator import World
from simulator.producers import SimulatedStream
from stores.sqlite.writer import SqliteWriter

ROOT = Path(__file__).parent.parent.parent
DECAY = ROOT / "model" / "decay.json"
SEED = ROOT / "model" / "seed.json"
START = 1_497_484_800_000
"""2017-06-15 in ms since 1970."""
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "a,b c+d%2C&users=e#f?g",
    "nul\0 and \u202eturned",
    "👩‍🚀 Zoë \"quoted\" 'single'",
    "$$\\int x$$ {{7*7}} @{user}",
)
"""User ids and campaigns that must stay texts."""


def load(path: Path) -> Model:
    return Model.from_json(path.read_bytes())


class Stream:
    """One bucket of the dataflow over a SQLite file; every event sent can be read at once."""

    def __init__(
        self, path: Path, model: Model, length: int = DEFAULT_LENGTH, following: Sequence[StoredModel] = ()
    ) -> None:
        self.path, self.model = path, model
        self._codec, self._writer = Codec(), SqliteWriter(path)
        self.models = Models(model, read_models(following))
        for each in (StoredModel(FROM_THE_BEGINNING, model.id, model.model_dump_json()), *following):
            self._writer.add_model(each)
        self._bucket, self._attribution = Bucket(self.models.plan, length), Attribution(self.models)
        self._writer.note_status(replace(FlowStatus(0, 1, "host", 7, START, START), state=ENDED, code=0))
        self._sent, self._reached = 0, START
        self._simulated: SimulatedStream | None = None

    def send(self, *events: Event) -> None:
        payloads = [self._codec.encode_one(event) for event in events]
        self._decode(MessageBatch.of("events", 0, self._sent, payloads))
        self._sent += len(payloads)

    def simulate(self, span: int, users: int = 300) -> None:
        """Send the simulator's events of the next `span` ms (the first call decides on the number of users)."""
        if self._simulated is None:
            self._simulated = SimulatedStream(World(), users, 7, START, self._codec)
        end = self._reached + span
        while self._reached < end:
            for messages in self._simulated.take(500 if span >= DAY else 20):
                if len(messages):
                    assert messages.times is not None
                    self._reached = max(self._reached, int(messages.times.max()))
                    self._decode(messages)

    def _decode(self, messages: MessageBatch) -> None:
        decoded = self._codec.decode(messages, timedelta(hours=1))
        assert not decoded.letters
        self._write(decoded.events)

    def _write(self, batch: EventBatch) -> None:
        update = self._bucket.update(batch, self._attribution)
        scores, which = self.models.score(update.features, update.outcomes["timestamp"])
        advice = self.models.advise(update.features, scores, which, batch, update.outcomes["user_row"])
        rows = (batch, update.outcomes, scores, self.models.ids, which, update.rivals, advice, update.credits)
        self._writer.write(ScoredRows(*rows))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def journey(user: str, kinds: Sequence[str], start: int = START, gap: int = 5 * HOUR, **body: str) -> list[Event]:
    """Events of these types, one every `gap` ms."""
    return [
        Event(
            f"{user}-{number}"[:1_000],
            user,
            start + number * gap,
            kind,
            campaign=body.get("campaign", "Spring"),
            publisher=body.get("publisher", "Daily Ledger"),
            product="Shoes" if kind == "CN" else "NA",
            quantity=2 if kind == "CN" else 0,
            revenue=159.5 if kind == "CN" else 0.0,
        )
        for number, kind in enumerate(kinds)
    ]
