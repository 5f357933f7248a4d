"""What credit costs: `python -m benchmarks.credit on | off | user`.

`on` and `off` print how many events a second the flow's own steps take, one after the other and without Bytewax, from
messages to Cassandra's statements, at 2% conversions, with and without credit for them; those of the second half count,
in which a conversion has some 75 touches behind it. `user` prints how many ms it takes to explain a user of 1,000
events and to credit the last conversion.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np

from benchmarks.logs import events
from model.attribution.explanation import Explainer
from model.attribution.rules import Attribution
from model.bucket import Bucket
from model.features.curve import Sequence
from model.timeline import Models
from schemas.avro.codec import codec
from schemas.event_types import RANK
from schemas.events import EventBatch
from schemas.messages import MessageBatch, pieces
from schemas.scored import ScoredRows
from settings import Settings
from steps.buckets import bucket_splitter
from stores.cassandra.row_encoding import Heads, Lifetime, encode

USERS, EVENTS, BATCH = 10_000, 1_048_576, 65_536
REPEATS = 21


def rate(credited: bool) -> float:
    """Events a second."""
    settings, rng, took = Settings(model=Path("model/default.json")), np.random.default_rng(1), 0.0
    models, buckets = Models(settings.loaded_model, actions=settings.loaded_actions), dict[str, Bucket]()
    attribution, split = Attribution(models) if credited else None, bucket_splitter(settings.buckets)
    heads, forever = Heads(*[np.zeros(20, np.uint8)] * 5), Lifetime(0, 0, 0)
    for first in range(0, EVENTS, BATCH):
        made = codec().encode(events(rng.integers(0, USERS, BATCH), first, rng))
        messages = MessageBatch.of("made", 0, first, pieces(*made))
        began = time.perf_counter()
        for bucket, part in split(codec().decode(messages, timedelta(hours=1))):
            assert isinstance(part, EventBatch), "nobody is erased"
            done = buckets.setdefault(bucket, Bucket(models.plan)).update(part, attribution)
            scores, which = models.score(done.features, done.outcomes["timestamp"])
            advice = models.advise(done.features, scores, which, part, done.outcomes["user_row"])
            found = done.outcomes, scores, models.ids, which, done.rivals, advice, done.credits
            for _ in encode(ScoredRows(part, *found), heads, forever):
                pass
        if first >= EVENTS // 2:
            took += time.perf_counter() - began
    return EVENTS / 2 / took


def milliseconds() -> float:
    """Of one user."""
    rng = np.random.default_rng(1)
    times, types = np.sort(rng.integers(0, 30 * 86_400_000, 1_000)), rng.choice(4, 1_000, p=(0.80, 0.12, 0.06, 0.02))
    types[-1] = RANK["CN"]
    campaigns = tuple(rng.choice(["Loyalty", "Retargeting", "Brand", "Seasonal"], 1_000).tolist())
    explainer, sequence = Explainer(Settings().loaded_model, 1_000), Sequence(times, types, campaigns)
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        explainer.explain(sequence, int(times[-1]))
        explainer.credit(sequence, 999)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1_000


if __name__ == "__main__":
    print(milliseconds() if sys.argv[1] == "user" else rate(sys.argv[1] == "on"))
