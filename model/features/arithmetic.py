"""The arithmetic that kinds of features share: logarithms of counts, and decayed sums in fixed point.

A decayed count is d(t) = sum over events i of 2^(-(t - t_i) / h). With t = q h + r (q whole, 0 <= r < h) it is
2^(-r / h) times the sum of 2^(r_i / h) 2^(q_i - q), and that sum is kept as a whole number of 2^-F. What was added for
an event can so be taken away again to the last bit but for the shifts by q, and nothing piles up: after any number of
events the error is below L units. (The plain recursion d <- d 2^(-dt / h) + 1 left 3e-11 of 1,000 that had gone.)
"""

from __future__ import annotations

import math

import numpy as np

from schemas.compiled.compiling import compiled, inlined

HOUR = 3_600_000.0
"""In ms."""
_LOG1P = np.array([math.log1p(n) for n in range(2_048)])


@inlined
def log1p_of_count(count):
    """ln(1 + count), from a table where it has it."""
    return _LOG1P[count] if count < len(_LOG1P) else math.log1p(count)


@compiled
def fraction_bits(length):
    """F, the bits behind the point of a decayed count's sum: as many as leave room for L terms below 2."""
    bits = 61
    while length > 0:
        length >>= 1
        bits -= 1
    return bits


@inlined
def growth(time, half_life):
    """2^(r / h) of a time (ms), for a half-life (ms)."""
    return np.exp2(time % half_life / half_life)


@inlined
def term(growth, bits):
    """A growth as a whole number of 2^-F."""
    return np.int64(np.rint(growth * (np.int64(1) << bits)))


@inlined
def shifted(sum_, halvings):
    """A sum after so many half-lives, rounded."""
    if halvings <= 0:
        return sum_
    if halvings > 62:
        return np.int64(0)
    return (sum_ + (np.int64(1) << (halvings - 1))) >> halvings
