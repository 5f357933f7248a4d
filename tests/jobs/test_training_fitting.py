"""Weights are scikit-learn's, marketing's are not negative, and calibration is folded into them."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from jobs.training.fitting import Platt, Weights, fit

GROUPS = np.array([0, 0, 0, 1, 1, -1])


def sample(seed, count=4_000):
    """Collinear features, of which some have a negative weight, and labels."""
    rng = np.random.default_rng(seed)
    base = rng.exponential(1.0, (count, 2))
    x = np.column_stack(
        [base[:, [0]] + 0.1 * rng.random((count, 3)), base[:, [1]] + 0.1 * rng.random((count, 2)), rng.random(count)]
    )
    logits = x @ np.array([2.0, -2.5, 1.0, -1.0, 1.4, -0.8]) - 1.0
    return x, rng.random(count) < 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("strength", [1.0, 10.0, 100.0])
def test_coefficients_are_scikit_learns(strength):
    """Those of a fit by another solver, on the features that are left."""
    x, y = sample(1)
    found = fit(x, y, GROUPS, strength)
    kept = np.flatnonzero(found.weights)
    assert 0 < len(kept) < x.shape[1]
    expected = LogisticRegression(C=strength, solver="lbfgs", tol=1e-10, max_iter=10_000).fit(x[:, kept], y)
    assert found.weights[kept] == pytest.approx(expected.coef_[0], abs=1e-4)
    assert found.intercept == pytest.approx(expected.intercept_[0], abs=1e-4)


def test_no_weight_of_marketing_is_negative():
    """Without the bound some are; a feature of no group may be."""
    for seed in range(5):
        x, y = sample(seed)
        free = fit(x, y, np.full(6, -1), 10.0)
        assert free.weights.min() < -0.5
        bounded = fit(x, y, GROUPS, 10.0)
        assert bounded.weights[:5].min() >= 0
        assert bounded.weights[5] < 0


@pytest.mark.parametrize("seed", range(8))
def test_nothing_that_was_dropped_would_help(seed):
    """The weights are those of a solver that knows bounds, also where the order of dropping misleads."""
    rng = np.random.default_rng(seed)
    base = rng.exponential(1.0, (3_000, 1)) * rng.random((3_000, 3))
    x = base @ rng.random((3, 8)) + 0.05 * rng.random((3_000, 8))
    y = rng.random(3_000) < 1 / (1 + np.exp(2.0 - x @ rng.normal(0.1, 1.0, 8)))
    groups = np.array([0, 0, 0, 1, 1, 2, 2, -1])

    def loss(point):
        logits = x @ point[1:] + point[0]
        said = 1 / (1 + np.exp(-logits))
        value = (np.logaddexp(0, logits) - y * logits).sum() + (point[1:] ** 2).sum() / 20
        return value, np.append((said - y).sum(), x.T @ (said - y) + point[1:] / 10)

    bounds = [(None, None), *([(0, None)] * 7), (None, None)]
    best = minimize(loss, np.zeros(9), jac=True, bounds=bounds, tol=1e-14, options={"maxiter": 10_000})
    found = fit(x, y, groups, 10.0)
    assert loss(np.append(found.intercept, found.weights))[0] == pytest.approx(best.fun, abs=0.02)


def test_what_is_dropped_first_is_the_most_negative():
    """With one harmful and one helpful feature that go together, only the harmful one goes."""
    rng = np.random.default_rng(3)
    x = rng.exponential(1.0, (5_000, 2))
    y = rng.random(5_000) < 1 / (1 + np.exp(-(x @ np.array([-1.0, 0.7]) - 1)))
    found = fit(x, y, np.array([0, 0]), 10.0)
    assert found.weights[0] == 0
    assert found.weights[1] > 0.5


def test_users_drawn_more_often_weigh_more():
    x, y = sample(2)
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    expected = fit(x[repeated], y[repeated], GROUPS, 1.0)
    assert fit(x, y, GROUPS, 1.0, weight).weights == pytest.approx(expected.weights, abs=1e-4)


def test_where_nothing_helps_the_base_rate_is_left():
    rng = np.random.default_rng(4)
    x = rng.exponential(1.0, (2_000, 2))
    y = rng.random(2_000) < 1 / (1 + np.exp(x @ np.array([1.0, 2.0])))
    found = fit(x, y, np.array([0, 1]), 1.0)
    assert found.weights.tolist() == [0, 0]
    assert found.propensities(x)[0] == pytest.approx(y.mean())


def test_calibration_is_folded_into_the_weights():
    """Propensities of the folded weights are those that Platt's regression gives to the logits."""
    x, y = sample(6)
    raw = Weights(0.7, np.array([3.0, 0.0, 1.0, 0.0, 2.0, -1.0]))
    logits = raw.logits(x)
    target = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))

    def loss(point):
        said = 1 / (1 + np.exp(-(point[0] * logits + point[1])))
        return -(target * np.log(said) + (1 - target) * np.log(1 - said)).mean()

    slope, shift = minimize(loss, np.array([0.5, 0.0]), tol=1e-14).x
    folded = Platt.of(logits, y).fold(raw).propensities(x)
    assert folded == pytest.approx(1 / (1 + np.exp(-(slope * logits + shift))), abs=1e-5)
    assert folded.mean() == pytest.approx(y.mean(), abs=1e-3)


def test_users_drawn_more_often_weigh_more_in_a_calibration_too():
    x, y = sample(6)
    logits = fit(x, y, GROUPS, 1.0).logits(x)
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    expected = Platt.of(logits[repeated], y[repeated])
    found = Platt.of(logits, y, weight)
    assert (found.slope, found.shift) == pytest.approx((expected.slope, expected.shift), abs=1e-6)


def test_logits_that_tell_labels_apart_are_not_sure_of_it():
    """Of 20 positive rows and 30 others one more of each could have been the other way."""
    y = np.arange(50) < 20
    said = (
        Platt.of(np.where(y, 1.0, -1.0), y).fold(Weights(0.0, np.ones(1))).propensities(np.where(y, 1.0, -1.0)[:, None])
    )
    assert said[y] == pytest.approx(21 / 22)
    assert said[~y] == pytest.approx(1 / 32)


def test_logits_that_say_nothing_are_calibrated_to_the_base_rate():
    """No row of another logit counts whose user was not drawn."""
    y = np.arange(50) < 20
    for logits, weight in ((np.full(50, -3.0), None), (np.arange(50.0), (np.arange(50) == 3).astype(float))):
        platt = Platt.of(logits, y, weight)
        assert platt.slope == 0
    assert 1 / (1 + np.exp(-Platt.of(np.full(50, -3.0), y).shift)) == pytest.approx(0.4, abs=0.01)


def test_calibration_never_turns_a_weight_round():
    """Where the logits say the contrary of what comes, nothing is left but the base rate."""
    x, y = sample(7)
    platt = Platt.of(-fit(x, y, GROUPS, 1.0).logits(x), y)
    assert platt.slope == 0
    assert platt.fold(Weights(0.0, np.ones(6))).propensities(x)[0] == pytest.approx(y.mean(), abs=1e-3)
