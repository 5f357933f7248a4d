"""An epoch that Bytewax cannot save: one plain line in place of a page of Rust's.

Nothing of ours takes part in the saving, so there is nothing to catch: what its native code writes to standard error is
read.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import re
import sys
import threading
from collections.abc import Callable

_PANIC = re.compile(rb"thread '.*' panicked at ")
_REFUSED = re.compile(rb'SqliteFailure\(Error \{ code: (\w+),.*?(?:Some\("(.*)"\)|None)\)')


class NativeErrors:
    """Standard error as native code sees it. What Python writes goes where it always did, past this.

    Args:
        report: called in another thread with the reason why SQLite refused a write that native code did not expect
            to fail.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report, self._own = report, os.dup(2)
        reading, writing = os.pipe()
        with contextlib.suppress(OSError):  # so much can be written while nobody reads, as in a crash
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
        os.dup2(writing, 2)
        os.close(writing)
        sys.stderr = os.fdopen(os.dup(self._own), "w", buffering=1, errors="backslashreplace")
        faulthandler.enable(self._own)  # its report of a crash must not wait in the pipe
        self._reader = threading.Thread(target=self._read, args=(reading,), name="native errors", daemon=True)
        self._reader.start()

    def _read(self, reading: int) -> None:
        held = b""
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                if held and (refused := _REFUSED.search(line)):
                    self._report((refused[2] or refused[1]).decode(errors="replace"))
                self._pass_on(held)
                held = line if _PANIC.match(line) else b""
                if not held:
                    self._pass_on(line)
            self._pass_on(held)

    def _pass_on(self, text: bytes) -> None:
        while text:
            text = text[os.write(self._own, text) :]

    def close(self) -> None:
        """Return once all that was written has been passed on."""
        os.dup2(self._own, 2)  # the pipe has no other end now
        if threading.current_thread() is not self._reader:
            self._reader.join(1.0)
