"""A table of distinct texts, numbered in the order in which they came: user ids and campaigns of a bucket.

Open addressing over XXH3-64: a cell is the upper half of the hash and the text's number + 1. The text itself decides,
so that two texts are never taken for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.sequences.arrays import grown
from schemas.compiled.compiling import compiled
from schemas.compiled.hashing import xxh3
from schemas.messages import pieces

_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_MOST_BYTES = np.iinfo(np.int32).max


class Texts(NamedTuple):
    """`cells` (a power of two), `stops` (where each text ends in `data`), `data`, and `used` = [texts, bytes]."""

    cells: NDArray[np.uint64]
    stops: NDArray[np.int32]
    data: NDArray[np.uint8]
    used: NDArray[np.int64]

    @classmethod
    def empty(cls) -> Texts:
        """A table of no texts."""
        return cls(np.zeros(16, np.uint64), np.empty(8, np.int32), np.empty(64, np.uint8), np.zeros(2, np.int64))

    @classmethod
    def of(cls, stops: NDArray[np.int32], data: NDArray[np.uint8]) -> Texts:
        """A table of given texts, as `kept` gave them."""
        used = np.array([len(stops), len(data)], np.int64)
        cells = np.zeros(_cells_for(len(stops)), np.uint64)
        table = cls(cells, stops.copy(), data.copy(), used)
        _index(table)
        return table

    def kept(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """All that must be kept of the table."""
        return self.stops[: self.used[0]].copy(), self.data[: self.used[1]].copy()

    def without(self, numbers: Sequence[int]) -> Texts:
        """A table without some of the texts; those behind them move up."""
        stops, data = self.kept()
        lengths, stays = np.diff(stops, prepend=0), np.ones(len(stops), np.bool_)
        stays[numbers] = False
        return Texts.of(np.cumsum(lengths[stays], dtype=np.int32), data[np.repeat(stays, lengths)])

    def hashes(self) -> NDArray[np.uint64]:
        """The XXH3-64 of every text."""
        found: NDArray[np.uint64] = _hashes(self)
        return found

    def with_room(self, texts: int, size: int) -> Texts:
        """This table, or a larger copy, with room for so many more texts and bytes."""
        count, filled = self.used.tolist()
        if filled + size > _MOST_BYTES:
            raise OverflowError("more than 2 GB of text in one bucket: use more buckets (ADSTREAMS_BUCKETS)")
        crowded = 10 * (count + texts) > 7 * len(self.cells)
        if count + texts <= len(self.stops) and filled + size <= len(self.data) and not crowded:
            return self
        stops = grown(self.stops, count, count + texts)
        data = grown(self.data, filled, filled + size)
        if not crowded:
            return Texts(self.cells, stops, data, self.used)
        table = Texts(np.zeros(_cells_for(count + texts), np.uint64), stops, data, self.used)
        _index(table)
        return table

    def __len__(self) -> int:
        return int(self.used[0])

    def text(self, number: int) -> str:
        """The text of a number."""
        start = self.stops[number - 1] if number else 0
        return self.data[start : self.stops[number]].tobytes().decode()


def texts_of(stops: NDArray[np.int32], data: NDArray[np.uint8]) -> list[bytes]:
    """The texts of a table as `kept` gives it."""
    return pieces(data.tobytes(), np.concatenate(([0], stops)))


def _cells_for(texts: int) -> int:
    return max(16, 1 << int(texts * 10 // 7).bit_length())


@compiled
def _place(cells, hash_, number):
    mask = np.uint64(len(cells) - 1)
    at = hash_ & mask
    while cells[at] != 0:
        at = (at + np.uint64(1)) & mask
    cells[at] = ((hash_ >> _HALF) << _HALF) | np.uint64(number + 1)


@compiled
def _index(table):
    start = 0
    for number in range(table.used[0]):
        stop = table.stops[number]
        _place(table.cells, xxh3(table.data, start, stop), number)
        start = stop


@compiled
def _hashes(table):
    found, start = np.empty(table.used[0], np.uint64), 0
    for number in range(table.used[0]):
        found[number] = xxh3(table.data, start, table.stops[number])
        start = table.stops[number]
    return found


@compiled
def intern_text(table, data, start, stop, hash_):
    """The number of the text `data[start:stop]`, whose XXH3-64 is `hash_`; a new text gets the next number."""
    cells, stops, held = table.cells, table.stops, table.data
    mask = np.uint64(len(cells) - 1)
    at = hash_ & mask
    while cells[at] != 0:
        cell = cells[at]
        if cell >> _HALF == hash_ >> _HALF:
            number = np.int64(cell & _LOW) - 1
            first = np.int64(stops[number - 1]) if number > 0 else np.int64(0)
            same = stops[number] - first == stop - start
            if same:
                for byte in range(stop - start):
                    if held[first + byte] != data[start + byte]:
                        same = False
                        break
            if same:
                return number
        at = (at + np.uint64(1)) & mask
    number = table.used[0]
    filled = table.used[1]
    for byte in range(stop - start):
        held[filled + byte] = data[start + byte]
    table.used[0] = number + 1
    table.used[1] = filled + (stop - start)
    stops[number] = table.used[1]
    _place(cells, hash_, number)
    return number


@compiled
def intern_name(table, name):
    """The number of a whole text (uint8)."""
    return intern_text(table, name, 0, len(name), xxh3(name, 0, len(name)))


@compiled
def is_greater_text(table, left, right):
    """Whether text number `left` is greater than text number `right`, byte by byte."""
    stops, held = table.stops, table.data
    left_start = np.int64(stops[left - 1]) if left > 0 else np.int64(0)
    right_start = np.int64(stops[right - 1]) if right > 0 else np.int64(0)
    left_size, right_size = stops[left] - left_start, stops[right] - right_start
    for byte in range(min(left_size, right_size)):
        a, b = held[left_start + byte], held[right_start + byte]
        if a != b:
            return a > b
    return left_size > right_size
