"""Orders and refunds: what is one conversion, and what is none, in features and in credit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.credits import ITEM, ORDER, REFUND, REPEAT
from schemas.event_types import TYPES
from tests.model.driving import DAY, HOUR, TIME, Run, batch_of, chunks, event, near
from tests.model.worlds import MODELS, NAMES, cuts, events, within
from tests.reference import event_key

CLICK = event("click", 0, "CL", campaign="a")


def propensities(run: Run) -> dict[tuple[str, int, str], object]:
    """By user, time and event id."""
    return {
        (user, time, cell.event.event_id): near(cell.propensity) for (user, time, _), cell in run.table.rows.items()
    }


def parts(*batches: list) -> dict[tuple[int, str], tuple[int, int]]:
    """What each conversion event is in the end, by time and event id: its part, and when its order began."""
    run, found = Run(MODELS["rich"], 1_000), {}
    names = {event_key(each.event_id): each.event_id for sent in batches for each in sent}
    for sent in batches:
        batch = batch_of(sent)
        update = run.bucket.update(batch, run.attribution)
        for row in update.credits.rows:
            outcome = update.outcomes[row["outcome"]]
            name = names[int(outcome["event_key"])]
            found[int(outcome["timestamp"]) - TIME, name] = int(row["part"]), int(row["order_time"]) - TIME
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gaps", [(0, 0), (1, 59_999), (30_000, 59_000, 10)])
def test_a_shop_with_a_row_a_product_scores_as_one_with_a_row_an_order(name: str, gaps: tuple[int, ...]) -> None:
    """Also where the order goes on for longer than a minute; what follows scores the same."""
    bought, after = event("n", HOUR, "CN", campaign="a", revenue=50.0), [event("i", DAY), event("n2", 2 * DAY, "CN")]
    items, time = [], HOUR
    for number, gap in enumerate(gaps):
        time += gap
        items.append(event(f"z{number}", time, "CN", campaign="b", revenue=5.0))
    first = min([bought, *items], key=lambda each: (each.timestamp, event_key(each.event_id))).campaign
    whole = propensities(Run(MODELS[name], 1_000).feed([CLICK, replace(bought, campaign=first), *after]))
    split = propensities(Run(MODELS[name], 1_000).feed([CLICK, bought, *items, *after]))
    for key in [("u", TIME + DAY, "i"), ("u", TIME + 2 * DAY, "n2")]:
        assert split[key] == whole[key]


def test_a_minute_after_the_one_before_is_another_order() -> None:
    found = parts([event("n1", 0, "CN"), event("n2", 59_999, "CN"), event("n3", 119_999, "CN")])
    assert found == {(0, "n1"): (ORDER, 0), (59_999, "n2"): (ITEM, 0), (119_999, "n3"): (ORDER, 119_999)}


def test_an_id_that_an_order_has_already_counts_nothing() -> None:
    found = parts([event("m", 0, "CN"), event("x", 37, "CN"), event("m", 40, "CN"), event("m", DAY, "CN")])
    assert found[40, "m"][0] == REPEAT
    assert [found[key][0] for key in ((0, "m"), (37, "x"), (DAY, "m"))] == [ORDER, ITEM, ORDER]


@given(st.lists(events, max_size=20), cuts, st.sampled_from(NAMES))
def test_a_refund_changes_no_propensity_but_its_own_row(world, places, name) -> None:
    """Wherever it comes: all other rows are as if it were not there."""
    world = [each for each in within(world, 1_000, 1_000) if each.event_id != "t"]
    world = [replace(each, revenue=abs(each.revenue)) for each in world]
    back = [event("t", time, "CN", revenue=-5.0, campaign="a") for time in (1, HOUR, 8 * DAY)]
    with_them = Run(MODELS[name], 1_000).feed(*chunks([*world, *back], places))
    without = propensities(Run(MODELS[name], 1_000).feed(*chunks(world, places)))
    found = propensities(with_them)
    assert {key: found[key] for key in without} == without


@pytest.mark.parametrize("late", [False, True])
def test_a_refund_takes_back_from_the_newest_order_before_it(late: bool) -> None:
    """Also where the order comes late, and where a dispute makes an order a refund."""
    first, second = event("n1", 0, "CN", revenue=5.0), event("n2", HOUR, "CN", revenue=6.0)
    back = event("r", DAY, "CN", revenue=-6.0)
    batches = [[back], [first], [second]] if late else [[first, second, back]]
    assert parts(*batches)[DAY, "r"] == (REFUND, HOUR)
    disputed = parts(*batches, [replace(second, revenue=-6.0)])
    assert (REFUND, 0) in disputed.values()
    assert parts([back])[DAY, "r"] == (REFUND, DAY)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", [f"discount-{n}" for n in range(6)])
def test_a_refund_of_an_orders_very_time_is_the_orders(name: str, late: bool) -> None:
    """Whatever the ids are and came first: a discount is often a row of its order; an item's order is its own too."""
    before, order = event("n0", 0, "CN", revenue=9.0), event("n1", HOUR, "CN", revenue=5.0)
    item = event("n2", HOUR + 5, "CN", revenue=7.0)
    back, other = event(name, HOUR, "CN", revenue=-1.0), event(name, HOUR + 5, "CN", revenue=-1.0)
    world = [before, order, item, back, other]
    found = parts(*([each] for each in world[::-1])) if late else parts(world)
    assert found[HOUR, name] == (REFUND, HOUR)
    assert found[HOUR + 5, name] == (REPEAT, HOUR + 5)
    assert parts([before, order, item, replace(other, event_id="x")])[HOUR + 5, "x"] == (REFUND, HOUR)
    assert parts([before, back])[HOUR, name] == (REFUND, 0)


@pytest.mark.parametrize("refund", [event("r", 0, "CN", revenue=-0.01), event("r", 0, "CN", revenue=-1e300)])
def test_only_a_conversion_takes_revenue_back(refund) -> None:
    assert parts([refund])[0, "r"][0] == REFUND
    assert parts([replace(refund, revenue=-0.0)])[0, "r"][0] == ORDER
    for kind in TYPES[:3]:
        assert parts([replace(refund, type=kind)]) == {}


def test_an_id_at_another_time_within_a_day_is_counted() -> None:
    """In whatever order it comes; not the same time again, another user's, or one of another day."""
    world = [event("e", 0), event("e", 37), event("e", 0), event("e", 5, user="v"), event("e", 3 * DAY), event("f", 1)]
    for sent in (world, world[::-1]):
        run = Run(MODELS["seed"], 1_000)
        assert sum(run.bucket.update(batch_of([each])).retimed for each in sent) == 1
    assert Run(MODELS["seed"], 1_000).bucket.update(batch_of(world)).retimed == 1
