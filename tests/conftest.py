"""How much Hypothesis does: the same examples every time; more with HYPOTHESIS_PROFILE=thorough. And real servers."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.services.fixtures"]

settings.register_profile(
    "default", max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
DEFAULT = settings.get_profile("default")
settings.register_profile("thorough", parent=DEFAULT, max_examples=2_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
