"""What the parts of the page show, worked out from a snapshot: plain data, no Panel."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from model.scoring.propensity import Model
from viz import look
from viz.feed import Snapshot, Standing
from viz.trace import Trace, Tracer
from viz.words import NOT_BEGUN, TYPE_NAMES, duration, moment, percent, short_moment, speed, visible

Facts = dict[str, Any]


def figures(snapshot: Snapshot, model: Model, now: int | None, rate: float) -> Facts:
    """The head of the page: what a propensity is, and how the stream is doing."""
    dead = snapshot.summary.dead_letters
    sentence = f"The probability of a conversion within {duration(model.horizon)} of that moment."
    return {
        "sentence": sentence,
        "figures": [
            _figure("Stream time", "–" if now is None else moment(now), "That of the newest event, moved on"),
            _figure("Stream speed", "–" if now is None else speed(rate), "Event time that passes in a second"),
            _figure("Users", f"{snapshot.summary.users:,}", _users_hint(snapshot.set_apart)),
            _figure("Dead letters", f"{dead:,}", "Messages that were not valid events", warn=dead > 0),
            _figure("Model", visible(model.id), sentence),
        ],
    }


def _figure(label: str, value: str, hint: str, *, warn: bool = False) -> Facts:
    return {"label": label, "value": value, "hint": hint, "warn": warn}


def notice(snapshot: Snapshot, slots: Mapping[str, int]) -> Facts:
    """What is said over the chart where there is nothing to draw, or where something is wrong."""
    if snapshot.problem:
        facts = _notice("The store cannot be read", snapshot.problem, "The page goes on by itself once it can.")
        return facts | {"beside": snapshot.newest is not None}
    if snapshot.newest is None:
        return {
            "title": "Waiting for the first event",
            "lines": [
                {"text": "The store is empty. Start the simulated stream with ", "code": "make run"},
                {
                    "text": "or load a log with ",
                    "code": "ADSTREAMS_SOURCE=file ADSTREAMS_FILE=events.csv python -m bytewax.run dataflow",
                },
                {"text": "This page comes alive as soon as events arrive.", "code": ""},
            ],
        }
    if not slots:
        return _notice("Nobody is shown", "Find a user by id, or choose one from the lists.")
    if not any(user in snapshot.traces for user in slots) and snapshot.followed >= set(slots):
        names = ", ".join(f"“{visible(user)}”" for user in slots)
        return _notice(f"There is no user {names} in the store", "A curve appears here with the first event.")
    return {}


def _notice(title: str, *lines: str) -> Facts:
    return {"title": title, "lines": [{"text": line, "code": ""} for line in lines]}


def chips(
    traces: Mapping[str, Trace], slots: Mapping[str, int], tracer: Tracer, now: int | None, followed: Collection[str]
) -> list[Facts]:
    """The chosen users, with their colour and their propensity now; those not `followed` yet were not looked for."""
    return [_chip(user, slot, traces.get(user), tracer, now, user in followed) for user, slot in slots.items()]


def _chip(user: str, slot: int, trace: Trace | None, tracer: Tracer, now: int | None, is_asked: bool) -> Facts:
    propensity = None if trace is None or now is None else tracer.at(trace, now)
    if trace is None and not is_asked:
        hint = "Loading this user from the store"
    elif trace is None:
        hint = "The store has no event of this user"
    elif not trace.has_begun:
        hint = NOT_BEGUN
    elif propensity is None:
        hint = "Too many of this user's events are no longer stored to draw the curve"
    else:
        hint = f"{trace.points[-1].seen:,} events so far"
    others = {} if trace is None else {p.model_id for p in trace.points}.difference(tracer.models.ids)
    if others:
        hint += f"; some were scored by another model ({', '.join(sorted(map(visible, others)))})"
    unknown = "not in the store" if is_asked else "…"
    value = unknown if trace is None else "–" if propensity is None else percent(propensity)
    return {
        "user": user,
        "name": visible(user),
        "colour": look.USER_COLOURS[slot],
        "value": value,
        "hint": hint,
        "known": trace is not None or not is_asked,
    }


def _users_hint(set_apart: int) -> str:
    hint = "Users with an event in the store"
    return f"{hint}; {set_apart:,} of the likeliest are set apart as automated, and not listed" if set_apart else hint


def ranking(snapshot: Snapshot, which: str, slots: Mapping[str, int], tracer: Tracer, now: int) -> list[Facts]:
    """The users of a list, `likely` or `recent`, with their propensity now and, where shown, their colour."""
    listed = []
    for standing in snapshot.likely if which == "likely" else snapshot.recent:
        trace = snapshot.traces.get(standing.user_id, standing.trace)
        listed.append((standing, tracer.at(trace.until(now), now)))
    if which == "likely":
        listed.sort(key=lambda pair: pair[1] or 0.0, reverse=True)
    return [_row(standing, slots, propensity) for standing, propensity in listed]


def _row(standing: Standing, slots: Mapping[str, int], propensity: float | None) -> Facts:
    return {
        "user": standing.user_id,
        "name": visible(standing.user_id),
        "value": "–" if propensity is None else percent(propensity),
        "when": f"{TYPE_NAMES[standing.event_type]}, {short_moment(standing.event_time)}",
        "colour": look.USER_COLOURS[slots[standing.user_id]] if standing.user_id in slots else "",
    }


def legend(hidden: Iterable[str]) -> list[Facts]:
    """The types of event, as the legend explains them."""
    off = set(hidden)
    return [
        {
            "key": kind,
            "title": TYPE_NAMES[kind],
            "shape": mark.shape,
            "colour": mark.colour,
            "shown": kind not in off,
        }
        for kind, mark in look.MARKS.items()
    ]
