"""The documentation is true where a program can tell: links resolve, files exist, pages are found from the README."""

import re
from pathlib import Path

import pytest

from viz.api import ROUTES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")
OURS = (
    "benchmarks",
    "deploy",
    "docs",
    "jobs",
    "model",
    "schemas",
    "simulator",
    "steps",
    "stores",
    "tests",
    "topics",
    "viz",
)
FILE = re.compile(rf"`((?:{'|'.join(OURS)})/[\w./-]*|\w+\.py|[A-Z]+\.md)`")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        file = (page.parent / target) if target else page
        assert file.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in FILE.findall(page.read_text()):
        shortened = name.startswith("test_") and any((ROOT / "tests").rglob(name))  # behind others of its folder
        assert shortened or (ROOT / name).exists(), f"{page.name} names {name}"


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / target).resolve() for target, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert set(PAGES) - {ROOT / "README.md"} <= linked


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_api_reference_has_every_route() -> None:
    """Patterns of routes are those of the reference, with names for their groups."""
    reference = (ROOT / "docs" / "api.md").read_text()
    for pattern, *_ in ROUTES:
        path = str(pattern).replace("([^/]+)", "{user_id}")
        assert f"`GET {path}" in reference or "(" in path, path  # the last takes what no other does
