"""Numbers and texts as people read them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from schemas.event_types import EVENT_TYPES
from schemas.events import MISSING

NOBODY = "Choose a user to see this."
NOT_STORED = "Nothing is known of the users shown yet."
ASKED = "Loading this user from the store."
NOT_BEGUN = "This user's first event is later than the time shown."
TYPE_NAMES = {each.code: each.singular.capitalize() for each in EVENT_TYPES}
_UNITS = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000))
_HUGE = 1e12
"""From here on an amount is told in its leading digits."""
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of what cannot be seen, or turns the direction of others."""
_JOINER, _EMOJI, _SKIN, _AS_EMOJI = "\u200d", "So", "Sk", "\ufe0f"


def percent(share: float) -> str:
    """A share in percent, three digits of it.

    >>> percent(0.1234), percent(0.01234), percent(0.00004), percent(1.0)
    ('12.3%', '1.23%', '<0.01%', '100%')
    """
    if 0 < share < 0.0001:
        return "<0.01%"
    if share < 0.09995:
        return f"{share:.2%}"
    return "100%" if share >= 0.9995 else f"{share:.1%}"


def points(change: float) -> str:
    """A change of a share, in percentage points.

    >>> points(0.0421), points(-0.001), points(0.000001)
    ('+4.21 points', '-0.10 points', '+0.00 points')
    """
    return f"{change * 100:+.2f} points"


def adding_up(parts: Sequence[float], whole: float) -> list[str]:
    """Parts of a share in percentage points, with the decimals of `percent`, rounded so that what is read adds up too.

    >>> percent(0.5), adding_up([1 / 6, 1 / 6, 1 / 6], 0.5)
    ('50.0%', ['16.7', '16.7', '16.6'])
    >>> percent(0.02), adding_up([0.03, -0.01], 0.02)
    ('2.00%', ['3.00', '−1.00'])
    """
    decimals = 2 if whole < 0.09995 else 1
    exact = [part * 100 * 10**decimals for part in parts]
    units = [math.floor(each) for each in exact]
    order = sorted(range(len(units)), key=lambda place: units[place] - exact[place])
    for place in order[: round(whole * 100 * 10**decimals) - sum(units)]:
        units[place] += 1
    return [number(unit / 10**decimals, decimals) for unit in units]


def number(value: float, decimals: int) -> str:
    """A number with a minus sign that can be seen, and without one where it is rounded to nothing.

    >>> number(-1.234, 1), number(-0.01, 1)
    ('−1.2', '0.0')
    """
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if not float(text.replace(",", "")) else text.replace("-", "\N{MINUS SIGN}")


def dollars(amount: float) -> str:
    """An amount of money, small ones to a tenth of a cent, huge ones in short.

    >>> dollars(1234.5), dollars(-0.0123), dollars(1.7e308)
    ('$1,234.50', '−$0.012', '$1.7e308')
    """
    size = abs(amount)
    digits = f"{size:.1e}".replace("e+", "e") if size >= _HUGE else f"{size:,.{2 if size >= 0.1 or not size else 3}f}"
    text = f"${digits}"
    return f"\N{MINUS SIGN}{text}" if amount < 0 else text


def touch(kind: str, campaign: str) -> str:
    """What a touch is called.

    >>> touch("PS", "Brand"), touch("IM", "")
    ('Paid search, Brand', 'Impression')
    """
    return TYPE_NAMES[kind] if campaign in ("", MISSING) else f"{TYPE_NAMES[kind]}, {visible(campaign)}"


def ago(span: int) -> str:
    """How long ago something was, from ms, in the largest unit that it fills.

    >>> ago(7_300_000), ago(90_000), ago(0)
    ('2 hours ago', '1 minute ago', 'just now')
    """
    name, unit = next(((n, u) for n, u in _UNITS if span >= u), ("", 0))
    if not unit:
        return "just now"
    count = span // unit
    return f"{count:,} {name}{'' if count == 1 else 's'} ago"


def moment(time: int) -> str:
    """A time in ms since 1970 to the second.

    >>> moment(1_497_535_380_000)
    'Thu 15 Jun 2017, 14:03:00 UTC'
    """
    when = datetime.fromtimestamp(time // 1_000, UTC)
    return f"{when:%a} {when.day} {when:%b %Y, %H:%M:%S} UTC"


def short_moment(time: int) -> str:
    """A time in ms since 1970 to the minute.

    >>> short_moment(1_497_535_380_000)
    '15 Jun 14:03'
    """
    when = datetime.fromtimestamp(time // 1_000, UTC)
    return f"{when.day} {when:%b %H:%M}"


def duration(span: timedelta) -> str:
    """A duration in its largest whole unit.

    >>> duration(timedelta(days=7)), duration(timedelta(hours=36)), duration(timedelta(hours=1))
    ('7 days', '36 hours', '1 hour')
    """
    milliseconds = span // timedelta(milliseconds=1)
    name, unit = next(((n, u) for n, u in _UNITS if milliseconds % u == 0), ("millisecond", 1))
    count = milliseconds // unit
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def speed(milliseconds: float) -> str:
    """How fast a stream runs, from the ms of event time that pass in a second.

    >>> speed(0), speed(1_040), speed(1_200_000), speed(86_400_000 * 2.5)
    ('standing still', 'real time', '20 minutes a second', '2.5 days a second')
    """
    if milliseconds <= 0:
        return "standing still"
    if 800 < milliseconds < 1_250:
        return "real time"
    name, unit = next(((n, u) for n, u in _UNITS if milliseconds >= u), _UNITS[-1])
    count = milliseconds / unit
    number = f"{count:.0f}" if count >= 9.95 else f"{count:.1f}".removesuffix(".0")
    return f"{number} {name}{'' if number == '1' else 's'} a second"


def visible(text: str) -> str:
    r"""A text whose invisible and direction-changing characters are shown, but for the joiners of emoji.

    >>> visible("a" + chr(0) + "b" + chr(10) + chr(0x202E) + "an" + chr(0x200B) + "n" + chr(0xE0067))
    'a␀b␊\\u202ean\\u200bn\\U000e0067'
    >>> visible("an" + chr(0x200D) + "n"), len(visible("👩" + chr(0x200D) + "🚀"))
    ('an\\u200dn', 3)
    """
    return "".join(
        letter if letter == _JOINER and _joins(text, place) else _visible(letter) for place, letter in enumerate(text)
    )


def _joins(text: str, place: int) -> bool:
    """Whether what is before and behind a place are emoji."""
    before, after = text[max(place - 2, 0) : place].rstrip(_AS_EMOJI)[-1:], text[place + 1 : place + 2]
    if not before or not after:
        return False
    return unicodedata.category(before) in (_EMOJI, _SKIN) and unicodedata.category(after) == _EMOJI


def _visible(letter: str) -> str:
    code = ord(letter)
    if code < 0x20:
        return chr(0x2400 + code)
    if unicodedata.category(letter) in _UNSEEN:
        return "␡" if code == 0x7F else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return letter
