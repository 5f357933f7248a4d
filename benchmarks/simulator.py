"""Events a second that the simulator makes and encodes, or that fastavro encodes one by one.

Run as `python -m benchmarks.simulator batch | one`.
"""

from __future__ import annotations

import sys
import time

from schemas.avro.codec import codec
from simulator import World
from simulator.producers import SimulatedStream

EVENTS = 500_000
USERS = 7_000


def main() -> None:
    """Measure and print, after one batch that compiles."""
    stream = SimulatedStream(World(), USERS, 7, 0, codec())
    batches = stream.take(10_000)
    if sys.argv[1] == "batch":
        count, started = 0, time.perf_counter()
        while count < EVENTS:
            count += sum(map(len, stream.take(10_000)))
    else:
        events = [event for batch in batches for event in codec().decode(batch).events.events()]
        count, started = len(events), time.perf_counter()
        for event in events:
            codec().encode_one(event)
    print(count / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
