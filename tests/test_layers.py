"""The direction of imports: each part of the program knows only what it may know."""

import ast
from pathlib import Path

import pytest

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
    "dataflow": SHARED | {"steps"},
}
"""For each package or module of the program, what of ours it may import beside itself."""
BESIDE = {"tests", "benchmarks"}
"""What measures and tests the program may import anything, and is imported by none of it."""
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
