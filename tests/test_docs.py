"""The documentation is true where a program can tell: links resolve, files exist, pages are found from the README."""

import re
import tomllib
from pathlib import Path

import pytest

from jobs.__main__ import app
from settings import setting_names
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_settings_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    commands = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert set(re.findall(r"\bpython -m jobs ([a-z][a-z-]+)", text)) <= commands
    secrets = {f"{name}_FILE" for name in setting_names()}
    assert set(re.findall(r"\bADSTREAMS_[A-Z_]*[A-Z]\b", text)) <= set(setting_names()) | secrets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= set(targets)


def test_the_changelog_is_sorted_and_its_newest_release_is_the_version() -> None:
    """By Keep a Changelog: unreleased changes first, then releases with their days, in sections of six names."""
    text = (ROOT / "CHANGELOG.md").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first, *releases = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    assert releases[0].startswith(f"[{version}] - ")
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release) for release in releases)
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for release in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        places = [kinds.index(kind) for kind in re.findall(r"^### (.*)$", release, re.MULTILINE)]
        assert places == sorted(set(places)), release.splitlines()[0]
