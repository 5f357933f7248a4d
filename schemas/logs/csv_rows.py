"""Whole rows of a CSV: where each ends, what is too long for one, and what is left of a file that breaks off."""

from __future__ import annotations

import io
import re
from typing import IO

import numpy as np

from schemas.compiled.compiling import compiled
from schemas.logs.log_bytes import BROKEN

BLOCK = 1 << 22
"""Bytes of CSV read at a time; a row has at most half of them."""
_START, _PLAIN, _QUOTED, _CLOSED = range(4)
_QUOTE, _LINE_FEED, _RETURN = 0x22, 0x0A, 0x0D
_NO_QUOTE = 256
_KEPT = 1_000
"""Bytes that are kept of a row that is too long."""
_MARK = b"\x1a\x1a"
_BEGUN = re.compile(r'(?:\A|[\t\r\n])"')
_QUOTED_VALUE = re.compile(_BEGUN.pattern + r'(?:[^"]|"")*"(?=[\t\r\n]|\Z)')
"""A value in quotes, with what parts it from the one before."""


def has_quotes(text: str) -> bool:
    r"""Whether quotes stand around values in text between tabs.

    They do where each value that begins with one also ends with one, and none goes over lines that are whole rows by
    themselves; otherwise quotes are characters like others.

    >>> has_quotes('id\tname\n1\t"big sale\n2\t"x" y\n'), has_quotes('id\tname\n1\t"a, b"\n')
    (False, True)
    >>> has_quotes('id\tname\n1\t"two\nlines"\n'), has_quotes('id\tname\n1\t"inch\n2\tfoot"\n')
    (True, False)
    """
    values = [found.group() for found in _QUOTED_VALUE.finditer(text)]
    if not values or _BEGUN.search(_QUOTED_VALUE.sub("\t", text)):
        return False
    lines = [line for line in text.splitlines() if line]
    are_rows = len({line.count("\t") for line in lines}) == 1
    return not (are_rows and any("\n" in value[1:] for value in values))


@compiled
def _scan(data, at, mode, delimiter, quote, size, most):
    """Read on at `at`, `size` bytes into a row, as CSV's quotes have it; a `quote` that is no byte is none.

    Returns where it stopped, the end of the last whole row (0 where there is none), and the mode: it stops at the end
    of the data, or where a row gets longer than `most`.
    """
    end = 0
    while at < len(data) and size <= most:
        byte = data[at]
        at += 1
        size += 1
        if mode == _QUOTED:
            if byte == quote:
                mode = _CLOSED
        elif byte in (_LINE_FEED, _RETURN):
            end, size, mode = at, 0, _START
        elif byte == delimiter:
            mode = _START
        elif byte == quote and mode in (_START, _CLOSED):
            mode = _QUOTED
        else:
            mode = _PLAIN
    return at, end, mode


class CsvRows(io.RawIOBase):
    """The whole rows of a file that may break off: `failure` is why; what is left of its last row is lost.

    A row that is longer than half a `BLOCK` becomes one of a single field, from which `too_long` tells its size: it
    ends with its line where it is quoted, since what follows is read again if a quote was not closed. Where the text
    is not quoted, quotes are bytes like others.
    """

    def __init__(self, file: IO[bytes], delimiter: bytes = b",", *, is_quoted: bool = True) -> None:
        self._file, self._delimiter, self._quote = file, delimiter[0], _QUOTE if is_quoted else _NO_QUOTE
        self._ready, self._rest, self._mode = bytearray(), b"", _START
        self._discarded = 0
        self._head = b""
        self.failure: Exception | None = None
        self._ended = self._over = False
        self._is_first = True

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of what is whole; none at the end."""
        while not self._ready and self.failure is None and not self._ended and not self._over:
            try:
                piece = self._file.read1(BLOCK)  # type: ignore[attr-defined]
            except BROKEN as error:
                self.failure = error
                break
            if piece:
                self._take(piece)
            else:
                self._over = True
                self._finish()
        size = len(self._ready) if size < 0 else size
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        return b"" if self._ended else taken

    def end(self) -> None:
        """Give no more rows."""
        self._ended = True

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        super().close()

    def _take(self, piece: bytes) -> None:
        if self._is_first:  # a byte order mark is no part of the first field, which may be quoted
            self._is_first = False
            if piece.startswith(b"\xef\xbb\xbf"):
                piece = piece[3:]
        while piece:
            if self._discarded:
                piece = self._discard(piece)
                continue
            data, most = np.frombuffer(piece, np.uint8), BLOCK // 2
            at, end, mode = _scan(data, 0, self._mode, self._delimiter, self._quote, len(self._rest), most)
            if end:
                self._ready += self._rest + piece[:end]
                self._rest = b""
            row, self._mode = self._rest + piece[end:at], mode
            if len(row) <= most:
                self._rest = row
                return
            self._rest, piece = b"", piece[at:]
            line = row.find(b"\n") + 1
            if line:  # an unclosed quote: what follows its line may be rows
                self._mark(row[:_KEPT], line)
                piece = row[line:] + piece
            else:
                self._head, self._discarded = row[:_KEPT], len(row)

    def _discard(self, piece: bytes) -> bytes:
        """Go on to the end of a line that is too long; what is behind it."""
        end = piece.find(b"\n") + 1
        self._discarded += end or len(piece)
        if not end:
            return b""
        self._mark(self._head, self._discarded)
        return piece[end:]

    def _mark(self, head: bytes, size: int) -> None:
        """Put a row of one field in a long one's place."""
        self._ready += stand_in(size, head.splitlines()[0])
        self._discarded, self._mode = 0, _START

    def _finish(self) -> None:
        if self._discarded:
            self._mark(self._head, self._discarded)
        while self._mode == _QUOTED and b"\n" in self._rest:
            row, self._rest = self._rest, b""
            line = row.find(b"\n") + 1
            self._mark(row[:_KEPT], line)
            self._take(row[line:])
        self._ready += self._rest
        self._rest = b""


def stand_in(size: int, head: bytes) -> bytes:
    """The row of one field in the place of one that is too long: in hexadecimal, its delimiters part no fields."""
    return _MARK + str(size).encode() + _MARK + head.hex().encode() + b"\n"


def too_long(text: bytes) -> tuple[int, bytes] | None:
    """The size and the first bytes of a row that was too long, from the one in its place; None for any other row."""
    if not text.startswith(_MARK):
        return None
    size, _, head = text[len(_MARK) :].partition(_MARK)
    return int(size), bytes.fromhex(head.decode())
