"""Fast tests first; how many at a time; how much Hypothesis does (HYPOTHESIS_PROFILE=thorough: more); real servers."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.services.fixtures"]

settings.register_profile(
    "default", max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
DEFAULT = settings.get_profile("default")
settings.register_profile("thorough", parent=DEFAULT, max_examples=2_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

WORKER_BYTES, SERVER_BYTES = 1_300_000_000, 2_000_000_000
"""What one worker with its programs takes, and what the servers of a run take."""

SLOW = ("jobs", "topics", "stores", "viz", "services", "flow", "faults")
"""Folders of tests that take long, the longest last."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first; among these, those that need servers come last (`tests.services.fixtures`)."""
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""
        return SLOW.index(folder) if folder in SLOW else -1

    items.sort(key=rank)


def pytest_xdist_auto_num_workers() -> int:
    """Five for two cores, as most tests wait most of their time; fewer where memory is short."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(5 * cores // 2, (memory - SERVER_BYTES) // WORKER_BYTES))
