"""All kinds of features, and one function for each of their operations.

A new kind is a module beside this one, and its entry in `KINDS`. Its code is its place there, within one run: no file
and no state holds it.
"""

from __future__ import annotations

import inspect
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from model.features.count import COUNT
from model.features.decayed_count import DECAYED_COUNT
from model.features.events_since import EVENTS_SINCE
from model.features.recency import RECENCY
from model.features.template import Kind, Template
from model.features.time_between import TIME_BETWEEN
from schemas.compiled.compiling import joined

KINDS: tuple[Kind, ...] = (COUNT, DECAYED_COUNT, RECENCY, EVENTS_SINCE, TIME_BETWEEN)

if TYPE_CHECKING:
    Feature: TypeAlias = Template
else:
    Feature = Annotated[reduce(or_, (kind.declaration for kind in KINDS)), Field(discriminator="aggregation")]
"""A feature of any kind, as a model file declares it."""


def code_of(feature: Template) -> int:
    """The place of a feature's kind in `KINDS`.

    Raises:
        TypeError: the kind is not registered.
    """
    for code, kind in enumerate(KINDS):
        if type(feature) is kind.declaration:
            return code
    raise TypeError(f"{type(feature).__name__} is no registered kind of feature")


def kind_of(feature: Template) -> Kind:
    """A feature's kind.

    Raises:
        TypeError: the kind is not registered.
    """
    return KINDS[code_of(feature)]


def _of_all_kinds(operation: str) -> Any:
    """One compiled function `(code, ...)` that does what the kind of this code does.

    An operation that returns something raises for a kind without it; any other one does nothing.
    """
    functions = {code: getattr(kind, operation) for code, kind in enumerate(KINDS)}
    functions = {code: function for code, function in functions.items() if function is not None}
    taken = ", ".join(inspect.signature(next(iter(functions.values())).py_func).parameters)
    lines = [f"def {operation}(code, {taken}):"]
    for code in functions:
        lines += [f"    if code == {code}:", f"        return of_{code}({taken})"]
    if operation not in ("reset", "enter", "leave", "halve", "shift"):
        lines.append('    raise ValueError("no such kind of feature")')
    scope = {f"of_{code}": function for code, function in functions.items()}
    exec("\n".join(lines), scope)
    return joined(scope[operation])


def _among(name: str, codes: list[int]) -> Any:
    """A compiled function `(code)`: whether a code is among these."""
    scope: dict[str, Any] = {}
    exec(f"def {name}(code):\n    return {' or '.join(f'code == {code}' for code in codes)}", scope)
    return joined(scope[name])


has_window = _among("has_window", [c for c, kind in enumerate(KINDS) if kind.has_window])
is_decayed = _among("is_decayed", [c for c, kind in enumerate(KINDS) if kind.halve is not None])
counts_others = _among("counts_others", [c for c, kind in enumerate(KINDS) if kind.counts_others])

reset, enter, leave, halve, shift, value, begin, share, blend, gain = map(
    _of_all_kinds, ("reset", "enter", "leave", "halve", "shift", "value", "begin", "share", "blend", "gain")
)
"""The operations of `Kind`, for a feature of any kind: its code, then what the operation takes."""
