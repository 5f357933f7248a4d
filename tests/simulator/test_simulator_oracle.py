"""The oracle is calibrated on simulated users and equals the specification's formula written out."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import CL, CN, IM, NA, PS, History, Oracle, World

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def history_of(events, segment=(2,), start_ms=0):
    """A history from (user, ms, type, campaign) rows in any order."""
    user, time, kind, campaign = np.array(events, dtype=np.int64).reshape(-1, 4).T
    return History.of(
        np.array(segment, np.uint8),
        user,
        time + start_ms,
        kind.astype(np.uint8),
        campaign.astype(np.int8),
        start_ms,
    )


def outcome(run, day, horizon, oracle=None):
    """Predicted probabilities at midnight after `day` days, and who converted within the horizon."""
    at = run.start_ms + day * DAY_MS
    history = History.of_days(run.days[:day], run.users, run.start_ms)
    everyone = np.arange(len(run.users))
    chance = (oracle or Oracle(run.world)).probability(history, everyone, at, horizon)
    events = run.events
    bought = (events.type == CN) & (events.timestamp > at) & (events.timestamp <= at + horizon * DAY_MS)
    return chance, np.isin(everyone, events.user[bought])


def deviation(chance, happened):
    """Observed minus expected, in standard deviations of the observed."""
    return (happened.sum() - chance.sum()) / np.sqrt((chance * (1 - chance)).sum())


@pytest.mark.parametrize(("day", "horizon"), [(2, 7.0), (14, 7.0), (35, 1.0), (35, 14.0)])
def test_probability_is_calibrated_over_all_and_in_bins(run, day, horizon):
    chance, happened = outcome(run, day, horizon)
    assert abs(deviation(chance, happened)) < 3
    for rows in np.array_split(np.argsort(chance), 5):
        assert abs(deviation(chance[rows], happened[rows])) < 3.5


def test_probability_is_calibrated_in_the_confounded_world(confounded):
    chance, happened = outcome(confounded, 14, 7.0)
    assert abs(deviation(chance, happened)) < 3


def test_probability_tells_users_apart(run):
    """The log score beats that of the rate of all users, by more than calibrated noise would."""
    chance, happened = outcome(run, 35, 7.0)
    score = np.where(happened, np.log(chance), np.log1p(-chance))
    rate = happened.mean()
    flat = np.where(happened, log(rate), log(1 - rate))
    gain = score - flat
    assert gain.mean() > 3 * gain.std() / sqrt(len(gain))


def test_posterior_counts_the_hidden_classes(run):
    history = History.of_days(run.days[:28], run.users, run.start_ms)
    posterior = Oracle(run.world).posterior(history, np.arange(len(run.users)), run.start_ms + 28 * DAY_MS)
    assert posterior.sum(axis=1) == pytest.approx(1)
    for place, (activity, intent) in enumerate((a, z) for a in (0.1, 0.6, 3.0) for z in (0.3, 1.0, 2.5)):
        belongs = (run.users.activity == activity) & (run.users.intent == intent)
        assert abs(deviation(posterior[:, place], belongs)) < 3.5
        # Among those whom the oracle takes for this class, too.
        likely = posterior[:, place] > np.quantile(posterior[:, place], 0.9)
        assert abs(deviation(posterior[likely, place], belongs[likely])) < 3.5


# The specification written out, in plain Python and with Gauss-Legendre nodes instead of a grid: it shares
# neither code nor numbers with the package.

NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2
CAMPAIGNS = [(0.35, 0.6, 0.05), (0.25, 0.8, 0.2), (0.20, 1.0, 1.0), (0.12, 1.6, 3.0), (0.08, 3.0, 6.0)]


def delayed(chance, delay, v):
    """∫₀ᵛ f(u) chance(v - u) du, with nodes at the quantiles of the delay."""
    v = np.asarray(v, dtype=float)[..., None]
    reached = -np.expm1(-v / delay)
    u = -delay * np.log1p(-reached * NODES)
    return (reached * WEIGHTS * chance(v - u)).sum(axis=-1)


def arrived(delay, v):
    return -np.expm1(-np.asarray(v) / delay)


def plain_probability(events, segment_base, t, h):
    """The probability for one user with (days, type, campaign) events; 5 is brand, 6 generic."""

    def tiredness(time):
        return 0.9 ** sum(kind == IM and 0 < time - other <= 1 for other, kind, _ in events)

    total = norm = 0.0
    for a, p_a in ((0.1, 0.5), (0.6, 0.35), (3.0, 0.15)):
        for z, p_z in ((0.3, 0.5), (1.0, 0.35), (2.5, 0.15)):
            r = 3 * a

            def search(v, z=z):
                return 0.6 * -np.expm1(-0.25 * z * arrived(2, v)) + 0.4 * -np.expm1(-0.05 * z * arrived(2, v))

            def click(v, e, z=z, search=search):
                return -np.expm1(-(0.07 * sqrt(e) * z * arrived(4, v) + 0.05 * delayed(search, 0.25, v)))

            def impression(v, z=z, r=r, search=search, click=click):
                m = exp(-0.1 * r)
                result = 0.0
                for share, c, e in CAMPAIGNS:
                    clicks = 0.01 * c * delayed(lambda w, e=e: click(w, e), 2 / 1440, v)
                    others = 0.0005 * m * delayed(search, 1.0, v) + 0.0002 * e * m * z * arrived(5, v)
                    result = result + share * -np.expm1(-(clicks + others))
                return result

            expected = z * 0.0001 * segment_base * h
            expected += 0.006 * z * h * (WEIGHTS * search(h * NODES)).sum()
            expected += r * h * (WEIGHTS * impression(h * NODES)).sum()
            weight = log(p_a * p_z) - r * t - 0.006 * z * t - z * 0.0001 * segment_base * t
            for time, kind, campaign in events:
                age = t - time
                if kind == IM:
                    _, c, e = CAMPAIGNS[campaign]
                    m = tiredness(time)
                    expected += exp(-age * 720) * 0.01 * c * delayed(lambda w, e=e: click(w, e), 1 / 720, h)
                    expected += exp(-age) * 0.0005 * m * delayed(search, 1.0, h)
                    expected += exp(-age / 5) * 0.0002 * e * m * z * arrived(5, h)
                    weight += log(r) - z * 0.0002 * e * m * arrived(5, age)
                elif kind == CL:
                    e = CAMPAIGNS[campaign][2]
                    expected += exp(-age / 0.25) * 0.05 * delayed(search, 0.25, h)
                    expected += exp(-age / 4) * 0.07 * sqrt(e) * z * arrived(4, h)
                    weight -= z * 0.07 * sqrt(e) * arrived(4, age)
                elif kind == PS:
                    effect = (0.25, 0.05)[campaign - 5]
                    expected += exp(-age / 2) * effect * z * arrived(2, h)
                    induced = sum(
                        0.0005 * tiredness(earlier) * exp(-(time - earlier))
                        if other == IM
                        else 0.05 / 0.25 * exp(-(time - earlier) / 0.25)
                        for earlier, other, _ in events
                        if earlier < time and other in (IM, CL)
                    )
                    weight += log(0.006 * z + induced) - z * effect * arrived(2, age)
                else:
                    expected += exp(-age / 14) * 0.06 * z * arrived(14, h)
                    weight += log(z) - z * 0.06 * arrived(14, age)
            norm += exp(weight)
            total += exp(weight) * -np.expm1(-expected)
    return total / norm


# Type, campaign and hour of a user who saw, clicked, searched and bought.
STORY = [
    (IM, 3, 10.0),
    (IM, 4, 20.0),
    (CL, 4, 20.02),
    (PS, 5, 26.0),
    (CN, NA, 40.0),
    (IM, 0, 45.0),
    (PS, 6, 50.0),
]


@pytest.mark.parametrize("seen", range(len(STORY) + 1))
@pytest.mark.parametrize("horizon", [1.0, 7.0])
def test_probability_equals_the_formula_written_out(seen, horizon):
    """Event after event of a story, at a time right after the last and (all seen) ten hours later."""
    hours = STORY[seen][2] - 0.01 if seen < len(STORY) else 60.0
    story = STORY[:seen]
    history = history_of([(0, round(hour * HOUR_MS), kind, campaign) for kind, campaign, hour in story])
    given_ = Oracle(World()).probability(history, np.array([0]), round(hours * HOUR_MS), horizon)
    plain = plain_probability([(hour / 24, kind, campaign) for kind, campaign, hour in story], 2.0, hours / 24, horizon)
    assert given_ == pytest.approx(plain, rel=1e-4)


def test_events_of_the_same_ms_are_seen_and_later_ones_are_not():
    click = [(0, 5_000, CL, 4)]
    later = [*click, (0, 9_000, PS, 5), (0, 9_000, CN, NA)]
    oracle, user = Oracle(World()), np.array([0])
    before, at = (oracle.probability(history_of(later), user, time, 7.0)[0] for time in (4_999, 5_000))
    assert at > 5 * before
    assert at == oracle.probability(history_of(click), user, 5_000, 7.0)[0]


def test_many_questions_at_once_equal_one_by_one(run):
    """Users and times in any order, the same user more than once; the start of the clock does not matter."""
    history = History.of_days(run.days[:7], run.users, run.start_ms)
    oracle, rng = Oracle(run.world), np.random.default_rng(1)
    user = rng.choice(np.unique(history.user[history.type == CN]), 20)
    at = run.start_ms + rng.integers(7 * DAY_MS, size=20)
    together = oracle.probability(history, user, at, 7.0)
    for question in range(20):
        own = history.user == user[question]
        alone = history_of(
            np.column_stack((np.zeros(own.sum()), history.time[own], history.type[own], history.campaign[own])),
            segment=run.users.segment[user[question : question + 1]],
        )
        single = oracle.probability(alone, np.array([0]), int(at[question]) - run.start_ms, 7.0)
        assert together[question] == pytest.approx(single[0], rel=1e-12)


def test_shares_on_a_hand_made_history():
    """A click of a campaign with effect 6 at 1 d, a brand search at 2 d, asked at 3 d: plain hazards."""
    history = history_of([(0, 2 * DAY_MS, PS, 5), (0, DAY_MS, CL, 4), (0, 3 * DAY_MS, CN, NA)])
    shares = Oracle(World()).shares(history, np.array([0]), 3 * DAY_MS)
    hazards = [0.07 * sqrt(6) / 4 * exp(-2 / 4), 0.25 / 2 * exp(-1 / 2), 0.0001 * 2]
    assert shares.row.tolist() == [1, 0]
    assert [*shares.share, shares.baseline[0]] == pytest.approx([hazard / sum(hazards) for hazard in hazards])


def test_shares_add_up_and_agree_with_the_true_causes(run):
    """By type of touch the shares of all conversions add up to the number it caused."""
    events = run.events
    bought = np.flatnonzero(events.type == CN)
    history = History.of_days(run.days, run.users, run.start_ms)
    shares = Oracle(run.world).shares(history, events.user[bought], events.timestamp[bought])
    total = np.bincount(shares.question, shares.share, minlength=len(bought)) + shares.baseline
    assert total == pytest.approx(1)
    assert (events.user[shares.row] == events.user[bought][shares.question]).all()
    cause = events.cause[bought]
    assert abs(deviation(shares.baseline, cause == NA)) < 3.5
    for kind in (IM, CL, PS, CN):
        touches = events.type[shares.row] == kind
        expected = np.bincount(shares.question[touches], shares.share[touches], minlength=len(bought))
        assert abs(deviation(expected.clip(0, 1), (cause != NA) & (events.type[cause] == kind))) < 3.5
    # And touch by touch: what has a large share is the cause that often.
    caused = shares.row == cause[shares.question]
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1)):
        rows = (shares.share > low) & (shares.share <= high)
        assert abs(deviation(shares.share[rows], caused[rows])) < 3.5


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=12),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), min_size=1, max_size=5),
)
def test_look_back_finds_exactly_the_earlier_events_of_the_user(events, questions):
    history = history_of([(user, time, IM, 0) for user, time in events], segment=(0, 1, 2))
    user, time = np.array(questions, dtype=np.int64).T
    question, event = history.look_back(user, time)
    found = sorted(zip(question.tolist(), history.row[event].tolist(), strict=True))
    assert found == [
        (place, row)
        for place, (who, when) in enumerate(questions)
        for row, (owner, happened) in enumerate(events)
        if owner == who and happened < when
    ]


def test_what_an_oracle_cannot_know_is_refused():
    history = history_of([(0, 5_000, CL, 4)], start_ms=1_000)
    oracle, user = Oracle(World()), np.array([0])
    with pytest.raises(ValueError, match="at: expected 1000 or later, got 999"):
        oracle.probability(history, user, 999, 7.0)
    with pytest.raises(ValueError, match="horizon: expected"):
        oracle.probability(history, user, 6_000, 0.0)
    with pytest.raises(ValueError, match="timestamp: expected 9000 or later, got 6000"):
        History.of(history.segment, user, np.array([6_000]), history.type, history.campaign, start_ms=9_000)
