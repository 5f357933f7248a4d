"""A small schema registry for tests: the few requests that are asked of one, and ways not to answer them."""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOW_NOT = ("closed", "hangs", "HTTP 500", "HTTP 503", "HTTP 429", "HTTP 404", "HTTP 302", "no JSON", "a list")
"""Ways not to answer."""


class SmallRegistry:
    """Answers by `schemas` (the texts by id); `how` is one of `HOW_NOT`, or empty where it answers."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.how, self.asked, self.users = "", list[str](), set[str | None]()
        self.goes_on = threading.Event()
        small = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                small.asked.append(self.path)
                small.users.add(self.headers.get("Authorization"))
                small.answer(self)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        sent = json.loads(request.rfile.read(length)) if length else {}
        match self.how:
            case "closed":
                request.close_connection = True
                return
            case "hangs":
                self.goes_on.wait(30)
                request.close_connection = True
                return
            case "no JSON":
                status, body = 200, b"<html>"
            case "a list":
                status, body = 200, b"[[]]"
            case how if how:
                status, body = int(how.removeprefix("HTTP ")), b"<html>"
            case _:
                status, found = self._found(request.path, sent)
                body = json.dumps(found).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _found(self, path: str, sent: dict[str, Any]) -> tuple[int, object]:
        if path.startswith("/schemas/types"):
            return 200, ["AVRO"]
        if path.startswith("/subjects/"):
            if path.startswith("/subjects/type-"):  # type-ID/versions/1
                schema_id = int(path.split("/")[2].removeprefix("type-"))
                missing = {"error_code": 40401, "message": "no such subject"}
                return (200, self.schemas[schema_id]) if schema_id in self.schemas else (404, missing)
            if path.startswith("/subjects/taken/"):
                return 409, {"error_code": 409, "message": "Schema is\nincompatible"}
            for schema_id, known in self.schemas.items():
                if known["schema"] == sent["schema"]:
                    return 200, {"id": schema_id, "guid": known.get("guid")}
            self.schemas[len(self.schemas) + 1] = {"schema": sent["schema"], "guid": str(uuid.uuid4())}
            return 200, {"id": len(self.schemas), "guid": self.schemas[len(self.schemas)]["guid"]}
        asked = path.partition("?")[0].rpartition("/")[2]
        if path.startswith("/schemas/guids/"):
            found = [known for known in self.schemas.values() if known.get("guid") == asked]
            return (200, found[0]) if found else (404, {"error_code": 40403, "message": "no such GUID"})
        if not path.startswith("/schemas/ids/"):
            return 404, {"error_code": 404, "message": "no such path"}
        schema_id = int(asked)
        if schema_id in self.schemas:
            return 200, self.schemas[schema_id]
        return 404, {"error_code": 40403, "message": f"Schema {schema_id} not found"}

    def stop(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
