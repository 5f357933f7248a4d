"""The elements of a JSON array, or objects behind each other, of which a piece is in memory at a time."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

MOST = 1 << 21
"""Length of one element at the most."""
_KEPT = 1_000
_PIECE = 1 << 20
_SIGNS = re.compile(r'[\[\]{}",\\\s]')


class Element(NamedTuple):
    """A value and its text; or `detail`, the reason why there is no value, and the beginning of the text."""

    value: Any
    text: str
    detail: str = ""


def elements(file: IO[bytes], decoder: json.JSONDecoder) -> Iterator[Element]:
    """Elements in their order. One that is broken, or longer than `MOST`, is an element of its own without a value.

    Bytes that are not UTF-8 become surrogates (`surrogateescape`).

    Raises:
        ValueError: the array is not closed, or the end of a broken element cannot be found.
    """
    decode = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape").decode
    text = decode(file.read(_PIECE)).removeprefix("\ufeff").lstrip()
    is_array, over = text[:1] == "[", False
    at = int(is_array)
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if is_array and text[at : at + 1] == "]":
            return
        if over and at >= len(text):
            if is_array:
                raise ValueError("an array that is not closed")
            return
        try:
            value, end = decoder.raw_decode(text, at)
            if end < len(text) or over:
                yield Element(value, text[at:end])
                at = end
                continue
        except (ValueError, RecursionError) as error:
            scan = _Scan()
            behind = scan.end(text, at)
            if behind is not None:
                yield Element(None, text[at : min(behind, at + _KEPT)], f"not JSON: {error}")
                at = behind
                continue
            if len(text) - at > MOST and not over:
                kept, size = text[at : at + _KEPT], len(text) - at
                while behind is None and not over:
                    piece = file.read(_PIECE)
                    over, text = not piece, decode(piece, not piece)
                    behind = scan.end(text, 0)
                    size += len(text) if behind is None else behind
                if behind is not None:
                    yield Element(None, kept, f"an element of {size:,} characters, cut short here")
                    at = behind
                    continue
            if over:
                raise ValueError(f"not closed, or not JSON from here on: {text[at : at + 40]!r}: {error}") from None
        piece = file.read(_PIECE)
        over = not piece
        text, at = text[at:] + decode(piece, over), 0


class _Scan:
    """Finds the end of an element by its brackets and quotes, piece by piece."""

    def __init__(self) -> None:
        self._depth, self._quoted, self._escaped = 0, False, False

    def end(self, text: str, at: int) -> int | None:
        """The place behind the element; None where the text ends before it.

        Raises:
            ValueError: a line ends within a string, so that a quote is missing somewhere.
        """
        if self._escaped and at < len(text):
            self._escaped, at = False, at + 1
        while (found := _SIGNS.search(text, at)) is not None:
            sign, place, at = found[0], found.start(), found.end()
            if self._quoted:
                if sign == "\\":
                    if at == len(text):
                        self._escaped = True
                    at += 1
                elif sign == '"':
                    self._quoted = False
                elif sign in "\r\n":
                    raise ValueError(
                        f"not JSON: a quote is not closed before {text[max(place - 40, 0) : place]!r} ends"
                    )
            elif sign == '"':
                self._quoted = True
            elif sign in "[{":
                self._depth += 1
            elif self._depth and sign in "]}":
                self._depth -= 1
                if not self._depth:
                    return at
            elif not self._depth and sign in ",]":
                return place
        return None
