"""What the servers are made of: fetched by Maven once, then kept in the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.services import bound
from tests.services.problems import MissingTool, ServiceError

_POMS = Path(__file__).parent / "poms"
_OLDEST_JAVA = 17
_HINT = "install Java 17 and Maven (Debian: apt-get install openjdk-17-jre-headless maven)"


def artifacts(name: str) -> Path:
    """The folder with all that `poms/NAME.xml` asks for.

    Raises:
        MissingTool: it is not in the cache, and there is no Maven.
        ServiceError: Maven failed; the message has the end of what it said.
    """
    return by_maven(_pom(name), "generate-resources", _folder(name))


def by_maven(pom: Path, phase: str, folder: Path) -> Path:
    """The folder with what a phase of a project puts into `-Dinto=`; Maven runs only where it is missing.

    Raises:
        MissingTool: it is missing, and there is no Maven.
        ServiceError: Maven failed; the message has the end of what it said.
    """
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        # One at a time: Maven's own repository is not safe for two.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _run(pom, phase, folder)
    return folder


def cache_folder() -> Path:
    """This project's folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ad-streams"


def java() -> str:
    """The path of a Java that can run the servers.

    Raises:
        MissingTool: there is none, or only an older one.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=None if home is None else f"{home}/bin")
    if found is None:
        raise MissingTool(f"java not found: {_HINT}")
    version = _java_version(found)
    if version < _OLDEST_JAVA:
        raise MissingTool(f"{found} is Java {version}, too old: {_HINT}")
    return found


def check_tools(names: frozenset[str]) -> None:
    """Raise `MissingTool` unless the named servers could be fetched and run here."""
    java()
    if not all(_folder(name).exists() for name in names):
        _maven()


def _pom(name: str) -> Path:
    return _POMS / f"{name}.xml"


def _folder(name: str) -> Path:
    return cache_folder() / "services" / f"{name}-{hashlib.sha256(_pom(name).read_bytes()).hexdigest()[:16]}"


def _maven() -> str:
    found = shutil.which("mvn")
    if found is None:
        raise MissingTool(f"mvn not found: {_HINT}")
    return found


@cache
def _java_version(path: str) -> int:
    said = subprocess.run([path, "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None:
        raise MissingTool(f"{path} does not run: {_HINT}")
    return int(found[1])


def _run(pom: Path, phase: str, folder: Path) -> None:
    """Make the folder in one step, so that it is never seen half full."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        log = Path(made) / "log"
        command = [_maven(), "-q", "-B", "-f", str(pom), f"-Dinto={made}/content", phase]
        if bound.start(command, log, folder.parent).wait():
            said = log.read_text(errors="replace").strip()[-2_000:]
            raise ServiceError(f"Maven could not fetch {pom.name}:\n{said}")
        (Path(made) / "content").rename(folder)
