"""The direction of imports: each part of the program knows only what it may know."""

import ast
import re
from collections import defaultdict
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from schemas import errors

ROOT = Path(__file__).parent.parent
SHARED = {"schemas", "model", "stores", "topics", "simulator", "settings"}
MAY_USE = {
    "schemas": {"model"},
    "model": {"schemas"},
    "simulator": {"schemas"},
    "stores": {"schemas"},
    "topics": {"schemas"},
    "settings": {"schemas", "model"},
    "steps": SHARED,
    "viz": SHARED,
    "jobs": SHARED,
    "startup": SHARED | {"steps"},
    "dataflow": {"steps", "startup"},
}
"""For each package or module of the program, what of ours it may import beside itself."""
BESIDE = {"tests", "benchmarks"}
"""What measures and tests the program may import anything, and is imported by none of it."""
TWINS = {"__init__", "__main__", "commands", "reader", "writer"}
"""Modules that have the same part in several packages, and so the same name."""
OURS = MAY_USE.keys() | BESIDE


def imports(source: str, own: str) -> set[str]:
    """The first names of all that a module imports, anywhere in it; a relative one is of its own package."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(own if node.level else (node.module or "").split(".")[0])
    return names


def at_import(source: str, ours: Collection[str]) -> set[str]:
    """The modules of ours that Python imports as it imports this one."""
    names, waiting = set[str](), list(ast.parse(source).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Try | ast.ClassDef):
            waiting += node.body
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            waiting += [*node.body, *node.orelse]
    return names & set(ours)


def part_of(path: Path) -> str:
    """The package or top-level module that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    """All modules of the program, not what is hidden, installed or beside it."""
    found = [*ROOT.glob("*.py"), *(each for part in ROOT.glob("[a-z]*/") for each in part.rglob("*.py"))]
    return sorted(path for path in found if part_of(path) not in BESIDE)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_part_may_use(path):
    part = part_of(path)
    assert part in MAY_USE, "a new part of the program: say what it may use"
    of_ours = imports(path.read_text(), part) & OURS
    assert of_ours <= MAY_USE[part] | {part}


def test_the_heart_is_looked_at():
    assert {"schemas", "model", "simulator", "stores", "topics", "settings"} <= {part_of(path) for path in sources()}


def test_the_app_and_the_stream_know_nothing_of_each_other():
    assert "steps" not in MAY_USE["viz"]
    assert "viz" not in MAY_USE["steps"] | MAY_USE["dataflow"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import model", {"model"}),
        ("import stores.sqlite as s, json", {"stores", "json"}),
        ("from model.bucket import Bucket", {"model"}),
        ("def f():\n    from viz import app", {"viz"}),
        ("if TYPE_CHECKING:\n    import steps.decode", {"steps"}),
        ("from . import x\nfrom .y import z", {"own"}),
        ("model = 'import stores'", set()),
    ],
)
def test_every_form_of_import_is_seen(source, expected):
    assert imports(source, "own") == expected


def test_every_public_error_of_ours_is_in_the_tree():
    """A public error derives from the base, and the docstring shows each; only the page's HTTP errors are Tornado's."""
    tree = [name for name, value in vars(errors).items() if getattr(value, "__module__", "") == errors.__name__]
    tree = [name for name in tree if name[0].isupper()]
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name != tree[0]:
                bases = {ast.unparse(base) for base in node.bases}
                if any(base.endswith(("Error", "Exception")) for base in bases) and "HTTPError" not in bases:
                    assert bases & set(tree), f"{path}: {node.name} is no {tree[0]}"
    assert [name for name in re.findall(r"\w+", errors.__doc__) if name in tree] == tree


def modules_of_one_name() -> dict[str, list[str]]:
    """Modules of the program by their names, where several share one; twins in sibling packages are meant to."""
    named = defaultdict(list)
    for path in sources():
        if path.stem not in TWINS:
            named[path.stem].append(str(path.relative_to(ROOT)))
    return {name: paths for name, paths in named.items() if len(paths) > 1}


def test_no_two_modules_have_one_name():
    assert modules_of_one_name() == {}


def test_no_module_imports_itself_by_way_of_others():
    """What a function imports as it runs, or a type checker alone, counts as little as Python counts it."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in sources()
    }
    known = {name: at_import(path.read_text(), names.keys()) - {name} for name, path in names.items()}
    TopologicalSorter(known).prepare()  # CycleError names the modules


def crumbs() -> list[str]:
    """Modules of under 30 lines that one neighbour alone uses: they belong into it."""
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sources()}
    users = defaultdict(set)
    for name, path in paths.items():
        for used in at_import(path.read_text(), paths):
            users[used].add(name)
    small = [name for name, path in paths.items() if path.stem != "__init__" and path.read_text().count("\n") < 30]
    return [name for name in small if [each.rpartition(".")[0] for each in users[name]] == [name.rpartition(".")[0]]]


def test_no_small_module_has_only_one_neighbour():
    assert crumbs() == []
