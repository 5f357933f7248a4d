"""Messages in unsupported formats: what they look like, and what to send instead."""

from __future__ import annotations

from uuid import UUID

_HOW = "write Avro with Confluent's serializer, or in single-object encoding"
APICURIO = (
    "Apicurio's own framing (00 and an id of 8 bytes, or its headers) looks so, and is not read: let Apicurio's"
    " serializer use Legacy4ByteIdHandler and no headers"
)
"""The hint for a message that may be Apicurio's."""
_GLUE_HEADER = 18


def unframed(payload: bytes, with_registry: bool) -> str:
    """What a message without a header looks like.

    >>> unframed(b'{"user_id": "u"}', True)
    "it looks like JSON, which is not supported: write Avro with Confluent's serializer, or in single-object encoding"
    """
    if not payload:
        return "the message has no bytes"
    if payload[:1] in (b"{", b"["):
        return f"it looks like JSON, which is not supported: {_HOW}"
    if payload[:4] == b"Obj\x01":
        return f"it is an Avro container file, not a single datum: {_HOW}"
    if payload[:1] == b"\3" and payload[1:2] in (b"\0", b"\5") and len(payload) >= _GLUE_HEADER:
        packed = " compressed" if payload[1] else ""
        return f"it looks like AWS Glue's{packed} framing, schema version {UUID(bytes=payload[2:18])}, not read: {_HOW}"
    starts = f"it starts with {payload[:2].hex()}"
    if payload[:1] in (b"\0", b"\1"):
        if with_registry:
            return f"{starts}, like a Confluent schema id, but is too short for one"
        return f"{starts}, like a Confluent schema id: set ADSTREAMS_SCHEMA_REGISTRY_URL"
    return f"{starts}, so its schema is unknown: {_HOW}"
