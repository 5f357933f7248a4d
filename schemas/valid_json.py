"""JSON of any value, always valid by RFC 8259."""

from __future__ import annotations

import json
import math
from typing import Any


def valid_json(value: Any) -> str:
    r"""One line of JSON that is UTF-8: a number that JSON does not have is its name, what is no JSON type its text.

    >>> valid_json({"revenue": float("nan"), "id": b"\xffa", "name": "é\ud800", 7: [1.5, float("-inf")]})
    '{"revenue": "NaN", "id": "\\\\xffa", "name": "é\\ud800", "7": [1.5, "-Infinity"]}'
    """
    text = json.dumps(_valid(value), ensure_ascii=False, allow_nan=False, default=str)
    return text.encode(errors="backslashreplace").decode()  # a lone surrogate becomes JSON's own escape


def _valid(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case bytes():
            return value.decode(errors="backslashreplace")
        case dict():
            return {str(name): _valid(each) for name, each in value.items()}
        case list() | tuple():
            return [_valid(each) for each in value]
        case _:
            return value
