"""Compiles what the tests run, once and before they start: `python -m tests.warm_up`.

Otherwise each worker of a first run, and each program that it starts, compiles the same functions at the same time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

_FLOW = ("-m", "bytewax.run", "dataflow")
_SHORT = {"ADSTREAMS_SIMULATOR_EVENTS": "2000", "ADSTREAMS_SIMULATOR_RATE": "0"}
_CASSANDRA = ("-c", "from stores.cassandra.row_encoding import compile_now; compile_now()")
_PAGE = ("-c", "from viz.shared import shared; shared()")


def main() -> None:
    """Short runs of the simulator, a log, the page and the grader, two at a time."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        store = {"ADSTREAMS_SQLITE_PATH": f"{folder}/store.db"}
        log = f"{folder}/log.parquet"
        flow, other = pool.submit(_run, _FLOW, _SHORT | store), pool.submit(_run, _CASSANDRA, {})
        flow.result()
        page = pool.submit(_run, _PAGE, store)
        grader = pool.submit(_run, ("-m", "jobs", "grade", "--once"), store)
        simulator = pool.submit(_run, ("-m", "jobs", "simulate", "--to", log, "--events", "2000"), {})
        for each in (other, page, grader, simulator):
            each.result()
        _run(_FLOW, {"ADSTREAMS_SOURCE": "file", "ADSTREAMS_FILE": log, "ADSTREAMS_SQLITE_PATH": f"{folder}/log.db"})


def _run(arguments: Sequence[str], settings: dict[str, str]) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ADSTREAMS_")}
    done = subprocess.run([sys.executable, *arguments], env=kept | settings, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
