"""`make bench`: measure, print the ratios, and write them to `benchmarks/RESULTS.md`.

The two sides of a ratio are measured in turn, each in a process of its own, and their medians are compared: on a shared
machine only that means something.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.logs import write_log
from jobs.simulate import simulate
from settings import Settings
from tests.services.cassandra import Cassandra

ROUNDS = 5
EVENTS = 2_000_000
SIMULATED = 60_000
RESULTS = Path(__file__).parent / "RESULTS.md"

STORES = (("none", "without a store", ">= 0.7", ">= 20"), ("sqlite", "into SQLite", "", ""))
"""Stores to run into, and the goals of the two ratios of each."""

NOTE = """\
The goal for 1,000,000 users is met by the dataflow itself and not with SQLite behind it: there each row is of another
user and so on another page of the tables and of their two indexes, and writing those pages takes the time.

Latencies are one run each, beside a simulator that fills the topics; "the shortest way" is a consumer that writes a row
for each message as it comes, measured while the flow works on the same machine.
"""

RATES = {2_000: "<= 150 ms", 10_000: ""}
"""Events a second at which latency is measured, and its goals."""

Row = tuple[str, str, str, str]
Command = tuple[object, ...]


def measure(*module: object) -> float:
    """One measurement in a process of its own."""
    done = subprocess.run([sys.executable, "-m", *map(str, module)], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def in_turn(left: Command, right: Command) -> tuple[float, float]:
    """Medians of two measurements that took turns."""
    pairs = [(measure(*left), measure(*right)) for _ in range(ROUNDS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def against(name: str, goal: str, left: Command, right: Command, unit: str) -> Row:
    """A row of the table: the ratio of two measurements."""
    a, b = in_turn(left, right)
    return name, goal, f"{a / b:.2f}", f"{a:,.0f} / {b:,.0f} {unit}"


def in_cassandra(console: Console, port: int) -> list[Row]:
    """The rows about a Cassandra on the same machine."""
    sink, curve = ("benchmarks.cassandra_sink", port), ("benchmarks.cassandra_curve", port)
    rows = [
        against(
            "rows into Cassandra, against the best plain loop of its driver",
            ">= 0.8",
            (*sink, "ours"),
            (*sink, "plain"),
            "rows/s",
        ),
        against(
            "rows into Cassandra, against INSERT JSON one at a time",
            ">= 25",
            (*sink, "ours"),
            (*sink, "json"),
            "rows/s",
        ),
    ]
    late, middle = in_turn((*curve, "p99"), (*curve, "p50"))
    rows.append(
        ("a curve of 1,000 points from Cassandra, 99 of 100", "<= 20 ms", f"{late:.1f} ms", f"p50 {middle:.1f} ms")
    )
    for row in rows:
        console.print(f"{row[0]}: {row[2]}  ({row[3]})")
    return rows


def through_kafka(console: Console) -> list[Row]:
    """The rows about the whole way, from a producer to a reader of Cassandra."""
    command = [sys.executable, "-m", "benchmarks.latency", *map(str, RATES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = list[Row]()
    for line in done.stdout.splitlines():
        rate, p50, p99, count, *shortest = map(int, line.split())
        name = f"from produced to readable in Cassandra at {rate:,} events/s, 99 of 100"
        beside = "the shortest way: {1} ms, p50 {0} ms, {2} events".format(*shortest)
        rows.append((name, RATES[rate], f"{p99} ms", f"p50 {p50} ms, {count} events; {beside}"))
        console.print(f"{name}: {rows[-1][2]}  ({rows[-1][3]})")
    return rows


def main() -> None:
    """Measure everything."""
    console, rows = Console(), list[Row]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many, world = folder / "few.parquet", folder / "many.parquet", folder / "world.parquet"
        with console.status("writing logs"):
            write_log(few, 10_000, EVENTS)
            write_log(many, 1_000_000, EVENTS)
            start = Settings().simulator_start_time
            simulate(world, users=300, events=SIMULATED, seed=7, start_ms=start)
        kernel, flow, plain = "benchmarks.kernel", "benchmarks.run_flow", ("benchmarks.reference", world)
        steps: list[tuple[str, str, Command, Command, str]] = [
            (
                "kernel: time of an event, sequences of 1,000 against 10",
                "<= 1.5",
                (kernel, "length", 1_000),
                (kernel, "length", 10),
                "ns",
            )
        ]
        simulator = "benchmarks.simulator"
        steps.append(
            (
                "simulator: made and encoded (200,000 a second at least) against fastavro encoding one by one",
                "",
                (simulator, "batch"),
                (simulator, "one"),
                "events/s",
            )
        )
        for store, of, users_goal, plain_goal in STORES:
            users = f"dataflow from file {of}, 1,000,000 users against 10,000"
            steps += [
                (users, users_goal, (flow, many, store), (flow, few, store), "events/s"),
                (f"dataflow from file {of}, against plain Python", plain_goal, (flow, world, store), plain, "events/s"),
            ]
        for step in steps:
            with console.status(step[0]):
                rows.append(against(*step))
            console.print(f"{rows[-1][0]}: {rows[-1][2]}  ({rows[-1][3]})")
        with console.status("starting Cassandra"), Cassandra(folder / "cassandra") as cassandra:
            rows += in_cassandra(console, cassandra.port)
    with console.status("latency"):
        rows += through_kafka(console)
    with console.status("memory"):
        held = measure(kernel, "memory", 1_000_000, 16)
    rows.append(("bytes of memory a user, 1,000,000 users of 16 events", "<= 800", f"{held:,.0f}", ""))
    report(console, rows)


def report(console: Console, rows: list[Row]) -> None:
    """Print the table and write it."""
    table = Table("measure", "goal", "seen", "of")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    lines = [
        "# Results",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}: medians of {ROUNDS} rounds, the two sides of a ratio"
        f" in turn, `model/decay.json`, one worker. Machine: {os.cpu_count()} shared cores, {platform.machine()},"
        f" Python {platform.python_version()}. Take the ratios, not the figures.",
        "",
        "| measure | goal | seen | of |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        NOTE,
    ]
    RESULTS.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
