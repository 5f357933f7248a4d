"""A query on columns of texts: where it needs numbers or times, the columns are taken as such, and only there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from jobs.importing.names import identifier, literal
from schemas.errors import JobError

_QUERY_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_ORDERED = {"COMPARE_LESSTHAN", "COMPARE_GREATERTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHANOREQUALTO"}
_EXTREMES = {"min", "max", "greatest", "least"}
_NUMBERS = {"INTEGER", "DECIMAL", "DOUBLE", "BIGINT", "HUGEINT", "FLOAT", "NUMERIC", "FLOATING"}
_MOST_CASTS = 200

Node = dict[str, Any]


class Query:
    """A SELECT, and what in it is to be taken as a number or a time.

    Raises:
        JobError: it is not one SELECT that only reads.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, sql: str) -> None:
        self._connection = connection
        self._sql = sql.strip().rstrip(";").strip().encode()
        described = connection.execute("DESCRIBE log").fetchall()
        self._texts = {name.lower(): name for name, kind, *_ in described if kind == "VARCHAR"}
        self._kinds: dict[str, str | None] = {}
        self._tree()

    def typed(self) -> str:
        """The query with its casts.

        Raises:
            JobError: it is wrong, or needs numbers of a column that holds other texts.
        """
        self._cast([child for node in _nodes(self._tree()) for child in self._compared(node)])
        for _ in range(_MOST_CASTS):
            problem = self._problem()
            if problem is None:
                return self._sql.decode()
            place = json.loads(problem.get("location") or "null")
            if place is None or not self._mend(place[0] - len(_DESCRIBE), place[1]):
                raise JobError(f"--sql: {_words(problem)}{self._hint(problem)}")
        raise JobError(f"--sql: more than {_MOST_CASTS} columns would have to be cast; cast them in the query")

    def _tree(self) -> Node:
        ((text,),) = self._connection.execute("SELECT json_serialize_sql(?)", [self._sql.decode()]).fetchall()
        tree: Node = json.loads(text)
        if tree["error"]:
            words = str(tree["error_message"]).splitlines()[0]
            raise JobError("--sql: not a SELECT" if "Only SELECT" in words else f"--sql: {words}")
        if len(tree["statements"]) != 1:
            raise JobError("--sql: expected one SELECT, got several statements")
        for node in _nodes(tree):
            kind = str(node.get("type", ""))
            is_query = "query_location" not in node and ("cte_map" in node or kind.endswith("_NODE"))
            is_other = isinstance(node.get("query"), dict) and isinstance(node["query"].get("node"), dict)
            inner = node["query"]["node"] if is_other else node
            if (is_query or is_other) and inner.get("type") not in _QUERY_NODES:
                raise JobError("--sql: not a SELECT that only reads")
        return tree

    def _problem(self) -> dict[str, str] | None:
        """What DuckDB has against the query, before it runs."""
        self._connection.execute("SET errors_as_json = true")
        try:
            self._connection.execute(_DESCRIBE + self._sql.decode())
        except duckdb.Error as error:
            text = str(error)
            return dict(json.loads(text[text.index("{") :])) if "{" in text else {"exception_message": text}
        finally:
            self._connection.execute("SET errors_as_json = false")
        return None

    def _compared(self, node: Node) -> list[Node]:
        """The columns that a comparison with a number, or by size, takes as numbers."""
        kind = str(node.get("type", ""))
        children = _children(node)
        columns = [child for child in children if self._name(child)]
        if kind.startswith("COMPARE") and any(_is_number(child) for child in children):
            return columns
        is_by_size = (kind in _ORDERED and len(columns) == 2) or (
            kind == "FUNCTION" and str(node.get("function_name")).lower() in _EXTREMES
        )
        if "null_order" in node and isinstance(node.get("expression"), dict):
            columns, is_by_size = [child for child in [node["expression"]] if self._name(child)], True
        if is_by_size and columns and all(self._kind(str(self._name(child))) in _COUNTED for child in columns):
            return columns
        return []

    def _mend(self, start: int, size: int) -> bool:
        """Cast the columns right in the expression at a place."""
        found = [node for node in _nodes(self._tree()) if node.get("query_location") == start]
        for node in found:
            columns = [child for child in _children(node) if self._name(child)]
            if node.get("query_location_length") == size and columns and node.get("class") != "CAST":
                self._cast(columns)
                return True
        return False

    def _cast(self, columns: list[Node]) -> None:
        for column in sorted(columns, key=lambda each: -each["query_location"]):
            name = str(self._name(column))
            kind = self._kind(name)
            if kind is None:
                raise JobError(f"--sql: {self._why_not(name)}")
            start, size = column["query_location"], column["query_location_length"]
            written = self._sql[start : start + size]
            self._sql = self._sql[:start] + b"CAST(" + written + f" AS {kind})".encode() + self._sql[start + size :]

    def _name(self, node: Node) -> str | None:
        """The column of texts of the log that a node is."""
        if node.get("class") != "COLUMN_REF" or not 1 <= len(node["column_names"]) <= 2:
            return None
        return self._texts.get(node["column_names"][-1].lower())

    def _kind(self, name: str) -> str | None:
        """BIGINT, DOUBLE, TIMESTAMP or TIMESTAMPTZ: what all values of a column can be; None for other texts."""
        if name not in self._kinds:
            text = identifier(name)
            is_whole = f"regexp_full_match({text}, '\\s*[-+]?[0-9]{{1,18}}\\s*')"
            is_number = f"regexp_full_match({text}, {literal(_NUMBER)})"
            ((rows, whole, numbers, times, zones),) = self._connection.execute(
                f"SELECT count({text}), count(*) FILTER ({is_whole}), count(*) FILTER ({is_number}), "
                f"count(TRY_CAST({text} AS TIMESTAMPTZ)), "
                f"count(*) FILTER (regexp_matches({text}, '(Z|[+-][0-9]{{2}}:?([0-9]{{2}})?)\\s*$')) FROM log"
            ).fetchall()
            timed = "TIMESTAMPTZ" if zones else "TIMESTAMP"
            kinds = (("BIGINT", whole), ("DOUBLE", numbers), (timed, times))
            self._kinds[name] = next((kind for kind, count in kinds if count == rows), None)
        return self._kinds[name]

    def _why_not(self, name: str) -> str:
        text = identifier(name)
        ((value,),) = self._connection.execute(
            f"SELECT {text} FROM log WHERE NOT regexp_full_match({text}, {literal(_NUMBER)}) LIMIT 1"
        ).fetchall()
        return (
            f"column {name!r} is taken as a number or time, but holds {value!r}; "
            f"TRY_CAST({name} AS DOUBLE) takes what is no number as NULL"
        )

    def _hint(self, problem: dict[str, str]) -> str:
        words = problem.get("exception_message", "")
        return "; every column of text is VARCHAR: cast it, as in CAST(x AS DOUBLE)" if "VARCHAR" in words else ""


_DESCRIBE = "DESCRIBE "
_COUNTED = {"BIGINT", "DOUBLE"}
_NUMBER = r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?\s*"


def _words(problem: dict[str, str]) -> str:
    return problem["exception_message"].strip().splitlines()[0]


def _nodes(tree: Any) -> Iterator[Node]:
    """All nodes of a tree, each before those in it."""
    if isinstance(tree, dict):
        yield tree
        for each in tree.values():
            yield from _nodes(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)


def _children(node: Node) -> list[Node]:
    """The expressions that a node's value is made of; not the conditions of a CASE."""
    found = [node.get(name) for name in ("left", "right", "input", "lower", "upper", "else_expr", "child")]
    found += node.get("children") or []
    found += [check["then_expr"] for check in node.get("case_checks") or []]
    found += [each.get("expression") for each in node.get("arguments") or []]
    return [each for each in found if isinstance(each, dict)]


def _is_number(node: Node) -> bool:
    if node.get("type") != "VALUE_CONSTANT":
        return False
    literal_value = node.get("literal")
    return isinstance(literal_value, dict) and literal_value.get("kind") in _NUMBERS
