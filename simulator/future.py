"""The future: the probability that an event leads to a conversion within a horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.event_columns import CL, CN, IM, NA, PS, Floats
from simulator.world import World

_CELLS = 1000


@dataclass(frozen=True, eq=False)
class Classes:
    """The hidden classes of users, activity x intent, in columns of equal length."""

    share: Floats  # p
    intent: Floats  # z
    rate: Floats  # r, impressions a day

    @classmethod
    def of(cls, world: World) -> Classes:
        """All the classes of a world, the intent varying fastest."""
        activity = np.repeat(world.activities, len(world.intents))
        intent = np.tile(world.intents, len(world.activities))
        share = np.outer(world.activity_shares, world.intent_shares).ravel()
        return cls(share, intent, world.impressions_a_day(activity, intent))


@dataclass(frozen=True, eq=False)
class Outlook:
    """The future within one horizon, for each hidden class.

    `immigrants` (classes) is the expected number of future impressions, organic searches and baseline
    conversions (these per unit of the segment's base s, as `baseline`) that lead to a conversion in time.
    `reach` has an array (classes, campaigns + 1) for each of the world's branches: c_AB(h) of a parent of
    that campaign code, NA last, without the parent's own fatigue.
    """

    immigrants: Floats
    baseline: Floats
    reach: tuple[Floats, ...]

    @classmethod
    def of(cls, world: World, classes: Classes, horizon: float) -> Outlook:
        """The outlook on `horizon` days, by numerical integration on a grid.

        Q_A(v), the chance that an event A of now leads to a conversion within v, is 1 - exp(-Σ_B μ_AB ∫
        f_AB(u) Q_B(v - u) du) with Q_CN = 1. A horizon that is not above 0 raises ValueError. The one
        approximation: the fatigue of a future impression is its mean, exp(-(1 - .9) r · look-back).
        """
        if not horizon > 0:
            raise ValueError(f"horizon: expected more than 0 days, got {horizon}")
        step = horizon / _CELLS
        codes = np.append(np.arange(len(world.campaign_names)), NA).astype(np.int8)
        shape = (len(classes.share), len(codes), _CELLS + 1)
        keen = classes.intent[:, None]
        tired = np.exp(-(1 - world.fatigue) * classes.rate * world.fatigue_look_back)[:, None, None]
        # By type: Q of an event about which the campaign is known, and of one that is about to happen.
        known: dict[int, Floats] = {}
        coming: dict[int, Floats] = {CN: np.ones(shape)}
        reach: dict[int, Floats] = {}
        for parent in (PS, CL, IM):  # children before parents
            exponent = np.zeros(shape)
            for place, branch in enumerate(world.branches):
                if branch.parent != parent:
                    continue
                mean = branch.means(codes) * (keen if branch.keen else np.ones_like(keen))
                part = mean[..., None] * _convolve(coming[branch.child], branch.delay, step)
                reach[place] = part[..., -1]
                exponent += part * tired if branch.fatigued else part
            known[parent] = -np.expm1(-exponent)
            # A search draws its own campaign; a click keeps the impression's.
            coming[parent] = known[parent] if parent == CL else _mean_over_campaigns(world, parent, known[parent])
        for place, branch in enumerate(world.branches):
            if branch.parent == CN:
                reach[place] = branch.means(codes) * keen * -np.expm1(-horizon / branch.delay)
        integral = {kind: np.trapezoid(coming[kind][:, 0], dx=step) for kind in (PS, IM)}
        return cls(
            immigrants=world.organic_search_rate * classes.intent * integral[PS] + classes.rate * integral[IM],
            baseline=world.baseline_conversion_rate * classes.intent * horizon,
            reach=tuple(reach[place] for place in range(len(world.branches))),
        )


def _mean_over_campaigns(world: World, kind: int, values: Floats) -> Floats:
    """The mean over the campaign that an event of this type will draw, independent of its parent's."""
    split = len(world.campaigns)
    if kind == PS:
        mean = np.einsum("kcn,c->kn", values[:, split:-1], np.array(world.search_shares))
    else:
        mean = np.einsum("kcn,c->kn", values[:, :split], np.array(world.campaign_shares))
    return np.broadcast_to(mean[:, None], values.shape)


def _convolve(values: Floats, delay: float, step: float) -> Floats:
    """∫₀ᵛ f(u) · values(v - u) du on the grid along the last axis, f the density of Exp(delay).

    Exact for values that are linear within a cell, however short the delay is beside the cell.

    >>> flat = _convolve(np.ones(3), delay=2.0, step=1.0)
    >>> np.allclose(flat, 1 - np.exp([0, -0.5, -1.0]))
    True
    """
    ratio = step / delay
    stay = np.exp(-ratio)
    slope = -np.expm1(-ratio) / ratio
    result = np.zeros(values.shape)
    gain = (1 - slope) * values[..., 1:] + (slope - stay) * values[..., :-1]
    for cell in range(gain.shape[-1]):
        result[..., cell + 1] = stay * result[..., cell] + gain[..., cell]
    return result
