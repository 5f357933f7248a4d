"""State that carries a checksum of itself."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from model.entries import ENTRY
from model.sealed import DamagedError, Sealed


def test_what_comes_out_is_what_went_in():
    state = {"row": 7, "entries": np.zeros(3, ENTRY), "none": np.empty(0, np.int32)}
    found = pickle.loads(pickle.dumps(Sealed(state)))
    assert found.keys() == state.keys()
    assert found["entries"].dtype == ENTRY
    assert found["entries"].tobytes() == state["entries"].tobytes()
    assert len(found["none"]) == 0


def test_no_bit_of_what_is_kept_may_change():
    unseal, (checksum, *parts) = Sealed(np.arange(100)).__reduce__()
    for number, part in enumerate(parts):
        for place in range(len(part)):
            changed = bytearray(part)
            changed[place] ^= 1 << place % 8
            with pytest.raises(DamagedError):
                unseal(checksum, *parts[:number], bytes(changed), *parts[number + 1 :])


def test_the_parts_do_not_run_into_each_other():
    unseal, (checksum, *parts) = Sealed(np.frombuffer(b"abcd", np.uint8)).__reduce__()
    with pytest.raises(DamagedError):
        unseal(checksum, parts[0] + parts[1][:1], parts[1][1:])
