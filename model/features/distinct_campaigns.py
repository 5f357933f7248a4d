"""`distinct_campaigns`: ln(1 + n), n = distinct campaigns of matching events of age <= look_back."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from model.features.count import Count, begin, value
from model.features.count import gain as one_more
from model.features.structures import FIRST_TAIL, HEAD, matches
from model.features.template import Kind, Template, TimeScale
from model.sequences.entries import campaign_of, is_counted
from schemas.compiled.compiling import inlined
from schemas.events import MISSING


class DistinctCampaigns(Template):
    """Different campaigns among the matching events whose age is at most `look_back`.

    Events without a campaign are of one more, `NA`. An event costs a walk to the newest one of its campaign as it
    comes, and another as it leaves the window: at most over all events in the window.

    >>> DistinctCampaigns(aggregation="distinct_campaigns", weight=0.1, type="IM", look_back="7d").name
    'distinct_campaigns(IM, 7d)'
    """

    aggregation: Literal["distinct_campaigns"]
    look_back: TimeScale

    @property
    def window(self) -> timedelta:
        """The look-back window."""
        return self.look_back


@inlined
def _is_alike(feature, tag, other):
    """Whether an event counts for the feature and is of the campaign of another one."""
    return is_counted(tag) and campaign_of(tag) == campaign_of(other) and matches(feature, tag)


@inlined
def enter(feature, at, entries, marks, decays, growths):
    """One more, unless an event of the campaign is in the window already."""
    tag, place = entries[at.first + at.place].tag, at.place - 1
    oldest = max(marks[FIRST_TAIL + feature.scale], marks[HEAD])
    while place >= oldest and not _is_alike(feature, entries[at.first + place].tag, tag):
        place -= 1
    if place < oldest:
        marks[feature.place] += 1


@inlined
def leave(feature, at, entries, marks, decays, growths):
    """One less, unless a later event of the campaign is there."""
    tag, place = entries[at.first + at.place].tag, at.place + 1
    while place < at.end and not _is_alike(feature, entries[at.first + place].tag, tag):
        place += 1
    if place >= at.end:
        marks[feature.place] -= 1


@inlined
def share(feature, span, entries, fading, place, halves):
    """1 for each campaign: of its oldest event that does not fade in, else shared among its events, which all do."""
    tag, fade_in, rest_before, rest_after = entries[place].tag, 0, 0, 0
    if not matches(feature, tag) or span.time - entries[place].timestamp > feature.span:
        return 0.0
    for other in range(span.low, span.high):
        inside = span.time - entries[other].timestamp <= feature.span
        if inside and _is_alike(feature, entries[other].tag, tag):
            fade_in += fading[other - span.low]
            rest_before += not fading[other - span.low] and other < place
            rest_after += not fading[other - span.low] and other > place
    if not fading[place - span.low]:
        return 0.0 if rest_before > 0 else 1.0
    return 0.0 if rest_before + rest_after > 0 else 1.0 / fade_in


@inlined
def gain(before, beside, is_match):
    """One more campaign, unless events of it are there."""
    return one_more(before, beside, is_match) if beside == 0.0 else 0.0


def beside_of(feature: DistinctCampaigns, campaign: str | None) -> Count:
    """The matching events of the campaign."""
    name = campaign or MISSING
    return Count(aggregation="count", weight=0.0, type=feature.type, campaign=name, look_back=feature.look_back)


DISTINCT_CAMPAIGNS = Kind(
    DistinctCampaigns,
    value=value,
    enter=enter,
    gain=gain,
    marks=1,
    leave=leave,
    begin=begin,
    share=share,
    beside_of=beside_of,
)
