"""What filled a store: the kind of source, its world, and what was read of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SIMULATOR, FILE, KAFKA = "simulator", "file", "kafka"
_NAMED = 3
"""Names to list; further ones are only counted."""

Input = Mapping[str, str | int]
"""What identifies an input beside its name; what is equal by it is one input."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What fills a store.

    `world` is what makes a simulated world what it is. `inputs` are the topics or log files by name, and what
    identifies each; they grow as more are read. `state` identifies the recovery directory that knows the history of all
    of them, None where none does.
    """

    source: str
    world: Mapping[str, str | int] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)
    state: str | None = None

    def to_json(self) -> str:
        """The text that a store keeps."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """What a store has kept.

        Raises:
            ValueError: it is no such text.
        """
        held = json.loads(text)
        try:
            return cls(str(held["source"]), dict(held["world"]), dict(held["inputs"]), held["state"])
        except (KeyError, TypeError, ValueError):
            raise ValueError("what filled the store cannot be read") from None

    def __str__(self) -> str:
        """For a person.

        >>> str(Provenance(SIMULATOR, {"users": 7000, "seed": 7, "start": "2017-06-15"}))
        'simulated events (users 7000, seed 7, start 2017-06-15)'
        >>> str(Provenance(FILE, inputs={"/logs/day1.csv": {}, "/logs/day2.csv": {}}))
        'events of the log files /logs/day1.csv, /logs/day2.csv'
        """
        if self.source == SIMULATOR:
            return f"simulated events ({', '.join(f'{name} {value}' for name, value in self.world.items())})"
        kind = "topics" if self.source == KAFKA else "log files"
        return f"events of the {kind if len(self.inputs) > 1 else kind[:-1]} {named(list(self.inputs))}"


def named(names: list[str]) -> str:
    """Some names for a person, and how many there are more.

    >>> named(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def state_of(note: Mapping[str, Any]) -> str:
    """What identifies the state in a recovery directory, from the note that lies there; a copy of it has the same."""
    return str(note.get("id", f"that of store {note.get('store')}"))  # versions before noted none
