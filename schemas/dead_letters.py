"""Dead letters: messages that are not valid events, kept with the reason and their origin."""

from __future__ import annotations

from dataclasses import dataclass

REASONS = {
    "unframed": "no header at the start: C3 01 (single-object encoding) or, with a registry, 00 (Confluent's framing)",
    "unknown_schema": "written with a schema that is neither among the versions in schemas/ nor found in the registry",
    "undecodable": "the Avro datum cannot be read",
    "wrong_shape": "the row has too few or too many fields",
    "wrong_type": "a value is not of the field's type",
    "missing": "a required field has no value",
    "not_utf8": "a text field is not UTF-8",
    "id_length": "user_id and event_id must be 1 to 1,024 bytes",
    "revenue": "revenue must be a finite number",
    "time_range": "the timestamp must lie between 1970 and 2100",
    "time_ahead": "the timestamp is later than the message itself by more than the allowed skew",
    "disputed": "too many of its user's events were repeated with another body",
    "too_late": "older than the newest events of its user after older ones were dropped",
}
"""Every reason for a dead letter, and what it means."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A rejected message; (source, partition, offset) is its key, so that a replay duplicates none."""

    source: str
    partition: int
    offset: int
    reason: str
    detail: str
    payload: bytes

    @property
    def place(self) -> tuple[str, int, int]:
        """Its key: the origin of the message."""
        return self.source, self.partition, self.offset
