"""Arrays that grow, in memory that goes back to the system when they are let go of."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_MAPPED = 1 << 18
"""Bytes from which on an array gets pages of its own: from the heap, copies that came and went would leave holes."""


def allocate(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array whose values are not set."""
    count, kind = math.prod(shape), np.dtype(dtype)
    if count * kind.itemsize < _MAPPED:
        return np.empty(shape, kind)
    pages = mmap.mmap(-1, count * kind.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)  # users are met in no order: small pages would cost a miss each
    return np.frombuffer(pages, kind, count).reshape(shape)


def grown(array: NDArray[Any], used: int, needed: int) -> NDArray[Any]:
    """The array itself if `needed` rows fit, else a copy of its `used` rows with an eighth of room beyond `needed`.

    An eighth, not a doubling: memory stays in proportion to what is kept.
    """
    if needed <= len(array):
        return array
    larger = allocate((needed + needed // 8 + 8, *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger
