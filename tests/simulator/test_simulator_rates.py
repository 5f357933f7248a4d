"""The simulated world has the rates that its specification promises."""

import numpy as np
import pytest

from simulator import CL, CN, IM, NA, PS, Population, World

DAY_MS = 86_400_000


def late(run, days=21):
    """Rows of the last `days` days, when the longest delays have reached their steady state."""
    return run.events.timestamp >= run.start_ms + (len(run.days) - days) * DAY_MS


def assert_rate(successes, trials, expected, slack=0.0):
    """The observed share lies within four standard errors, and a slack for rounding, of the expected."""
    error = 4 * np.sqrt(expected * (1 - expected) / trials) + slack
    assert abs(successes / trials - expected) < error, (successes / trials, expected, error)


def test_users_have_the_specified_shares_of_segment_state_activity_and_intent():
    world = World()
    users = Population.draw(world, 100_000, seed=1)
    for segment, share in enumerate((0.35, 0.40, 0.25)):
        assert_rate((users.segment == segment).sum(), len(users), share)
    for values, column in (((0.1, 0.6, 3.0), users.activity), ((0.3, 1.0, 2.5), users.intent)):
        for value, share in zip(values, (0.50, 0.35, 0.15), strict=True):
            assert_rate((column == value).sum(), len(users), share)
    assert len(set(world.states)) == 50
    for state in range(50):
        assert_rate((users.state == state).sum(), len(users), 0.02)
    keen_and_active = (users.activity == 3.0) & (users.intent == 2.5)
    assert_rate(keen_and_active.sum(), len(users), 0.15 * 0.15)


def test_impressions_come_at_three_a_day_times_the_activity(run):
    impressions = run.events.user[run.events.type == IM]
    for activity in (0.1, 0.6, 3.0):
        users = run.users.activity == activity
        seen, expected = users[impressions].sum(), 3 * activity * users.sum() * len(run.days)
        assert abs(seen - expected) < 4 * np.sqrt(expected)


def test_the_keen_see_more_impressions_in_the_confounded_world(confounded):
    impressions = confounded.events.user[confounded.events.type == IM]
    expected = 3 * confounded.users.activity * confounded.users.intent**0.7 * len(confounded.days)
    for intent in (0.3, 1.0, 2.5):
        users = confounded.users.intent == intent
        assert abs(users[impressions].sum() - expected[users].sum()) < 4 * np.sqrt(expected[users].sum())


def test_campaigns_have_their_shares_and_click_through(run):
    events = run.events
    impressions, clicks = events.type == IM, events.type == CL
    assert_rate(clicks.sum(), impressions.sum(), 0.0104, slack=0.0001)
    clicks_by_campaign = (0.6, 0.8, 1.0, 1.6, 3.0)
    for campaign, share in enumerate((0.35, 0.25, 0.20, 0.12, 0.08)):
        shown = (events.campaign[impressions] == campaign).sum()
        assert_rate(shown, impressions.sum(), share)
        assert_rate((events.campaign[clicks] == campaign).sum(), shown, 0.01 * clicks_by_campaign[campaign])


def test_about_2_3_percent_of_users_convert_in_a_week(run):
    for week in (4, 5, 6):
        days = run.days[7 * week : 7 * week + 7]
        buyers = np.unique(np.concatenate([day.user[day.type == CN] for day in days]))
        assert_rate(len(buyers), len(run.users), 0.023, slack=0.0005)


def test_direct_causes_of_conversions_have_the_specified_shares(run):
    events = run.events
    bought = np.flatnonzero((events.type == CN) & late(run))
    cause = events.cause[bought]
    kind = np.where(cause == NA, NA, events.type[cause].astype(int))
    for expected_kind, share in ((IM, 0.06), (CL, 0.41), (PS, 0.42), (CN, 0.08), (NA, 0.02)):
        hit = kind == expected_kind
        # One user's conversions depend on each other: the standard error is that of a ratio over users.
        residual = np.bincount(events.user[bought], hit - share, minlength=len(run.users))
        error = np.sqrt((residual**2).sum()) / len(bought)
        assert abs(hit.mean() - share) < 3 * error + 0.01, (expected_kind, hit.mean(), error)


def test_searches_are_brand_or_generic_and_organic_ones_come_in_proportion_to_intent(run):
    events = run.events
    searches = events.type == PS
    organic = searches & (events.cause == NA)
    assert run.world.campaign_names[5:] == ("Brand", "Generic")
    assert_rate((events.campaign[searches] == 5).sum(), searches.sum(), 0.6)
    for intent in (0.3, 1.0, 2.5):
        users = run.users.intent == intent
        expected = 0.006 * intent * users.sum() * len(run.days)
        assert abs(users[events.user[organic]].sum() - expected) < 4 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("parent", "child", "days"),
    [(IM, CL, 2 / 1440), (IM, PS, 1.0), (CL, PS, 0.25), (CL, CN, 4.0), (PS, CN, 2.0)],
)
def test_delays_are_exponential_with_the_specified_mean(run, parent, child, days):
    """Parents too young for most of their children to have come are left out."""
    events = run.events
    children = np.flatnonzero((events.type == child) & (events.cause != NA))
    cause = events.cause[children]
    settled = (events.type[cause] == parent) & (events.timestamp[cause] < run.start_ms + 21 * DAY_MS)
    delay = (events.timestamp[children] - events.timestamp[cause])[settled] / DAY_MS / days
    assert abs(delay.mean() - 1) < 4 / np.sqrt(len(delay))
    assert_rate((delay > 1).sum(), len(delay), np.exp(-1))


def test_only_conversions_carry_a_purchase_and_only_touches_carry_their_details(run):
    events, world = run.events, run.world
    bought = events.type == CN
    assert set(np.unique(events.product[bought])) == {0, 1, 2}
    assert set(np.unique(events.quantity[bought])) == {1, 2, 3}
    price = events.revenue[bought] / events.quantity[bought]
    assert (abs(price / np.array(world.product_prices)[events.product[bought]] - 1) < 0.201).all()
    assert (events.product[~bought] == NA).all()
    assert not events.quantity[~bought].any() and not events.revenue[~bought].any()
    assert (events.campaign[bought] == NA).all()
    shown = (events.type == IM) | (events.type == CL)
    for name, vocabulary in (
        ("publisher", world.publishers),
        ("creative", world.creatives),
        ("placement", world.placements),
    ):
        column = getattr(events, name)
        assert (column[~shown] == NA).all()
        assert set(np.unique(column[shown])) == set(range(len(vocabulary)))
    clicks = events.type == CL
    for name in ("user", "campaign", "publisher", "creative", "placement"):
        column = getattr(events, name)
        assert (column[clicks] == column[events.cause[clicks]]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"segment_shares": (0.5, 0.5)},
        {"campaign_shares": (0.3, 0.3, 0.2, 0.1, 0.2)},
        {"search_effects": (0.25,)},
        {"fatigue_look_back": 2.0},
    ],
)
def test_a_world_that_does_not_add_up_is_refused(change):
    with pytest.raises(ValueError, match="expected"):
        World(**change)
