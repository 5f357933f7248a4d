"""The decoder under a fuzzer that coverage guides: see `tests.faults.fuzz_decoder`."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Amount
from tests.faults.fuzz_decoder import check, decoder, fuzz, seeds


@pytest.fixture
def atheris() -> None:
    """Skips where the fuzzer has no wheel; never where it has one, in CI."""
    if importlib.util.find_spec("atheris") is None:
        has_wheel = sys.platform == "linux" and platform.machine() == "x86_64"
        assert not (os.environ.get("CI") == "true" and has_wheel), "atheris must be there in CI"
        pytest.skip("NOTHING WAS FUZZED: no atheris (pip install atheris)")


def test_every_input_is_decoded_as_fastavro_decodes_it(atheris: None, amount: Amount, tmp_path: Path) -> None:
    """Guarantee: whatever bytes come, they are the event that fastavro reads, or one dead letter with its reason."""
    wrong = fuzz(amount.fuzzing, tmp_path / "corpus")
    assert not wrong, wrong


def test_what_the_fuzzer_begins_with() -> None:
    """Also where there is no fuzzer."""
    check(decoder(), seeds())
