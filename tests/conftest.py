"""Fast tests first; how much Hypothesis does (more with HYPOTHESIS_PROFILE=thorough); and real servers."""

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
