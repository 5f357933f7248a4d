"""The plain-Python reference over one file: `python -m benchmarks.reference FILE`. Prints events a second."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pyarrow.parquet

from tests.reference import PlainScorer, load


def main() -> None:
    """Measure and print: the file is read row by row into dicts, and each event is scored."""
    scorer = PlainScorer(load(Path("model/decay.json")))
    file = pyarrow.parquet.ParquetFile(sys.argv[1])
    count, started = 0, time.perf_counter()
    for columns in file.iter_batches(50_000):
        for event in columns.to_pylist():
            scorer.score(event)
        count += len(columns)
    print(count / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
