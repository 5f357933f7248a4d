"""Quix Streams: state in RocksDB with its changelog topic: BROKERS TOPIC WARM EVENTS MODEL EVENT_SCHEMA.

Prints the events a second after the first WARM ones. Events of a user must come in order and once.
"""

import io
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fastavro
from quixstreams import Application  # type: ignore[import-not-found]  # in an environment of its own

HEADER = 10
LONGEST = 1_000
HOUR = 3_600_000
UNITS = {"h": HOUR, "d": 24 * HOUR}


Sequence = list[tuple[int, str]]


def milliseconds(duration: str) -> float:
    """A duration such as `7d`."""
    return float(duration[:-1]) * UNITS[duration[-1]]


def matching(feature: dict[str, Any], sequence: Sequence) -> list[int]:
    """Times of the events that a feature is about."""
    return [at for at, kind in sequence if feature.get("type") in (None, kind)]


def value(feature: dict[str, Any], sequence: Sequence, decayed: dict[str, float], now: int) -> float:
    """One feature; `decayed` are the decayed counts that a user has by type and half-life."""
    match feature["aggregation"]:
        case "count":
            oldest = now - milliseconds(feature["look_back"])
            return math.log1p(sum(at >= oldest for at in matching(feature, sequence)))
        case "decayed_count":
            return math.log1p(decayed.get(f"{feature['type']} {feature['half_life']}", 0.0))
        case "recency":
            found = matching(feature, sequence)
            return math.log1p((now - found[-1]) / HOUR) if found else float(feature["never"])
        case "events_since":
            found = [place for place, (_, kind) in enumerate(sequence) if kind == feature["type"]]
            return math.log1p(len(sequence) - 1 - found[-1] if found else len(sequence))
        case "time_between":
            found = matching(feature, sequence)
            return math.log1p((found[-1] - found[-2]) / HOUR) if len(found) > 1 else float(feature["never"])
    raise ValueError(feature["aggregation"])


def main() -> None:
    """Run until all events are scored."""
    brokers, topic, warm, events = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    model = json.loads(Path(sys.argv[5]).read_text())
    schema = fastavro.parse_schema(json.loads(Path(sys.argv[6]).read_text()))
    app = Application(
        broker_address=brokers,
        consumer_group=f"quix-{time.time_ns()}",
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(),
        use_changelog_topics=True,
        commit_interval=10.0,
        loglevel="ERROR",
    )
    counted = [feature for feature in model["features"] if feature["aggregation"] == "decayed_count"]
    seen, started = 0, 0.0

    def score(message: bytes, state: Any) -> dict[str, float]:
        """One event's score."""
        nonlocal seen, started
        event: Any = fastavro.schemaless_reader(io.BytesIO(message[HEADER:]), schema)
        now, kind = round(event["timestamp"].timestamp() * 1000), event["type"]
        sequence, decayed = state.get("sequence", []), state.get("decayed", {})
        passed = now - sequence[-1][0] if sequence else 0
        sequence = [*sequence, (now, kind)][-LONGEST:]
        for feature in counted:
            name = f"{feature['type']} {feature['half_life']}"
            left = decayed.get(name, 0.0) * 0.5 ** (passed / milliseconds(feature["half_life"]))
            decayed[name] = left + (feature["type"] == kind)
        state.set("sequence", sequence)
        state.set("decayed", decayed)
        logit = model["intercept"] + sum(
            feature["weight"] * value(feature, sequence, decayed, now) for feature in model["features"]
        )
        seen += 1
        if seen == warm:
            started = time.perf_counter()
        if seen == events:
            print((events - warm) / (time.perf_counter() - started), flush=True)
            os._exit(0)
        return {"propensity": 1 / (1 + math.exp(-logit))}

    messages = app.topic(topic, value_deserializer="bytes", key_deserializer="str")
    app.dataframe(messages).apply(score, stateful=True)
    app.run()


if __name__ == "__main__":
    main()
