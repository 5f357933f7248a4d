"""Users with more events than a person makes are set apart: nothing is recommended, and they teach no model."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.training.logs import log_of
from jobs.training.training_rows import draw
from model.actions.catalogue import Actions
from model.bucket import Bucket
from model.features.automated import automated_users
from model.timeline import Models
from schemas.advice import NO_ACTION
from tests.model.driving import DAY, HOUR, TIME, batch_of, event
from tests.model.worlds import MODELS

ACTIONS = Actions.model_validate({"value": 1000.0, "actions": [{"name": "ad", "type": "IM", "cost": 0.0}]})


def advice_for(offsets: list[int], most: int) -> list[tuple[bool, bool]]:
    """For events of one user at these times: whether the row is set apart, and whether it has an action."""
    models = Models(MODELS["seed"], actions=ACTIONS, most=most)
    batch = batch_of([event(f"e{n}", offset, "IM") for n, offset in enumerate(offsets)])
    update = Bucket(models.plan).update(batch)
    scores, which = models.score(update.features, update.outcomes["timestamp"])
    advice = models.advise(update.features, scores, which, batch, update.outcomes["user_row"]).rows
    return [(bool(row["set_apart"]), bool(row["action"] != NO_ACTION)) for row in advice]


def test_nothing_is_recommended_from_the_event_that_is_one_too_many_until_a_quieter_day() -> None:
    times = [0, 1, 2, 3, DAY + 1, 3 * DAY]
    assert [apart for apart, _ in advice_for(times, 3)] == [False, False, False, True, True, False]
    assert all(apart != has for apart, has in advice_for(times, 3))
    assert advice_for(times, 0) == [(False, True)] * 6


@given(st.lists(st.integers(0, 4 * DAY), min_size=1, max_size=40), st.integers(1, 8))
def test_a_user_is_automated_if_some_row_was_set_apart(offsets: list[int], most: int) -> None:
    """The stream's rule, row by row, and the rule of training and page agree."""
    times = np.sort(np.array(offsets, np.int64))
    rows = advice_for(times.tolist(), most)
    (found,) = automated_users(np.zeros(len(times), np.int64), times, most, 1)
    assert found == any(apart for apart, _ in rows)


@pytest.mark.parametrize("bot", [[n * 200 for n in range(3_000)], [n * 1000 for n in range(501)], [0] * 501])
def test_a_crawler_teaches_no_model_and_people_do(bot: list[int]) -> None:
    world = [event(f"b{n}", offset, "CL", user="bot") for n, offset in enumerate(bot)]
    for user in range(5):
        world += [event(f"h{user}-{n}", n * 3 * HOUR, "IM", user=f"human{user}") for n in range(300)]
    log = replace(log_of(iter([batch_of(world)]), "log"), most=500)
    moments, _ = draw(log, TIME, TIME + 40 * DAY)
    bots = np.flatnonzero(log.set_apart)
    assert len(bots) == 1
    assert not np.isin(moments.users, bots).any()
    assert len(np.unique(moments.users)) == 5
    assert "6 users (1 set apart as automated)" in log.counts
    everybody, _ = draw(replace(log, most=0), TIME, TIME + 40 * DAY)
    assert all(a <= b for a, b in pairwise(everybody.users.tolist()))
    assert len(np.unique(everybody.users)) == 6
    assert len(everybody) > len(moments)
