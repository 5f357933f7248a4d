"""Arrays that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def grown(array: NDArray[Any], used: int, needed: int) -> NDArray[Any]:
    """The array itself if `needed` rows fit, else a copy of its `used` rows with an eighth of room beyond `needed`.

    An eighth, not a doubling: memory stays in proportion to what is kept.
    """
    if needed <= len(array):
        return array
    larger = np.empty((needed + needed // 8 + 8, *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger
