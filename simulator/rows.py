"""Events before they are numbered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.event_columns import NA, Ints

ROW = np.dtype(
    [
        ("time", np.int64),  # ms since the start
        ("user", np.int64),
        ("cause", np.int64),
        ("type", np.uint8),
        ("campaign", np.int8),
        ("publisher", np.int8),
        ("creative", np.int8),
        ("placement", np.int8),
    ],
    align=True,
)
Rows = NDArray[np.void]


def bare(user: Ints) -> Rows:
    """Rows of these users without a cause, a campaign or an impression's details.

    >>> bare(np.array([4]))["campaign"].tolist()
    [-1]
    """
    rows = np.zeros(len(user), dtype=ROW)
    rows["user"] = user
    for name in ("cause", "campaign", "publisher", "creative", "placement"):
        rows[name] = NA
    return rows
