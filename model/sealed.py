"""State that carries a checksum of itself: what was damaged where it was kept is never gone on with.

Saved states name `unseal` and their classes by module: this module and those of the classes stay where they are, or a
class that moves is noted in `_MOVED`.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import xxhash

from schemas.errors import DamagedError

State = TypeVar("State")


_MOVED = {"simulator.messages": "simulator.producers"}
"""Modules whose classes are in saved states, by the names that they had when those may have been saved."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A state to keep. Its pickle holds the bytes of it and their XXH3; what comes out of that is the state itself.

    >>> pickle.loads(pickle.dumps(Sealed({"row": 7})))
    {'row': 7}
    """

    state: Any

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[bytes, ...]]:
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(self.state, 5, buffer_callback=buffers.append)
        parts = (head, *(bytes(buffer.raw()) for buffer in buffers))
        return unseal, (_checksum(parts), *parts)


def sealed(state: State) -> State:
    """A state to be pickled, under its own type: that is what it is to whom it is given back."""
    return cast(State, Sealed(state))


def unseal(checksum: bytes, *parts: bytes) -> Any:
    """The state in a pickle of `Sealed`; its arrays cannot be written to.

    Raises:
        DamagedError: it is not what was kept.
    """
    demand_sound(checksum, *parts)
    return _Unpickler(io.BytesIO(parts[0]), buffers=parts[1:]).load()


class _Unpickler(pickle.Unpickler):
    """Finds classes that have moved to another module since a state was saved."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of that name."""
        return super().find_class(_MOVED.get(module, module), name)


def demand_sound(checksum: bytes, *parts: bytes) -> None:
    """Raise what `unseal` would, without making the state."""
    if checksum != _checksum(parts):
        raise DamagedError("it is not what was saved")


def _checksum(parts: tuple[bytes, ...]) -> bytes:
    found = xxhash.xxh3_64()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    checksum: bytes = found.digest()
    return checksum
