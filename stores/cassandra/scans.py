"""Views of whole tables: read for every query while the table is small, in the background once it is large.

Cassandra orders a table by the hash of its key, so a query over all users (the most likely to convert, the most recent,
ids with a prefix) reads all of them. Secondary indexes would not order them either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

SMALL = 10_000
"""Rows up to which every query reads the table."""
_REST = 4.0
"""After a scan of a larger table there is none for this many times its own duration."""
_LEAST_REST = 1.0

View = TypeVar("View")


class Scan(Generic[View]):
    """A view of a table, for any number of threads.

    Args:
        read: reads the whole table.
        size: the number of rows in a view.

    >>> users = ["ann"]
    >>> scan = Scan(lambda: list(users), len)
    >>> users.append("bob")
    >>> scan.view()
    ['ann', 'bob']
    """

    def __init__(self, read: Callable[[], View], size: Callable[[View], int]) -> None:
        self._read, self._size = read, size
        self._lock = threading.Lock()
        self._view: View | None = None
        self._due = self._stale = 0.0
        self._running = False
        self._error: Exception | None = None

    def view(self) -> View:
        """The current table if it is small; else that of the last scan, while another scan runs.

        After two pauses without a query the last scan is too old, and the call waits for a new one.
        """
        with self._lock:
            error, self._error = self._error, None
            if error is not None:
                raise error
            now = time.monotonic()
            if self._view is None or self._size(self._view) <= SMALL or (not self._running and now >= self._stale):
                self._scan()
            elif not self._running and now >= self._due:
                self._running = True
                threading.Thread(target=self._scan_behind, name="scan", daemon=True).start()
            assert self._view is not None
            return self._view

    def _scan(self) -> None:
        began = time.monotonic()
        self._view = self._read()
        ended = time.monotonic()
        rest = max(_REST * (ended - began), _LEAST_REST)
        self._due, self._stale = ended + rest, ended + 2 * rest

    def _scan_behind(self) -> None:
        try:
            self._scan()
        except Exception as error:  # raised at the next query
            self._error = error
        finally:
            self._running = False
