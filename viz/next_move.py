"""What to do next with a user: what each action would gain, which is worth it, and what is only an association."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from model.actions.catalogue import Response, is_held_out
from model.actions.next_best import Option
from model.scoring.belief import Belief
from viz.graded import plainly
from viz.words import TYPE_NAMES, dollars, duration, number, visible

Facts = dict[str, Any]
SET_APART = "Set apart: more events within 24 hours than a person makes, so no action is recommended."
NO_ACTIONS = "No actions are configured: ADSTREAMS_ACTIONS names a file with yours and their costs."
EXAMPLES = "Actions and costs are examples, made up for the simulated world."
WITHHELD = "No advice: the model is not believed"
CAUTION = "Association, not proven effect: confirm with the hold-out."
HELD_OUT = "This user is in the hold-out (one user in ten): do nothing, so that the effect on the others can be seen."
NOT_HELD_OUT = "This user is not in the hold-out (one user in ten)."


def withheld(belief: Belief) -> Facts:
    """In place of advice, why there is none."""
    return {"verdict": WITHHELD, "good": False, "caution": plainly(belief.why)}


def next_move(
    user_id: str, options: Sequence[Option], horizon: timedelta, set_apart: bool = False, examples: bool = False
) -> Facts:
    """The impressions that can be bought, the greatest net value first, and what a click or search is worth.

    For a user who is `set_apart` as automated there are none. What would be best for a user who is held out is not
    marked: nothing is to be done. `examples` says that the actions are nobody's own.
    """
    if set_apart:
        return {"note": SET_APART}
    if not options:
        return {"note": NO_ACTIONS}
    bought = sorted((each for each in options if each.net is not None), key=lambda each: -(each.net or 0.0))
    best = next((each for each in bought if each.best), None)
    held_out = is_held_out(user_id)
    told = best or max(bought or options, key=lambda each: each.gain)
    verdict = _why_none(bought) if best is None else f"Best now: {visible(best.action.name)}"
    return {
        "verdict": "Leave alone: held out" if held_out else verdict,
        "good": best is not None and not held_out,
        "options": [_option(each, held_out) for each in bought],
        "bids": [_bid(each) for each in options if isinstance(each.action, Response)],
        "sentence": f"{_sentence(told)} {CAUTION}",
        "hold_out": f"{HELD_OUT if held_out else NOT_HELD_OUT}{f' {EXAMPLES}' if examples else ''}",
        "horizon": f"Gain in the propensity of {duration(horizon)}, in points, with its 80% interval",
    }


def _why_none(bought: Sequence[Option]) -> str:
    """What keeps each action from being the best."""
    promising = [each for each in bought if (each.net or 0.0) > 0]
    if not promising:
        return "Nothing is worth its cost now"
    if all(each.capped for each in promising):
        return "What is worth its cost was shown often enough"
    return "Nothing is certain enough now"


def _option(option: Option, held_out: bool) -> Facts:
    best = option.best and not held_out
    doubtful = option.low is not None and option.low <= 0 < (option.net or 0.0)
    tag = "Best" if best else "Cap reached" if option.capped else "Not certain" if doubtful else ""
    return _gain(option) | {"net": dollars(option.net or 0.0), "tag": tag, "best": best}


def _bid(option: Option) -> Facts:
    return _gain(option) | {"bid": dollars(max(option.worth, 0.0))}


def _gain(option: Option) -> Facts:
    return {
        "name": visible(option.action.name),
        "gain": f"{'+' if option.gain >= 0 else ''}{_points(option.gain)}",
        "interval": _interval(option),
    }


def _interval(option: Option) -> str:
    return "" if option.low is None or option.high is None else f"{_points(option.low)} to {_points(option.high)}"


def _points(gain: float) -> str:
    return number(gain * 100, 1 if abs(gain) >= 0.0995 else 2)


def _sentence(option: Option) -> str:
    """What the model has learnt of users with this history and one event more."""
    action, interval = option.action, _interval(option)
    interval = f" (80% interval: {interval})" if interval else ""
    campaign = f" of {visible(action.campaign)}" if action.campaign else ""
    more = f"{_points(abs(option.gain))} points {'more' if option.gain >= 0 else 'less'} often"
    event = TYPE_NAMES[action.type].lower()
    return f"Users with this history plus one {event}{campaign} converted {more}{interval}."
