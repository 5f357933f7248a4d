"""Programs that may do less than who runs the tests: even root is then told that it may not write."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_DROP = """
import ctypes, os, sys
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, PR_CAPBSET_DROP = 1, 2, 3, 24
for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER):
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def unprivileged(command: Sequence[str]) -> list[str]:
    """The command line of a program that the modes of files hold for."""
    return [sys.executable, "-c", _DROP, *command]
