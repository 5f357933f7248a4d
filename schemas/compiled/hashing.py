"""XXH3-64 inside compiled code: the stable hash behind event keys, user buckets and text tables.

The hash itself is the `xxhash` package's; only its C symbol is made known to Numba, so that a batch is
hashed without one Python call per string. `xxhash.xxh3_64_intdigest` gives the same numbers.
"""

from __future__ import annotations

import ctypes

import numba as nb
import xxhash._xxhash
from llvmlite import binding
from numba import types

from schemas.compiled.compiling import inlined

_library = ctypes.CDLL(xxhash._xxhash.__file__)
for _name in ("XXH3_64bits", "XXH3_64bits_withSeed"):
    binding.add_symbol(_name, ctypes.cast(getattr(_library, _name), ctypes.c_void_p).value)

_xxh3 = types.ExternalFunction("XXH3_64bits", types.uint64(types.uintp, types.uintp))
_xxh3_seeded = types.ExternalFunction("XXH3_64bits_withSeed", types.uint64(types.uintp, types.uintp, types.uint64))


@inlined
def xxh3(data, start, stop):
    """XXH3-64 of `data[start:stop]` (uint8), as uint64."""
    return _xxh3(nb.uint64(data.ctypes.data) + nb.uint64(start), nb.uint64(stop - start))


@inlined
def xxh3_seeded(data, start, stop, seed):
    """The same with a seed: another hash, that has nothing to do with it."""
    return _xxh3_seeded(nb.uint64(data.ctypes.data) + nb.uint64(start), nb.uint64(stop - start), nb.uint64(seed))
