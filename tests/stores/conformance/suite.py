"""What every store promises: a new store passes it by a subclass that gives the fixture `store`.

The fixture is an empty store whose `writer()` and `reader()` open it as often as a test asks for; what they return is
closed after the test.

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stores.conformance.credit import CreditConformance
from tests.stores.conformance.erasures import ErasureConformance
from tests.stores.conformance.grading import GradingConformance
from tests.stores.conformance.rows import RowConformance


class StoreConformance(RowConformance, CreditConformance, ErasureConformance, GradingConformance):
    """All promises of a store."""

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        """An empty store with `writer()` and `reader()`."""
        raise NotImplementedError("a subclass gives the store")
