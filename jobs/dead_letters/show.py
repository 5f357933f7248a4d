"""Dead letters for a person: a table of many, and all about one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.clusters import open_registry
from jobs.console import output, say, seen
from jobs.dead_letters.keeping import keeper_of, parse_place, place_of
from schemas.avro.codec import Codec
from schemas.dead_letters import REASONS, DeadLetter
from schemas.erasures import row_of
from schemas.errors import JobError
from settings import Settings


def list_letters(settings: Settings, reason: str | None, count: int) -> None:
    """Print the first `count` letters in the order of their places, of one reason or all, and totals by reason."""
    letters = [each for each in keeper_of(settings).letters() if reason in (None, each.letter.reason)]
    if not letters:
        say("no dead letters" if reason is None else f"no dead letters with the reason {reason}")
        return
    timed = any(each.time is not None for each in letters)
    table = Table("place", "reason", "detail", *(["rejected"] if timed else []), box=None, header_style="bold")
    table.columns[0].overflow = "fold"
    for each in letters[:count]:
        cells = [place_of(each.letter), each.letter.reason, each.letter.detail]
        table.add_row(*map(seen, [*cells, *([_moment(each.time)] if timed else [])]))
    console = output()
    console.print(table)
    totals = Counter(each.letter.reason for each in letters)
    if len(letters) > count:
        console.print(f"… and {len(letters) - count:,} more", highlight=False)
    console.print()
    for name, number in totals.most_common():
        console.print(seen(f"{number:,} {name}: {REASONS.get(name, 'a reason that this version does not know')}"))


def show_letter(settings: Settings, place: str) -> None:
    """Print all of a letter: why it was rejected, its bytes, and what of them can be decoded.

    Raises:
        JobError: there is no such letter.
    """
    found = keeper_of(settings).letter(*parse_place(place))
    if found is None:
        raise JobError(f"{place}: no such dead letter")
    letter, console = found.letter, output()
    with open_registry(settings) as registry:
        decoded = _decoded(letter, Codec(lookup=registry, time_unit=settings.time_unit))
    known = {
        "place": place_of(letter),
        "reason": f"{letter.reason}: {REASONS.get(letter.reason, 'a reason that this version does not know')}",
        "detail": letter.detail,
        "rejected": _moment(found.time),
        "payload": f"{len(letter.payload):,} bytes",
    }
    _print_pairs(console, known)
    for line in hex_dump(letter.payload):
        console.print(seen(f"  {line}"))
    _print_pairs(console, decoded)


def _decoded(letter: DeadLetter, codec: Codec) -> dict[str, Any]:
    """What a payload says, and why it says no more."""
    if (row := row_of(letter)) is not None:
        return row
    fields, problem = codec.readable(letter.payload)
    return fields | ({} if problem is None else {"": str(problem)})


def hex_dump(payload: bytes) -> list[str]:
    """Bytes for a person: offset, 16 bytes a line in hexadecimal, and as far as they are that, as ASCII.

    >>> hex_dump(b"ad-streams")
    ['00000000  61 64 2d 73 74 72 65 61 6d 73                    ad-streams']
    """
    lines = []
    for at in range(0, len(payload), 16):
        part = payload[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{at:08x}  {part.hex(' '):<47}  {text}")
    return lines


def _print_pairs(console: Console, pairs: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in pairs.items():
        table.add_row(seen(name), seen(str(value)))
    console.print(table)


def _moment(time: int | None) -> str:
    if time is None:
        return "unknown"
    try:
        return datetime.fromtimestamp(time / 1000, UTC).isoformat(sep=" ", timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{time} ms"
