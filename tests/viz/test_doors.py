"""The served page and its API as strangers meet them: other hosts, no login, and what no answer gives away."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.services.ports import free_port
from tests.viz.asking import ask, is_closed_after, log_in, open_socket, token_of
from tests.viz.browsing import PATIENCE, answers, serving_to, wait_for
from tests.viz.streams import DECAY, Stream, journey, load

PASSWORD = "s3cret-of-the-page"
DOORS = ("/app", "/", "/api/health", "/api/users/ann/propensity", "/api/credit", "/static/js/bokeh.min.js", "/login")


@contextmanager
def served(folder: Path, *arguments: str, **settings: str) -> Iterator[tuple[str, Path]]:
    """The address of a page over a store with one user in it, and what the server logs."""
    stream = Stream(folder / "store.db", load(DECAY))
    stream.send(*journey("ann", ["IM", "CL"]))
    stream.close()
    port, logged = free_port(), folder / "log.txt"
    settings |= {"ADSTREAMS_MODEL": str(DECAY), "ADSTREAMS_SQLITE_PATH": str(folder / "store.db")}
    with logged.open("wb") as log:
        command = ("--plugins", "viz.api", "--warm", "--port", str(port), *arguments)
        process = serving_to(log, *command, **settings)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(lambda: process.poll() is not None or answers(f"{address}/api/health"))
            assert process.poll() is None, logged.read_text()
            yield address, logged
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server as the README starts it."""
    with served(tmp_path_factory.mktemp("bare")) as found:
        yield found


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with Panel's basic login."""
    login = ("--basic-auth", PASSWORD, "--cookie-secret", "c00kie-s3cret")
    with served(tmp_path_factory.mktemp("locked"), *login) as (address, _):
        yield address


FOREIGN = ["evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1:1", "localhost", "", "["]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_request_for_another_host_is_refused(bare: tuple[str, Path], host: str) -> None:
    """A page of a name that its owner points here later on would read everything otherwise."""
    address, _ = bare
    port = urlsplit(address).port
    for path in DOORS:
        answer = ask(address, path, Host=host.format(port=port))
        assert (answer.status, answer.body.count(b"\n")) == (403, 1), path
        assert b"--allow-websocket-origin" in answer.body
    token = token_of(ask(address, "/app").body)
    assert open_socket(address, token, Host=host.format(port=port)) == 403


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_the_machine_itself_is_let_in(bare: tuple[str, Path], name: str) -> None:
    address, _ = bare
    host = f"{name}:{urlsplit(address).port}"
    for path in ("/app", "/api/users/ann/propensity", "/static/js/bokeh.min.js"):
        assert ask(address, path, Host=host).status == 200, path
    token = token_of(ask(address, "/app", Host=host).body)
    assert open_socket(address, token, Host=host, Origin=f"http://{host}") == 101


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://evil.example:5006", "null", "http://localhost:1", "x["]
)
def test_pages_of_other_origins_are_refused(bare: tuple[str, Path], origin: str) -> None:
    address, _ = bare
    for path in (*DOORS, "/app/autoload.js?bokeh-autoload-element=x"):
        assert ask(address, path, Origin=origin).status == 403, path
    assert open_socket(address, token_of(ask(address, "/app").body), Origin=origin) == 403
    assert ask(address, "/api/health", Origin=address).status == 200


def test_hosts_are_those_that_were_given(tmp_path: Path) -> None:
    """With the machine's own beside them, for checks of its health; a given name is no other's."""
    with served(tmp_path, "--allow-websocket-origin", "ads.example", "--allow-websocket-origin", "b.example:81") as (
        address,
        _,
    ):
        for host, status in [("ads.example", 200), ("ads.example:80", 200), ("b.example:81", 200), ("b.example", 403)]:
            for path in ("/app", "/api/credit"):
                assert ask(address, path, Host=host).status == status, (host, path)
        assert ask(address, "/api/credit").status == 200
        token = token_of(ask(address, "/app", Host="ads.example").body)
        assert open_socket(address, token, Host="ads.example", Origin="https://ads.example") == 101
        assert open_socket(address, token, Host="ads.example", Origin="https://evil.example") == 403


def test_any_host_is_let_in_only_where_that_was_asked_for(tmp_path: Path) -> None:
    with served(tmp_path, "--allow-websocket-origin", "*") as (address, _):
        assert ask(address, "/api/credit", Host="any.example:9").status == 200
        assert ask(address, "/app", Host="any.example").status == 200


API = ("/api/users/ann/propensity", "/api/users/ann/explanation", "/api/credit", "/api/grades", "/api/none", "/api")


def test_a_login_covers_the_api(locked: str) -> None:
    """Whoever is not logged in reads nothing, and a browser is not sent around; health tells its status alone."""
    for cookie in ({}, {"Cookie": "user=ann"}, {"Cookie": 'user="2|1:0|10:1|4:user|4:YW5u|00"'}):
        for path in API:
            answer = ask(locked, path, **cookie)
            assert (answer.status, list(answer.json)) == (401, ["error"]), path
        assert ask(locked, "/app", **cookie).status == 302
        assert ask(locked, "/api/health", **cookie).json.keys() == {"status"}
    cookie = {"Cookie": log_in(locked, "ann", PASSWORD)}
    assert [ask(locked, path, **cookie).status for path in API] == [200, 200, 200, 200, 404, 404]
    assert ask(locked, "/api/health", **cookie).json.keys() > {"status"}
    assert ask(locked, "/app", **cookie).status == 200


def test_a_websocket_needs_the_login_too(locked: str) -> None:
    cookie = log_in(locked, "ann", PASSWORD)
    token = token_of(ask(locked, "/app", Cookie=cookie).body)
    assert open_socket(locked, token, Origin=locked) == 403
    assert open_socket(locked, token, Origin=locked, Cookie=cookie) == 101


MODULE = """
from tornado.web import RequestHandler

def get_user(handler):
    return "ann" if handler.request.headers.get("X-Badge") == "7" else None

async def get_user_async_(handler):
    return get_user(handler)

login_url = "/enter"

class LoginHandler(RequestHandler):
    def get(self):
        self.write("who are you?")
"""


@pytest.mark.parametrize("kind", ["get_user", "get_user_async"])
def test_a_login_module_covers_the_api(tmp_path: Path, kind: str) -> None:
    """Bokeh's `--auth-module`, whose answer comes at once or later."""
    module = MODULE if kind == "get_user" else MODULE.replace("get_user(", "_user(").replace("get_user_async_", kind)
    (tmp_path / "login.py").write_text(module)
    with served(tmp_path, "--auth-module", str(tmp_path / "login.py")) as (address, _):
        for path in API[:4]:
            assert ask(address, path).status == 401
            assert ask(address, path, X_Badge="8").status == 401
            assert ask(address, path, X_Badge="7").status == 200
        assert ask(address, "/app").status == 302


def test_a_login_of_an_oauth_provider_covers_the_api(tmp_path: Path) -> None:
    """With the cookies that Panel sets once the provider has said who somebody is."""
    from tornado.web import create_signed_value

    provider = ("--oauth-provider", "github", "--oauth-key", "key", "--oauth-secret", "s", "--cookie-secret", "c00kie")
    with served(tmp_path, *provider) as (address, _):
        cookie = create_signed_value("c00kie", "user", "ann").decode()
        forged = create_signed_value("other", "user", "ann").decode()
        for path in API[:4]:
            assert ask(address, path).status == 401
            assert ask(address, path, Cookie=f"user={forged}").status == 401
            assert ask(address, path, Cookie=f"user={cookie}").status == 200


def test_the_page_holds_nothing_of_the_request(bare: tuple[str, Path]) -> None:
    """Neither cookies nor headers, plain or in the token, which is but encoded."""
    secrets = {"Cookie": "session=c00kie-value", "Authorization": "Basic YW5uOnBhc3M=", "X_Api_Key": "k3y-value"}
    for path in ("/app", "/app?users=ann", "/app/autoload.js?bokeh-autoload-element=x"):
        page = ask(bare[0], path, **secrets).body
        payload = base64.urlsafe_b64decode(token_of(page).partition(".")[0] + "==")
        for value in secrets.values():
            assert value.encode() not in page
            assert value.encode() not in payload
        assert not json.loads(payload).keys() & {"headers", "cookies"} or b"value" not in payload


@pytest.mark.parametrize("path", [*DOORS, "/api/credit?from=x", "/none", "/api/none"])
def test_every_answer_has_the_headers(bare: tuple[str, Path], path: str) -> None:
    """No page of others may frame it, and nothing is taken for what it is not; refusals as well."""
    for headers in ({}, {"Host": "evil.example"}):
        answer = ask(bare[0], path, **headers)
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]


LOGGED = (
    *(
        "/api/users/{}/propensity",
        "/api/users/{}/explanation?at=x",
        "/api/{}",
        "/api/users/propensity/{}",
        "/people/{}",
    ),
    *("/{}", "/app?users={}&window=1w", "/api/credit?from={}", "/static/{}?v={}"),
)
IDS = ["zoe-secret", "a/zoe-secret", "zoe-secret propensity", "Zoé-secret"]


def test_users_ids_are_not_logged(bare: tuple[str, Path]) -> None:
    address, logged = bare
    for user in IDS:
        one = quote(user, safe="")
        for path in LOGGED:
            ask(address, path.format(one, one))
    ask(address, "/api/credit?from=the-last-one", "DELETE")
    wait_for(lambda: "DELETE /api/credit?* (" in logged.read_text())
    said = logged.read_text()
    assert "GET /api/users/*/propensity (" in said
    assert "secret" not in said
    assert "the-last-one" not in said


@pytest.mark.parametrize("user", ["x" * 1_025, "é" * 513, "👩" * 257, "x" * 30_000])
def test_an_id_that_is_too_long_is_refused(bare: tuple[str, Path], user: str) -> None:
    one = quote(user, safe="")[:60_000]
    for name in ("propensity", "explanation"):
        answer = ask(bare[0], f"/api/users/{one}/{name}")
        assert (answer.status, answer.json["parameter"]) == (400, "user_id")
    assert ask(bare[0], f"/api/users/{'x' * 1_024}/propensity").status == 404
    page = ask(bare[0], f"/app?users={one},ann")
    assert page.status == 200


def test_a_message_that_is_too_long_closes_its_websocket(bare: tuple[str, Path]) -> None:
    """Before it is read: an id of 4 MB took half a minute."""
    address, _ = bare
    token = token_of(ask(address, "/app").body)
    assert is_closed_after(address, token, 4_000_000)
    assert open_socket(address, token, Origin=address) == 101


def test_a_form_that_is_too_long_is_refused(locked: str) -> None:
    form = "username=ann&password=" + "x" * 200_000
    try:
        status = ask(locked, "/login", "POST", form, Content_Type="application/x-www-form-urlencoded").status
    except OSError:  # the server has hung up before it was sent
        status = 400
    assert status == 400
