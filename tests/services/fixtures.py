"""Pytest's fixtures `kafka`, `cassandra` and `registry`: one server each for a whole run, shared by all its workers.

The process that somebody started runs the servers, also where workers share the tests (pytest-xdist). Those that the
selected tests use start in the background when collection ends, all at once, and tests that use them come last: the
others run meanwhile. A worker finds a server by a file in the run's folder, and no test can stop a shared one: a test
that stops, kills or pauses a server takes `own_kafka`, `own_cassandra` or `own_registry`, which its module has for
itself, and may leave it so: it is put right behind the test.

A test names servers as fixtures, or says `@pytest.mark.needs("cassandra")` where it asks for the fixture only as it
runs, and `@pytest.mark.needs("java")` where it starts a server by itself. Where Java or Maven is missing these tests
are skipped, and the end of the run says so in one line; with CI=true they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pytest

from tests.services.artifacts import check_tools
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka
from tests.services.problems import MissingTool, ServiceError
from tests.services.registry import Registry
from tests.services.server import PATIENCE, Server

_KINDS: dict[str, type[Server]] = {"kafka": Kafka, "cassandra": Cassandra, "registry": Registry}
_Kind = TypeVar("_Kind", bound=Server)
_JAVA = "java"
_OWN = "own_"
_PREFIX = "ad-streams-tests-"
_FOLDER = "servers_folder"
"""What tells a worker the run's folder."""


class _Servers:
    """The shared servers of a run, in the process that somebody started."""

    def __init__(self) -> None:
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._servers = list[Server]()
        self._threads = list[Thread]()

    def begin(self, names: frozenset[str]) -> None:
        """Start servers in the background."""
        for name in sorted(names):
            server = _KINDS[name](self.folder / name, quick=True)
            self._servers.append(server)
            self._threads.append(Thread(target=self._start, args=(name, server), name=f"start {name}", daemon=True))
            self._threads[-1].start()

    def end(self) -> None:
        """End all servers, those that are still starting too, and remove their data."""
        for server in self._servers:
            server.give_up()
        for thread in self._threads:
            thread.join(5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str, server: Server) -> None:
        try:
            server.start()
        except Exception as error:
            _write(self.folder / f"{name}.json", {"error": str(error)})
        else:
            _write(self.folder / f"{name}.json", {"ports": server.ports})


class _Run:
    """What a process that runs tests knows of its run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.owned = list[Server]()
        self.missing: MissingTool | None = None
        self.wanted = frozenset[str]()

    def want(self, names: frozenset[str]) -> None:
        """These are all that the selected tests need."""
        self.wanted = names
        try:
            if names:
                check_tools(frozenset(_KINDS) if _JAVA in names else names)
        except MissingTool as error:
            self.missing = error

    @property
    def startable(self) -> frozenset[str]:
        """The shared servers to start."""
        return self.wanted - {_JAVA} if self.missing is None else frozenset()

    def check(self) -> None:
        """Skip the test where servers cannot be run, or fail it in CI."""
        if self.missing is not None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"tests with real servers must run in CI, but {self.missing}", pytrace=False)
            pytest.skip(str(self.missing))

    def get(self, name: str) -> Server:
        """A shared server, when it answers."""
        self.check()
        if name not in self.wanted:
            pytest.fail(f'this run has no {name}: mark a test that asks for it as it runs with needs("{name}")')
        said, deadline = self.folder / f"{name}.json", time.monotonic() + 4 * PATIENCE
        while not said.exists():
            if time.monotonic() > deadline:
                raise ServiceError(f"the {name} of this run did not start")
            time.sleep(0.05)
        found = json.loads(said.read_text())
        if "error" in found:
            raise ServiceError(found["error"])
        return _KINDS[name].of_another_process(self.folder / name, found["ports"])

    def mend(self) -> None:
        """Put right what a test stopped or paused of its own servers."""
        for server in self.owned:
            if server.paused:
                server.resume()
            elif not server.running:
                server.start()


def _write(path: Path, value: object) -> None:
    """Write a file in one step, so that it is never seen half full."""
    made = path.with_suffix(f".{os.getpid()}")
    made.write_text(json.dumps(value))
    made.rename(path)


def _sweep() -> None:
    """Remove the data of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = int(folder.name.removeprefix(_PREFIX).split("-")[0])
        try:
            os.kill(owner, 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except PermissionError:
            pass


_SERVERS = pytest.StashKey[_Servers]()
_RUN = pytest.StashKey[_Run]()


def _needs(item: pytest.Item) -> frozenset[str]:
    names = {_JAVA if name.startswith(_OWN) else name for name in getattr(item, "fixturenames", ())}
    for mark in item.iter_markers("needs"):
        names.update(mark.args)
    return frozenset(names & {*_KINDS, _JAVA})


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(name, ...): a server that the test asks for as it runs, or java")
    given = getattr(config, "workerinput", None)
    if given is None:
        config.stash[_SERVERS] = _Servers()
    config.stash[_RUN] = _Run(Path(given[_FOLDER]) if given else config.stash[_SERVERS].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[_FOLDER] = str(node.config.stash[_RUN].folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: bool(_needs(item)))


@pytest.hookimpl(tryfirst=True)  # before a worker says that it has collected
def pytest_collection_finish(session: pytest.Session) -> None:
    run = session.config.stash[_RUN]
    run.want(frozenset[str]().union(*map(_needs, session.items)))
    if hasattr(session.config, "workerinput"):
        _write(run.folder / "wanted.json", sorted(run.wanted))
    elif not session.config.option.collectonly:
        session.config.stash[_SERVERS].begin(run.startable)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    run = node.config.stash[_RUN]
    if not run.wanted:  # the first of the workers, which all collect the same
        run.want(frozenset(json.loads((run.folder / "wanted.json").read_text())))
        node.config.stash[_SERVERS].begin(run.startable)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _needs(item):
        item.config.stash[_RUN].check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    # Before the test's own fixtures end, which may need the servers for that.
    try:
        item.config.stash[_RUN].mend()
    finally:
        yield


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    missing = config.stash[_RUN].missing
    if missing is not None:
        terminalreporter.write_line(f"TESTS WITH REAL SERVERS DID NOT RUN: {missing}", red=True, bold=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SERVERS in config.stash:
        config.stash[_SERVERS].end()


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Kafka:
    """A Kafka that all tests of this run share; topics of a test begin with its `topic_prefix`."""
    server = request.config.stash[_RUN].get("kafka")
    assert isinstance(server, Kafka)
    return server


@pytest.fixture(scope="session")
def cassandra(request: pytest.FixtureRequest) -> Cassandra:
    """A Cassandra that all tests of this run share; a test's tables are in its own `keyspace`."""
    server = request.config.stash[_RUN].get("cassandra")
    assert isinstance(server, Cassandra)
    return server


@pytest.fixture(scope="session")
def registry(request: pytest.FixtureRequest) -> Registry:
    """A schema registry that all tests of this run share; subjects of a test begin with its `topic_prefix`."""
    server = request.config.stash[_RUN].get("registry")
    assert isinstance(server, Registry)
    return server


@pytest.fixture(scope="module")
def own_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka that a test may stop, kill and pause."""
    with Kafka(tmp_path_factory.mktemp("kafka"), quick=True) as server:
        yield from _owned(server, request)


@pytest.fixture(scope="module")
def own_cassandra(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassandra]:
    """A Cassandra that a test may stop, kill and pause."""
    with Cassandra(tmp_path_factory.mktemp("cassandra"), quick=True) as server:
        yield from _owned(server, request)


@pytest.fixture(scope="module")
def own_registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A schema registry that a test may stop, kill and pause."""
    with Registry(tmp_path_factory.mktemp("registry"), quick=True) as server:
        yield from _owned(server, request)


def _owned(server: _Kind, request: pytest.FixtureRequest) -> Iterator[_Kind]:
    """The server, put right behind each test as long as it lasts."""
    owned = request.config.stash[_RUN].owned
    owned.append(server)
    yield server
    owned.remove(server)


@pytest.fixture
def topic_prefix() -> str:
    """A text that the names of this test's topics begin with."""
    return f"t{uuid.uuid4().hex[:12]}-"


@pytest.fixture
def keyspace(cassandra: Cassandra) -> Iterator[str]:
    """The name of a keyspace that is not there yet; it is dropped behind the test."""
    name = f"k{uuid.uuid4().hex[:12]}"
    yield name
    with cassandra.session() as session:
        session.execute(f"DROP KEYSPACE IF EXISTS {name}")
