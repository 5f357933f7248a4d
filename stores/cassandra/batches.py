"""Packing statements into batches: large enough to be cheap, small enough that no server warns of them.

A batch goes to a node that has all of it, so rows are grouped by the set of nodes that have them. Cassandra warns of
a batch of more than 5 KiB or 10 partitions, unless it is of a single one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from stores.cassandra.row_encoding import Piece

MOST_BYTES = 5 * 1024
MOST_PARTITIONS = 10
"""`batch_size_warn_threshold` and `unlogged_batch_across_partitions_warn_threshold` as they are by default."""


@dataclass(slots=True)
class _Open:
    """A batch with room for more."""

    pieces: list[Piece] = field(default_factory=list)
    size: int = 0


class Packer:
    """Packs pieces into batches.

    Args:
        replicas: identifies the set of nodes that hold a partition key.
        send: takes the pieces of each batch.

    >>> packer = Packer(lambda key: None, lambda pieces: print([piece.key for piece in pieces]))
    >>> for user in (b"ann", b"bob"):
    ...     packer.add(Piece(user, b"", 1, 100))
    >>> packer.push()
    [b'ann', b'bob']
    """

    def __init__(self, replicas: Callable[[bytes], Hashable], send: Callable[[list[Piece]], None]) -> None:
        self._replicas, self._send = replicas, send
        self._open: dict[Hashable, _Open] = {}

    def add(self, piece: Piece) -> None:
        """Take a piece; full batches are sent."""
        if piece.size > MOST_BYTES:
            self._send([piece])
            return
        replicas = self._replicas(piece.key)
        batch = self._open.get(replicas)
        if batch is None:
            batch = self._open[replicas] = _Open()
        if batch.size + piece.size > MOST_BYTES or len(batch.pieces) == MOST_PARTITIONS:
            self._send(batch.pieces)
            batch.pieces, batch.size = [], 0
        batch.pieces.append(piece)
        batch.size += piece.size

    def push(self) -> None:
        """Send all held pieces."""
        held, self._open = self._open, {}
        for batch in held.values():
            self._send(batch.pieces)
