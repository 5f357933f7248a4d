"""What every store promises of credit: a conversion has the touches of its greatest version, and sums are theirs."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.credits import LONGEST_CAMPAIGN
from schemas.erasures import Erasure
from settings import LONGEST_SEQUENCE
from stores.answers import Conversion, day_of
from stores.base import Reader
from tests.flow.exactness import check_sums
from tests.model.driving import DAY, Run, chunks
from tests.model.worlds import MODELS, cuts, events, within
from tests.reference import event_key
from tests.stores.rows import TIME, event

SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]

CLICK, IMPRESSION = event("click", 0, "CL", campaign="Spring"), event("shown", 5, "IM", campaign="Autumn")

BOUGHT = event("bought", 10, "CN", revenue=8.0)


def runs(*batches, model="seed"):
    return Run(MODELS[model], 5).feed(*batches).scored


def write(store, *scored):
    writer = store.writer()
    for rows in scored:
        writer.write(rows)
        writer.flush()


def touches(conversion: Conversion) -> list[str]:
    """The types of the touches, and of the baseline."""
    return [share.type for share in conversion.shares]


def check(reader: Reader, *users: str) -> None:
    """Fail unless the sums are those of these users' rows."""
    check_sums(reader, {user: reader.credits(user) for user in users})


_worlds = itertools.count()


class CreditConformance:
    """A conversion has the touches of its greatest version, and sums are theirs."""

    def test_an_empty_store_has_no_credit(self, store):
        reader = store.reader()
        assert reader.credits("u") == reader.credits("") == reader.credit_sums() == []

    def test_what_is_credited_is_read(self, store):
        write(store, *runs([CLICK, IMPRESSION, BOUGHT]))
        (found,) = store.reader().credits("u")
        key = event_key("bought")
        assert (found.event_time, found.event_key, found.revenue, found.model_id) == (TIME + 10, key, 8.0, "seed")
        assert [share[:4] for share in found.shares] == [
            (TIME, event_key("click"), "CL", "Spring"), (TIME + 5, event_key("shown"), "IM", "Autumn"), (0, 0, "", ""),
        ]  # fmt: skip
        assert [share.last for share in found.shares] == [0.0, 1.0, 0.0]
        assert [share.first for share in found.shares] == [1.0, 0.0, 0.0]
        assert [share.linear for share in found.shares] == [0.5, 0.5, 0.0]
        assert all(
            math.fsum(shares) == pytest.approx(1) for shares in zip(*(each[4:] for each in found.shares), strict=True)
        )
        assert found.shares[0].credit > found.shares[1].credit > 0
        check(store.reader(), "u")

    def test_the_longest_conversion_is_kept(self, store):
        """Its touches and their campaigns are one value of some 3 MB in Cassandra, below a server's limit."""
        names = [f"{number}".ljust(LONGEST_CAMPAIGN, "x") for number in range(7)]
        shown = [event(f"e{number}", number, campaign=names[number % 7]) for number in range(LONGEST_SEQUENCE)]
        write(
            store, *Run(MODELS["seed"], LONGEST_SEQUENCE).feed([*shown, event("bought", LONGEST_SEQUENCE, "CN")]).scored
        )
        (found,) = store.reader().credits("u")
        assert len(found.shares) == LONGEST_SEQUENCE + 1
        assert {share.campaign for share in found.shares} == {"", *names}
        assert math.fsum(share.credit for share in found.shares) == pytest.approx(1)

    def test_a_touch_that_leaves_leaves_nothing(self, store):
        """A late event pushes the oldest out of the newest five; another one turns out to be a conversion."""
        first = [event(f"e{number}", number, campaign="Spring") for number in range(5)]
        bought = replace(BOUGHT, timestamp=TIME + 90_000)
        write(store, *runs([*first, bought], [event("late", 6, "CL", campaign="Autumn")], [event("e3", 3, "CN")]))
        own, bought = store.reader().credits("u")
        assert (touches(own), touches(bought)) == (["IM"] * 3 + [""], ["IM"] * 3 + ["CL", ""])
        assert [share.touch_time - TIME for share in bought.shares[:-1]] == [1, 2, 4, 6]
        check(store.reader(), "u")

    def test_a_touch_whose_campaign_is_disputed_is_credited_once(self, store):
        write(store, *runs([CLICK, BOUGHT], [replace(CLICK, campaign="Winter")]))
        (found,) = store.reader().credits("u")
        assert [share.campaign for share in found.shares] == ["Winter", ""]
        check(store.reader(), "u")

    @pytest.mark.parametrize("backwards", [False, True])
    def test_revenue_is_that_of_the_row_whatever_came_first(self, store, backwards):
        """Of bodies that disagree each field's greater value; one that is no conversion's is not asked."""
        bodies = [BOUGHT, replace(BOUGHT, revenue=9.0, campaign="z"), replace(BOUGHT, revenue=10.0, campaign="a")]
        bodies.append(replace(BOUGHT, type="CL", revenue=99.0))
        write(store, *runs([CLICK], *([each] for each in (reversed(bodies) if backwards else bodies))))
        (found,) = store.reader().credits("u")
        assert found.revenue == store.reader().curve("u")[-1].revenue == 10.0

    def test_a_version_that_is_not_smaller_replaces(self, store):
        before, after = runs([CLICK, BOUGHT], [IMPRESSION])
        write(store, before, after, before)
        (found,) = store.reader().credits("u")
        assert touches(found) == ["CL", "IM", ""]
        write(store, replace(after, models=("z",)))
        assert [each.model_id for each in store.reader().credits("u")] == ["z"]

    def test_an_order_is_one_conversion_and_a_refund_takes_its_revenue_back(self, store):
        """Its items count revenue alone, the id of one once more nothing; a dispute makes the order another."""
        item, again = event("item", 40, "CN", revenue=2.0), event("bought", 90, "CN", revenue=8.0)
        back = event("back", 3 * DAY, "CN", revenue=-3.0)
        write(store, *runs([back], [CLICK, again], [item], [BOUGHT]))
        reader = store.reader()
        found = {each.event_time - TIME: (each.part, each.order_time - TIME) for each in reader.credits("u")}
        assert found == {10: ("order", 10), 40: ("item", 10), 90: ("repeat", 90), 3 * DAY: ("refund", 10)}
        sums = reader.credit_sums()
        assert {each.day for each in sums} == {day_of(TIME)}
        for rule in range(6):
            assert sum(each.conversions[rule] for each in sums) == pytest.approx(1)
            assert sum(each.revenue[rule] for each in sums) == pytest.approx(8 + 2 - 3)
        check(reader, "u")
        write(store, *runs([replace(BOUGHT, revenue=-8.0)], [back], [CLICK, again], [item], [BOUGHT]))
        found = {each.event_time - TIME: (each.part, each.order_time - TIME) for each in reader.credits("u")}
        assert found == {10: ("refund", 10), 40: ("order", 40), 90: ("item", 40), 3 * DAY: ("refund", 40)}
        check(reader, "u")

    def test_credit_is_cut_to_its_times_and_sums_to_whole_days(self, store):
        orders = [event(f"n{number}", number * DAY, "CN", revenue=1.0) for number in range(4)]
        write(store, *runs([CLICK, *orders]))
        reader = store.reader()
        found = reader.credits("u", TIME + 1, TIME + 2 * DAY)
        assert [each.event_time for each in found] == [TIME + DAY, TIME + 2 * DAY]
        days = [day_of(TIME + number * DAY) for number in range(4)]
        assert sorted({each.day for each in reader.credit_sums(TIME + DAY, TIME + 2 * DAY + 1)}) == days[1:3]
        assert sorted({each.day for each in reader.credit_sums(end=TIME + DAY)}) == days[:2]
        assert reader.credit_sums(-(2**80), 2**80) == reader.credit_sums()
        assert reader.credit_sums(TIME + 9 * DAY) == reader.credit_sums(2**80) == reader.credit_sums(end=-(2**80)) == []

    def test_an_erasure_takes_credit_too(self, store):
        """Also what waits to be written, and what another program holds."""
        flow, job = store.writer(), store.writer()
        other, later = replace(BOUGHT, user_id="other"), event("later", DAY, "CN")
        first, second = runs([CLICK, BOUGHT, other], [IMPRESSION])
        flow.write(first)
        flow.flush()
        flow.write(second)
        job.erase([Erasure.of("u", TIME + 10)])
        job.flush()
        flow.flush()
        reader = store.reader()
        assert (reader.credits("u"), len(reader.credits("other"))) == ([], 1)
        check(reader, "other")
        flow.write(runs([later])[0])
        flow.flush()
        assert [touches(each) for each in reader.credits("u")] == [[""]]

    @settings(max_examples=25, suppress_health_check=SUPPRESSED)
    @given(st.lists(events, min_size=1, max_size=24), cuts, cuts, st.randoms(use_true_random=False))
    def test_a_store_ends_with_the_credits_of_the_last_computation(self, store, world, cut, other_cut, rng):
        """Two runs over the same events in other orders, their writes mixed: it is as if one batch had brought all."""
        user = f"{next(_worlds)}-"
        world = [replace(each, user_id=user + each.user_id) for each in within(world, 5, 5)]
        one = Run(MODELS["rich"], 5).feed(*chunks(world, cut)).scored
        two = Run(MODELS["rich"], 5).feed(*chunks(rng.sample(world, len(world)), other_cut)).scored
        writer = store.writer()
        for rows in (each for pair in itertools.zip_longest(one, two) for each in pair if each is not None):
            writer.write(rows)
            if rng.random() < 0.5:
                writer.flush()
        writer.flush()
        (whole,) = Run(MODELS["rich"], 5).feed(sorted(world, key=lambda each: each.timestamp)).scored
        users = whole.events.texts(1, whole.outcomes["user_row"])
        expected: dict[str, list] = defaultdict(list)
        for outcome, start, stop in whole.credits.conversions():
            credits = whole.credits.rows[start:stop]
            key, names = whole.outcomes[outcome], whole.credits.campaigns
            expected[users[outcome]].append(
                (
                    (int(key["timestamp"]), int(key["event_key"])),
                    [(int(each["touch_key"]), names[each["campaign"]], each["credit"]) for each in credits],
                )
            )
        reader = store.reader()
        for user_id in {each.user_id for each in world}:
            found = [
                ((each.event_time, each.event_key), [(s.touch_key, s.campaign, s.credit) for s in each.shares])
                for each in reader.credits(user_id)
            ]
            assert found == sorted(expected[user_id])
