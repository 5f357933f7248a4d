"""All kinds of features, and what lets compiled code call their operations.

A new kind is a module beside this one, and its entry in `KINDS`. Its code is its place there, within one run: no file
and no state holds it.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable
from functools import reduce, update_wrapper
from operator import or_
from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, cast

from pydantic import Field

from model.features.count import COUNT
from model.features.decayed_count import DECAYED_COUNT
from model.features.distinct_campaigns import DISTINCT_CAMPAIGNS
from model.features.events_since import EVENTS_SINCE
from model.features.recency import RECENCY
from model.features.template import Kind, Template
from model.features.time_between import TIME_BETWEEN
from schemas.compiled.compiling import joined

Function = TypeVar("Function", bound=Callable[..., Any])
KINDS: tuple[Kind, ...] = (COUNT, DECAYED_COUNT, RECENCY, EVENTS_SINCE, TIME_BETWEEN, DISTINCT_CAMPAIGNS)

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


def _operation(name: str) -> Any:
    """The name of an operation, to be imported where `for_each_kind` replaces calls of it."""

    def replaced(*arguments: object) -> None:
        raise TypeError(f"{name}: calls of it belong into functions with @for_each_kind")

    return replaced


_VOID, _ANSWERING = ("reset", "enter", "leave", "halve", "shift"), ("value", "begin", "share", "blend", "gain")
_OPERATIONS = _VOID + _ANSWERING
reset, enter, leave, halve, shift = map(_operation, _VOID)
"""Operations of `Kind` that return nothing."""
value, begin, share, blend, gain = map(_operation, _ANSWERING)
"""Operations that return something."""


def for_each_kind(function: Function) -> Function:
    """Let a function call operations of kinds by the code of a kind: `value(feature.kind, feature, …)`.

    A statement with such a call, which must be all of it or of what it assigns, becomes one branch for each kind that
    has the operation: `if feature.kind == 0: …`. That is done in the text, so that what runs per event is one compiled
    loop. (Calls through a compiled function that chooses cost a third of the speed: Numba counts references to arrays
    at each of them.) Kinds without the operation do nothing; operations that return something are not called for them.
    """
    (module,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    tree = ast.Module([module], [])
    assert isinstance(module, ast.FunctionDef)
    module.decorator_list = []
    ast.increment_lineno(tree, function.__code__.co_firstlineno - module.lineno)
    tree = ast.fix_missing_locations(_Branches(function.__globals__).visit(tree))
    code = compile(tree, function.__code__.co_filename, "exec")
    (inner,) = (part for part in code.co_consts if inspect.iscode(part))
    return cast(Function, update_wrapper(FunctionType(inner, function.__globals__, function.__name__), function))


class _Branches(ast.NodeTransformer):
    """Writes the branches, and puts the operations that they call among a module's globals."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self._scope = scope

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        """A statement that is a call."""
        return self._branches(node, node.value)

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        """A statement that may assign what a call returns."""
        return self._branches(node, node.value)

    def _branches(self, statement: ast.Expr | ast.Assign, call: ast.expr) -> ast.stmt:
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _OPERATIONS):
            return statement
        operation, (code, *arguments) = call.func.id, call.args
        made: list[ast.stmt] = []
        for number, kind in reversed(list(enumerate(KINDS))):
            if getattr(kind, operation) is None:
                continue
            name = f"_{operation}_of_{kind.name}"
            self._scope[name] = getattr(kind, operation)
            branch = copy.copy(statement)
            branch.value = ast.Call(ast.Name(name, ast.Load()), arguments, [])
            if made or operation in _VOID:
                test = ast.Compare(code, [ast.Eq()], [ast.Constant(number)])
                made = [ast.copy_location(ast.If(test, [branch], made), statement)]
            else:
                made = [branch]
        return made[0]


def _among(name: str, codes: list[int]) -> Any:
    """A compiled function `(code)`: whether a code is among these."""
    scope: dict[str, Any] = {}
    exec(f"def {name}(code):\n    return {' or '.join(f'code == {code}' for code in codes)}", scope)
    return joined(scope[name])


has_window = _among("has_window", [code for code, kind in enumerate(KINDS) if kind.has_window])
is_decayed = _among("is_decayed", [code for code, kind in enumerate(KINDS) if kind.halve is not None])
counts_others = _among("counts_others", [code for code, kind in enumerate(KINDS) if kind.counts_others])
"""Of the code of a kind, for compiled functions: whether its events leave a window, whether they decay, and whether
events that do not match change it."""
