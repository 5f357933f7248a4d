"""Who is credited, by the model and by last touch: the newest conversions of those shown, and the sums of all users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model.scoring.belief import Belief
from model.scoring.propensity import Model
from schemas.credits import RULES
from schemas.event_types import TYPE_OF
from stores.answers import CreditSum
from viz import look
from viz.feed import CREDITED_DAYS, DAY
from viz.graded import plainly
from viz.trace import Credit, Trace, Tracer
from viz.words import NOBODY, NOT_STORED, adding_up, dollars, duration, number, short_moment, touch, visible

Facts = dict[str, Any]
MOST_CONVERSIONS, MOST_SEGMENTS, MOST_SUMS = 4, 4, 7
NO_TOUCH = "No touch"
NONE_DOUBTED: Mapping[str, Belief] = {}
_MODEL, _LAST = RULES.index("credit"), RULES.index("last")


def credited(
    traces: Mapping[str, Trace],
    slots: Mapping[str, int],
    tracer: Tracer,
    sums: Sequence[CreditSum],
    doubted: Mapping[str, Belief] = NONE_DOUBTED,
    until: int | None = None,
) -> Facts:
    """Each conversion's parts add up to 100%; the sums are in conversions.

    Of models that are `doubted`, by their ids, no credit is shown: the last touch is all. `until` (ms) is the newest of
    the days that are summed up.
    """
    found = [
        (trace.points[place].event_time, (user, slots[user], trace, place, credit))
        for user, trace in traces.items()
        if user in slots
        for place, credit in tracer.credits(trace).items()
    ]
    found.sort(key=lambda each: each[0], reverse=True)
    newest = []
    for time, which in found[:MOST_CONVERSIONS]:
        conversion = _conversion(*which)
        if tracer.model_at(time).id in doubted:
            conversion |= {"parts": []}
        newest.append(conversion)
    within = [tracer.model_at(time).id for time in _changes(tracer, until)]
    why = next((doubted[name].why for name in within if name in doubted), "")
    return {
        "conversions": newest,
        "more": len(found) - len(newest),
        "note": "" if found else _why_none([traces[user] for user in slots if user in traces], bool(slots)),
        "sums": _sums(sums, not why),
        "caution": f"Credit by the model is withheld. {plainly(why)}" if why else "",
        "title": f"Conversions of all users in the last {CREDITED_DAYS} days",
    }


def _changes(tracer: Tracer, until: int | None) -> list[int]:
    """Moments (ms) at which each of the models is valid that credit the days that are summed up."""
    starts = tracer.models.starts.tolist()
    if until is None:
        return [max(starts, default=0)]
    first = until - (CREDITED_DAYS - 1) * DAY
    return [until, first // DAY * DAY, *(start for start in starts if first < start <= until)]


def basis(model: Model) -> str:
    """Which propensity conversions are credited by, where it is not the one that the rest of the page shows."""
    short = model.attribution.horizon if model.attribution else model.horizon
    if short == model.horizon:
        return f"Credit looks at the chance of a conversion within {duration(short)}, as the curve does."
    return (
        f"Credit looks at the chance of a conversion within {duration(short)}; the curve, Why and What next at that "
        f"within {duration(model.horizon)}. So their numbers differ."
    )


def _why_none(shown: Sequence[Trace], is_chosen: bool) -> str:
    """Why there is no conversion to tell about."""
    if not shown:
        return NOT_STORED if is_chosen else NOBODY
    if any(TYPE_OF[point.event_type].is_conversion for trace in shown for point in trace.points):
        return "Unavailable: too many events before these users' conversions are no longer stored."
    if any(trace.sequence.before for trace in shown):
        return "No conversion is among the newest events of the users shown."
    return "The users shown have not converted yet."


def _conversion(user: str, slot: int, trace: Trace, place: int, credit: Credit) -> Facts:
    point, shares = trace.points[place], dict[tuple[str, str], float]()
    for at, share in zip(credit.touches.tolist(), credit.shares.tolist(), strict=True):
        touched = trace.points[at].event_type, trace.points[at].campaign
        shares[touched] = shares.get(touched, 0.0) + share
    order = sorted((each for each in shares if shares[each]), key=lambda each: -abs(shares[each]))
    parts = [(touch(*each), shares[each], look.MARKS[each[0]].colour) for each in order[:MOST_SEGMENTS]]
    if rest := order[MOST_SEGMENTS:]:
        parts.append((_others(len(rest)), sum(shares[each] for each in rest), look.OTHERS))
    parts.append((NO_TOUCH, credit.baseline, look.REST))
    last = trace.points[credit.touches[-1]] if len(credit.touches) else None
    whole = sum(max(value, 0.0) for _, value, _ in parts) or 1.0  # more than 1 where a touch has less than nothing
    return {
        "user": visible(user),
        "colour": look.USER_COLOURS[slot],
        "when": short_moment(point.event_time),
        "revenue": dollars(credit.revenue) if credit.revenue else "",
        "parts": [
            {"name": name, "value": f"{text}%", "width": round(max(value, 0.0) / whole * 100, 2), "colour": colour}
            for (name, value, colour), text in zip(parts, adding_up([part[1] for part in parts], 1.0), strict=True)
        ],
        "last": NO_TOUCH if last is None else touch(last.event_type, last.campaign),
        "last_colour": look.REST if last is None else look.MARKS[last.event_type].colour,
    }


def _sums(sums: Sequence[CreditSum], by_model: bool = True) -> list[Facts]:
    """What each campaign and type has, the greatest by the model first; what is nobody's comes last.

    Where the model's credit is withheld, the last touch's is all.
    """
    totals: dict[tuple[str, str], tuple[float, float]] = {}
    for each in sums:
        model, last = totals.get((each.type, each.campaign), (0.0, 0.0))
        own = each.conversions[_MODEL] if by_model else 0.0
        totals[each.type, each.campaign] = model + own, last + each.conversions[_LAST]
    nobody = totals.pop(("", ""), (0.0, 0.0))
    order = sorted(totals, key=lambda each: (-totals[each][0], 0.0 if by_model else -totals[each][1]))
    rows = [(touch(*each), look.MARKS[each[0]].colour, *totals[each]) for each in order[:MOST_SUMS]]
    if rest := [totals[each] for each in order[MOST_SUMS:]]:
        rows.append((_others(len(rest)), look.OTHERS, sum(model for model, _ in rest), sum(last for _, last in rest)))
    if sums:
        rows.append((NO_TOUCH, look.REST, *nobody))
    most = max((max(model, last) for _, _, model, last in rows), default=0.0) or 1.0
    return [
        {
            "name": name,
            "colour": colour,
            "model": _count(model) if by_model else None,
            "last": _count(last),
            "model_width": round(max(model, 0.0) / most * 100, 2),
            "last_width": round(max(last, 0.0) / most * 100, 2),
        }
        for name, colour, model, last in rows
    ]


def _count(conversions: float) -> str:
    """Many are told in whole ones, so that they fit into their column."""
    return number(conversions, 1 if abs(conversions) < 99_999.95 else 0)


def _others(count: int) -> str:
    return f"{count} other{'' if count == 1 else 's'}"
