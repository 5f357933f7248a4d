"""Every parameter of the synthetic world, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.event_columns import CL, CN, IM, PS, Codes, Floats

MINUTE = 1 / 1440
HOUR = 1 / 24


@dataclass(frozen=True)
class Branch:
    """One row of the table of children: a parent has Poisson(mean · …) children after Exp(delay) waits.

    `delay` is in days. The mean is multiplied by `weight[campaign]` when there are weights (by campaign
    code, NA last), by the impression's fatigue when `fatigued`, and by the user's intent z when `keen`.
    """

    parent: int
    child: int
    mean: float
    delay: float
    weight: tuple[float, ...] = ()
    fatigued: bool = False
    keen: bool = False

    def means(self, campaign: Codes) -> Floats:
        """The mean number of children before fatigue and intent, for the campaign codes of some parents.

        >>> Branch(PS, CN, 1.0, 2.0, weight=(0.25, 0.05, 0.0)).means(np.array([1, -1], np.int8)).tolist()
        [0.05, 0.0]
        """
        if self.weight:
            return self.mean * np.array(self.weight)[campaign]
        return np.full(len(campaign), self.mean)


@dataclass(frozen=True)
class World:
    """The parameters of the Poisson cluster process. Rates are per day, delays in days, prices in dollars.

    Make another world with `dataclasses.replace`: `gamma=0.7` is the confounded one, in which the keen see
    more impressions. Shares that do not add up to 1, or do not match their values in number, raise
    ValueError.

    >>> World().campaign_names[-2:]
    ('Brand', 'Generic')
    """

    # Users.
    segments: tuple[str, ...] = ("Younger", "Middle Aged", "Older")
    segment_shares: tuple[float, ...] = (0.35, 0.40, 0.25)
    segment_bases: tuple[float, ...] = (0.4, 1.0, 2.0)  # s: multiplies the baseline of conversions
    # fmt: off
    states: tuple[str, ...] = (
        "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY",
        "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND",
        "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY",
    )
    # fmt: on
    activities: tuple[float, ...] = (0.1, 0.6, 3.0)  # a, hidden
    activity_shares: tuple[float, ...] = (0.50, 0.35, 0.15)
    intents: tuple[float, ...] = (0.3, 1.0, 2.5)  # z, hidden
    intent_shares: tuple[float, ...] = (0.50, 0.35, 0.15)

    # Impressions.
    impression_rate: float = 3.0  # times a · z^gamma
    gamma: float = 0.0
    campaigns: tuple[str, ...] = ("Awareness", "Prospecting", "Seasonal", "Retargeting", "Loyalty")
    campaign_shares: tuple[float, ...] = (0.35, 0.25, 0.20, 0.12, 0.08)
    campaign_clicks: tuple[float, ...] = (0.6, 0.8, 1.0, 1.6, 3.0)  # c: multiplies the clicks
    campaign_effects: tuple[float, ...] = (0.05, 0.2, 1.0, 3.0, 6.0)  # e: multiplies the conversions
    fatigue: float = 0.9  # m = fatigue^(own impressions in the look-back before)
    fatigue_look_back: float = 1.0  # days; the generation keeps no more than the day before, so at most 1

    # Searches.
    searches: tuple[str, ...] = ("Brand", "Generic")
    search_shares: tuple[float, ...] = (0.6, 0.4)
    search_effects: tuple[float, ...] = (0.25, 0.05)  # conversions of a search per unit of z
    organic_search_rate: float = 0.006  # times z

    # Children: (mean, delay).
    impression_click: tuple[float, float] = (0.01, 2 * MINUTE)
    impression_search: tuple[float, float] = (0.0005, 1.0)
    click_search: tuple[float, float] = (0.05, 6 * HOUR)
    impression_conversion: tuple[float, float] = (0.0002, 5.0)
    click_conversion: tuple[float, float] = (0.07, 4.0)
    search_conversion: tuple[float, float] = (1.0, 2.0)
    conversion_conversion: tuple[float, float] = (0.06, 14.0)
    baseline_conversion_rate: float = 0.0001  # times s · z

    # What varies and does nothing, and what is bought.
    publishers: tuple[str, ...] = (
        "Daily Ledger",
        "Kitchen Table",
        "Match Report",
        "Open Road",
        "The Commons",
    )
    creatives: tuple[str, ...] = ("Autumn", "Family", "Price", "Story", "Studio", "Video")
    placements: tuple[str, ...] = ("Banner", "In-feed", "Sidebar", "Interstitial")
    products: tuple[str, ...] = ("Hat", "Shoes", "Bag")
    product_shares: tuple[float, ...] = (0.45, 0.35, 0.20)
    product_prices: tuple[float, ...] = (25.0, 80.0, 140.0)
    price_spread: float = 0.2  # a price lies within this part of the list price
    quantity_shares: tuple[float, ...] = (0.80, 0.15, 0.05)  # of 1, 2, 3

    def __post_init__(self) -> None:
        for shares, values in (
            ("segment_shares", self.segments),
            ("segment_shares", self.segment_bases),
            ("activity_shares", self.activities),
            ("intent_shares", self.intents),
            ("campaign_shares", self.campaigns),
            ("campaign_shares", self.campaign_clicks),
            ("campaign_shares", self.campaign_effects),
            ("search_shares", self.searches),
            ("search_shares", self.search_effects),
            ("product_shares", self.products),
            ("product_shares", self.product_prices),
            ("quantity_shares", self.quantity_shares),
        ):
            given = getattr(self, shares)
            if len(given) != len(values) or abs(sum(given) - 1) > 1e-9:
                raise ValueError(f"{shares}: expected {len(values)} shares that add up to 1, got {given}")
        if not 0 <= self.fatigue_look_back <= 1:
            raise ValueError(f"fatigue_look_back: expected 0 to 1 day, got {self.fatigue_look_back}")

    @property
    def campaign_names(self) -> tuple[str, ...]:
        """The vocabulary of the campaign codes: the campaigns, then the searches."""
        return self.campaigns + self.searches

    @cached_property
    def branches(self) -> tuple[Branch, ...]:
        """The table of children, campaigns' multipliers included as weights by campaign code."""
        no_campaign, no_search = (0.0,) * len(self.campaigns), (0.0,) * len(self.searches)
        clicks, effects, roots = (
            (*weights, *no_search, 0.0)
            for weights in (
                self.campaign_clicks,
                self.campaign_effects,
                tuple(effect**0.5 for effect in self.campaign_effects),
            )
        )
        searches = (*no_campaign, *self.search_effects, 0.0)
        return (
            Branch(IM, CL, *self.impression_click, weight=clicks),
            Branch(IM, PS, *self.impression_search, fatigued=True),
            Branch(CL, PS, *self.click_search),
            Branch(IM, CN, *self.impression_conversion, weight=effects, fatigued=True, keen=True),
            Branch(CL, CN, *self.click_conversion, weight=roots, keen=True),
            Branch(PS, CN, *self.search_conversion, weight=searches, keen=True),
            Branch(CN, CN, *self.conversion_conversion, keen=True),
        )

    def impressions_a_day(self, activity: Floats, intent: Floats) -> Floats:
        """The rate r = 3 · a · z^gamma, elementwise.

        >>> World().impressions_a_day(np.array([0.6]), np.array([2.5])).round(6).tolist()
        [1.8]
        """
        return self.impression_rate * activity * intent**self.gamma
