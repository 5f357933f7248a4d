"""Rows of a batch user by user: by counting where slots are few, by sorting where they are many."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.sequences.merging import group_rows
from schemas.events import ROW


@given(st.lists(st.integers(0, 5), max_size=12), st.sampled_from([1, 100_000]))
def test_rows_of_a_user_stay_together_in_event_order(slots: list[int], spread: int) -> None:
    rows = np.zeros(len(slots), ROW)
    rows["timestamp"] = np.arange(len(slots)) * 7 % 5
    given_slots = np.array(slots, np.int64) * spread
    order, groups = group_rows(rows, given_slots)
    assert sorted(order.tolist()) == list(range(len(slots)))
    assert groups["slot"].tolist() == sorted(set(given_slots.tolist()))
    for group in groups:
        mine = order[group["start"] : group["stop"]]
        assert set(given_slots[mine].tolist()) == {group["slot"]}
        assert rows["timestamp"][mine].tolist() == sorted(rows["timestamp"][given_slots == group["slot"]].tolist())
    assert sum(groups["stop"] - groups["start"]) == len(slots)
