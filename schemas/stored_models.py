"""The models of a store, as its table has them."""

from __future__ import annotations

from dataclasses import dataclass

FROM_THE_BEGINNING = -(2**63)
"""From when on a store's first model is valid: before all times."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that is valid from an event time on (ms since 1970), until the next one is; `file` is its file's text.

    No two are valid from one time.
    """

    valid_from: int
    model_id: str
    file: str
