"""State that carries a checksum of itself."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from model.bucket import Bucket, Snapshot
from model.features.plan import FeaturePlan
from model.sealed import Sealed
from model.sequences.entries import ENTRY
from schemas.errors import DamagedError
from tests.model.driving import batch_of, event
from tests.model.worlds import MODELS


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


def test_a_bucket_is_sealed_before_and_after_something_came_for_it() -> None:
    """What a flow resumed, and saves again as it was, is a state like any other."""
    bucket = Bucket(FeaturePlan.of(next(iter(MODELS.values())).features))
    bucket.update(batch_of([event("e", 0)]))
    for state in (bucket, bucket.snapshot()):
        kept = copy.deepcopy(state)
        assert isinstance(kept, Sealed)
        assert isinstance(pickle.loads(pickle.dumps(kept)), Snapshot)
