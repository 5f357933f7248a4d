"""Measure, print the ratios, and write them to `benchmarks/RESULTS.md`: `python -m benchmarks [--quick] [PART…]`.

A part replaces its own section of the results; `--quick` measures a little of `topic` once, and writes nothing. The
sides of a ratio are measured in turn, each in a process of its own, and their medians are compared: on a shared machine
only that means something.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.fill_topic import PARTITIONS, fill
from benchmarks.logs import write_log
from benchmarks.measuring import ROUNDS, Row, Side, in_turn, module, ratio, run
from jobs.simulate import simulate
from model.features.plan import DEFAULT_LENGTH as LENGTH
from settings import Settings
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka as Broker
from tests.services.problems import ServiceError
from topics.client import Kafka

EVENTS = 2_000_000
SIMULATED = 60_000
RESULTS = Path(__file__).parent / "RESULTS.md"

Tell = Callable[[Row], None]

RATES = {2_000: "<= 150 ms", 10_000: ""}
"""Events a second at which latency is measured, and its goals."""

PAIRS = (
    ("ours", "raw", ">= 0.6"),
    ("ours", "raw without a pause", ""),
    ("ours, one core", "Flink, one core", ">= 1.2"),
    ("ours", "Flink", ""),
    ("ours", "Flink, 2 threads", ""),
    ("ours to Kafka, one core", "Flink to Kafka, one core", ">= 1.0"),
    ("ours to Kafka", "Flink to Kafka", ""),
    ("ours to Kafka, one core", "Kafka Streams, one core", ">= 4"),
    ("ours to Kafka", "Kafka Streams", ""),
    ("ours to Kafka", "Kafka Streams, 2 threads", ""),
    ("ours", "Quix Streams", ">= 10"),
    ("ours", "ours, no recovery", ">= 0.9"),
)
"""What is compared, and the goals."""

FILE_PAIRS = (
    ("kernel: time of an event, 1,000 events against 10", "<= 1.5", "kernel, 1,000 events", "kernel, 10 events", "ns"),
    ("simulator: made and encoded, against fastavro encoding one by one", "", "simulator", "fastavro", "events/s"),
    ("from file, against plain Python", ">= 20", "world", "plain Python", "events/s"),
    ("from file into SQLite, against plain Python", "", "world into SQLite", "plain Python", "events/s"),
    ("from file, 1,000,000 users against 10,000", ">= 0.8", "many", "few", "events/s"),
    ("from file, 10,000,000 users (epochs of 120 s) against 10,000", ">= 0.6", "most", "few", "events/s"),
    ("from file into SQLite, 1,000,000 users against 10,000", "", "many into SQLite", "few into SQLite", "events/s"),
    ("from file, sequences of 1,000 events against 10", ">= 0.7", "sequences of 1,000", "sequences of 10", "events/s"),
    ("from file, 5% late events against none", ">= 0.7", "late", "few", "events/s"),
    ("from file, one user with half of all events against none such", ">= 0.7", "one", "few", "events/s"),
    ("all steps with credit for conversions, against without", ">= 0.85", "credit on", "credit off", "events/s"),
    ("from file, 2 processes against 1", ">= 1.6", "2 processes", "1 process", "events/s"),
)
"""What is compared of logs, with goals and units."""

PACE = 50_000
WAITS = {
    "10,000 users": (10_000, 0.0),
    "10,000 users, one of them with half of all events": (10_000, 0.5),
    "1,000,000 users": (1_000_000, 0.0),
}
"""Loads, all of so many events a second, in which it is measured how long an event waits for its score."""

HEAD = """\
# Results

Written by `make bench`, part by part: medians of rounds in which the sides took turns, `model/decay.json`, one worker.
Latencies are one run each. Take the ratios, not the figures; README.md says what is behind them.
"""


def files(tell: Tell, folder: Path, rounds: int) -> None:
    """The rows about logs, without a server."""
    logs = {name: folder / f"{name}.parquet" for name in ("few", "many", "most", "late", "one", "long", "world")}
    write_log(logs["few"], 10_000, EVENTS)
    write_log(logs["many"], 1_000_000, EVENTS)
    write_log(logs["most"], 10_000_000, 10 * EVENTS)
    write_log(logs["late"], 10_000, EVENTS, late=0.05)
    write_log(logs["one"], 10_000, EVENTS, one=0.5)
    write_log(logs["long"], 1_000, EVENTS)
    simulate(logs["world"], users=300, events=SIMULATED, seed=7, start_ms=Settings().simulator_start_time)

    def flow(log: str, store: str = "none", length: int = LENGTH, epoch: int = 10) -> Side:
        return module("benchmarks.run_flow", logs[log], store, length, epoch)

    sides = {
        "kernel, 1,000 events": module("benchmarks.kernel", "length", 1_000),
        "kernel, 10 events": module("benchmarks.kernel", "length", 10),
        "simulator": module("benchmarks.simulator", "batch"),
        "fastavro": module("benchmarks.simulator", "one"),
        "plain Python": module("benchmarks.reference", logs["world"]),
        "world": flow("world"),
        "world into SQLite": flow("world", "sqlite"),
        "few": flow("few"),
        "few, one core": module("benchmarks.run_flow", logs["few"], "none", core=0),
        "few into SQLite": flow("few", "sqlite"),
        "many": flow("many"),
        "many into SQLite": flow("many", "sqlite"),
        "late": flow("late"),
        "one": flow("one"),
        "sequences of 1,000": flow("long"),
        "sequences of 10": flow("long", length=10),
        "credit on": module("benchmarks.credit", "on"),
        "credit off": module("benchmarks.credit", "off"),
        "credit of a user": module("benchmarks.credit", "user"),
        "1 process": module("benchmarks.processes", logs["few"], 1),
        "2 processes": module("benchmarks.processes", logs["few"], 2),
    }
    found = in_turn(sides, rounds) | in_turn({"most": flow("most", epoch=120)}, 1)
    for name, goal, left, right, unit in FILE_PAIRS:
        tell(ratio(name, goal, found[left], found[right], unit))
    waits = in_turn({name: module("benchmarks.waiting", PACE, *load) for name, load in WAITS.items()}, min(rounds, 3))
    for name, wait in waits.items():
        tell(Row(f"from due to scored at {PACE:,} events/s, 99 of 100; {name}", "", f"{wait:,.0f} ms", ""))
    tell(
        Row("a user of 1,000 events explained, and a conversion", "<= 50 ms", f"{found['credit of a user']:.1f} ms", "")
    )
    tell(Row("from file, on one core, no recovery", ">= 1,000,000", f"{found['few, one core']:,.0f}", "events/s"))
    for users, events, goal in ((1_000_000, 16, "<= 800"), (10_000, 4, ""), (1_000_000, 4, ""), (10_000_000, 4, "")):
        held = run(sys.executable, "-m", "benchmarks.kernel", "memory", users, events)
        tell(Row(f"bytes of memory a user, {users:,} users of {events} events", goal, f"{held:,.0f}", ""))


def topic(tell: Tell, folder: Path, rounds: int, quick: bool = False) -> None:
    """The rows about reading a topic, and about other systems that do the same with it."""
    events, warm = (1_200_000, 500_000) if quick else (4_000_000, 1_000_000)
    with Broker(folder / "kafka") as broker:
        kafka, where = Kafka([broker.brokers]), (broker.brokers, "bench", warm)
        for name in ("flink", "streams"):
            kafka.make(f"propensity-{name}", PARTITIONS)
        fill(kafka, "bench", 100_000, events)
        ours = ("benchmarks.kafka_flow", *where, events)
        sides = {
            "raw": module("benchmarks.raw_consume", *where, events),
            "raw without a pause": module("benchmarks.raw_consume", *where, events, 5),
            "ours": module(*ours, "none"),
            "ours, one core": module(*ours, "none", core=0),
            "ours to Kafka": module(*ours, "kafka"),
            "ours to Kafka, one core": module(*ours, "kafka", core=0),
            "Flink": peers.flink(*where),
            "Flink, one core": peers.flink(*where, core=0),
            "Flink to Kafka": peers.flink(*where, "propensity-flink"),
            "Flink to Kafka, one core": peers.flink(*where, "propensity-flink", core=0),
        }
        if not quick:
            few = (warm // 5, events // 5)
            streams = partial(peers.kafka_streams, broker.brokers, "bench", *few, "propensity-streams")
            sides |= {
                "ours, no recovery": module(*ours, "none", "off"),
                "Flink, 2 threads": peers.flink(*where, parallelism=2),
                "Kafka Streams": streams(),
                "Kafka Streams, one core": streams(core=0),
                "Kafka Streams, 2 threads": streams(2),
                "Quix Streams": peers.quix(broker.brokers, "bench", warm // 50, events // 50),
            }
        found = in_turn(sides, rounds)
        for left, right, goal in PAIRS:
            if left in found and right in found:
                tell(ratio(f"from Kafka, {left} against {right}", goal, found[left], found[right], "events/s"))
    if not quick:
        seconds = in_turn({"restart": module("benchmarks.restart", 1_000_000)}, min(rounds, 3))["restart"]
        name = "from a restart with the state of 1,000,000 users to the first new score"
        tell(Row(name, "<= 10 s", f"{seconds:.1f} s", ""))


def cassandra(tell: Tell, folder: Path, rounds: int) -> None:
    """The rows about a Cassandra on the same machine."""
    warm, events = 60_000, 360_000
    with Broker(folder / "kafka") as broker, Cassandra(folder / "cassandra") as server:
        fill(Kafka([broker.brokers]), "bench", 10_000, events)
        sink, curve = ("benchmarks.cassandra_sink", server.port), ("benchmarks.cassandra_curve", server.port)
        sides = {kind: module(*sink, kind) for kind in ("ours", "plain", "json")}
        sides["flow"] = module("benchmarks.kafka_flow", broker.brokers, "bench", warm, events, server.port)
        found = in_turn(sides, rounds)
        for side, kind, goal, name in (
            ("ours", "plain", ">= 0.8", "rows into Cassandra, against the best plain loop of its driver"),
            ("ours", "json", ">= 25", "rows into Cassandra, against INSERT JSON one at a time"),
            ("flow", "plain", ">= 0.8", "from Kafka to scores in Cassandra, against the best plain loop of such rows"),
        ):
            tell(ratio(name, goal, found[side], found[kind], "rows/s"))
        times = in_turn({kind: module(*curve, kind) for kind in ("p99", "p50")}, rounds)
        seen = f"{times['p99']:.1f} ms", f"p50 {times['p50']:.1f} ms"
        tell(Row("a curve of 1,000 points from Cassandra, 99 of 100", "<= 20 ms", *seen))


def latency(tell: Tell, folder: Path, rounds: int) -> None:
    """The rows about the whole way, from a producer to a reader of Cassandra."""
    command = [sys.executable, "-m", "benchmarks.latency", *map(str, RATES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        rate, p50, p99, count, *shortest = map(int, line.split())
        name = f"from produced to readable in Cassandra at {rate:,} events/s, 99 of 100"
        beside = "the shortest way: {1} ms, p50 {0} ms, {2} events".format(*shortest)
        tell(Row(name, RATES[rate], f"{p99} ms", f"p50 {p50} ms, {count} events; {beside}"))


PARTS = {"files": files, "topic": topic, "cassandra": cassandra, "latency": latency}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measurements, as ratios.")
    parser.add_argument("--quick", action="store_true", help="a little of `topic`, in under three minutes")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds whose medians count (%(default)s)")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all where none is named")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {min(unknown)}")
    console = Console()
    for part in ["topic"] if given.quick else given.parts or PARTS:
        rows = list[Row]()

        def tell(row: Row, rows: list[Row] = rows) -> None:
            rows.append(row)
            console.print(f"{row.name}: {row.seen}  ({row.of})")

        with console.status(part), tempfile.TemporaryDirectory() as folder:
            if given.quick:
                topic(tell, Path(folder), rounds=1, quick=True)
            else:
                PARTS[part](tell, Path(folder), given.rounds)
        table = Table("measure", "goal", "seen", "of")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        if not given.quick:
            write(part, given.rounds, rows)


def write(part: str, rounds: int, rows: list[Row]) -> None:
    """Put a part's section in the place of the one before."""
    sections = dict(section.split("\n", 1) for section in RESULTS.read_text().split("\n## ")[1:])
    machine = f"{os.cpu_count()} shared cores, {platform.machine()}, Python {platform.python_version()}"
    lines = [
        "",
        f"On {datetime.now(UTC):%Y-%m-%d}, {rounds} rounds; {machine}.",
        "",
        "| measure | goal | seen | of |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    sections[part] = "\n".join(lines)
    RESULTS.write_text(HEAD + "".join(f"\n## {name}\n{sections[name]}" for name in PARTS if name in sections))


if __name__ == "__main__":
    try:
        main()
    except ServiceError as problem:
        sys.exit(f"benchmarks: {problem}")
