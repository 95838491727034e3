"""A stand-in for the HTTP API of OpenSearch Dashboards 2.19 and Kibana 7.17, which are in no package registry.

It does what the products' documentation and routes say of the few calls that put saved objects there, and is as strict
as they are: it wants the header against forged requests, a multipart form with a file of the right name, JSON on each
line, known types, versions that are not newer than its own, and references that lead somewhere. What it can't show is
whether the real pages draw what was imported.
"""

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, parse_qs, urlsplit

JSON = Mapping[str, Any]
Answer = tuple[int, JSON | str]

_MAX_IMPORT_BYTES: Final = 26_214_400  # the default of `savedObjects.maxImportPayloadBytes`
# The attributes that each type's mapping names: both products keep their objects in an index that takes no others.
_ATTRIBUTES: Final[Mapping[str, set[str]]] = {
    "search": {"columns", "description", "hits", "kibanaSavedObjectMeta", "sort", "title", "version"},
    "visualization": {
        *("description", "kibanaSavedObjectMeta", "savedSearchRefName", "title", "uiStateJSON", "version", "visState"),
    },
    "dashboard": {
        *("description", "hits", "kibanaSavedObjectMeta", "optionsJSON", "panelsJSON", "refreshInterval", "timeFrom"),
        *("timeRestore", "timeTo", "title", "version"),
    },
}
_ENFORCED_REFERENCES: Final = {"index-pattern", "search"}


class _Refusal(Exception):  # noqa: N818 - an answer, not a fault
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Server(Protocol):
    """Whatever answers HTTP requests."""

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the status and the body of an answer: a JSON document, or a text."""


@dataclass(slots=True)
class Product:
    """A server, and what is in it."""

    name: str
    xsrf_header: str
    settings_path: str
    newest: dict[str, str]  # the newest form of each type that it knows
    starting: int = 0  # how many requests it still answers as one that starts
    states: list[str] = field(default_factory=lambda: ["green"])  # the last one stays
    user: str = ""
    password: str = ""
    objects: dict[tuple[str, str], JSON] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)  # those that somebody has set
    imports: int = 0

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the status and the body of an answer."""
        if self.starting > 0:
            self.starting -= 1
            return 503, f"{self.name} server is not ready yet"
        try:
            self._check(method, headers)
            return 200, self._content(method, urlsplit(target), headers, body)
        except _Refusal as refusal:
            return refusal.status, {"statusCode": refusal.status, "message": refusal.message}

    def _check(self, method: str, headers: Mapping[str, str]) -> None:
        if self.user and headers.get("authorization") != f"Basic {_basic(self.user, self.password)}":
            raise _Refusal(401, "Unauthorized")
        if method != "GET" and self.xsrf_header not in headers:
            raise _Refusal(400, f"Request must contain a {self.xsrf_header} header.")

    def _content(self, method: str, url: SplitResult, headers: Mapping[str, str], body: bytes) -> JSON:
        match method, url.path:
            case "GET", "/api/status":
                state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                return {"name": self.name, "status": {"overall": {"state": state}}}
            case "POST", "/api/saved_objects/_import":
                query = parse_qs(url.query, strict_parsing=bool(url.query))
                _require(not set(query) - {"overwrite", "createNewCopies"}, 400, "[request query]: unknown key")
                return self._put(_uploaded(headers, body), overwrite=query.get("overwrite") == ["true"])
            case "GET", self.settings_path:
                pass
            case "POST", path if path.startswith(f"{self.settings_path}/"):
                _require(headers.get("content-type") == "application/json", 415, "Unsupported Media Type")
                content = json.loads(body)
                _require(set(content) == {"value"}, 400, "[request body.value]: expected value")
                self.settings[path.rpartition("/")[2]] = content["value"]
            case _:
                raise _Refusal(404, "Not Found")
        return {"settings": {name: {"userValue": value} for name, value in self.settings.items()}}

    def _put(self, objects: list[JSON], *, overwrite: bool) -> JSON:
        self.imports += 1
        _require(len({_key(saved) for saved in objects}) == len(objects), 400, "Non-unique import objects detected")
        known = [saved for saved in objects if saved["type"] in self.newest]
        errors = [_error(saved, type="unsupported_type") for saved in objects if saved not in known]
        there = {_key(saved) for saved in known} | set(self.objects)
        for saved in known:
            enforced = [of for of in saved["references"] if of["type"] in _ENFORCED_REFERENCES]
            missing = [{"type": of["type"], "id": of["id"]} for of in enforced if _key(of) not in there]
            if missing:
                errors.append(_error(saved, type="missing_references", references=missing))
            elif not overwrite and _key(saved) in self.objects:
                errors.append(_error(saved, type="conflict"))
            elif unknown := set(saved["attributes"]) - _ATTRIBUTES.get(saved["type"], set(saved["attributes"])):
                message = f"mapping set to strict, dynamic introduction of {sorted(unknown)} is not allowed"
                errors.append(_error(saved, type="unknown", statusCode=400, message=message))
        for saved in known:
            version = saved["migrationVersion"].get(saved["type"], "0.0.0")
            newer = _parts(version) > _parts(self.newest[saved["type"]])
            _require(not newer, 422, f'Document "{saved["id"]}" belongs to a more recent version of {self.name}')
        if not {error["error"]["type"] for error in errors} & {"conflict", "missing_references"}:
            refused = {_key(error) for error in errors}
            self.objects |= {_key(saved): saved for saved in known if _key(saved) not in refused}
        answer = {"success": not errors, "successCount": len(objects) - len(errors)}
        return answer | ({"errors": errors} if errors else {})


def opensearch_dashboards() -> Product:
    """Return an OpenSearch Dashboards 2.19 in which nobody has done anything."""
    newest = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
    return Product("OpenSearch Dashboards", "osd-xsrf", "/api/opensearch-dashboards/settings", newest)


def kibana() -> Product:
    """Return a Kibana 7.17 in which nobody has done anything."""
    newest = {"index-pattern": "7.11.0", "search": "7.9.3", "visualization": "7.17.0", "dashboard": "7.17.1"}
    return Product("Kibana", "kbn-xsrf", "/api/kibana/settings", newest)


@contextmanager
def serving(server: Server, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve on a free port, by TLS where a context is given; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = server.answer(self.command, self.path, headers, body)
            is_text = isinstance(content, str)
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain" if is_text else "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, name="dashboards")
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def _basic(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


def _require(condition: bool, status: int, message: str) -> None:
    if not condition:
        raise _Refusal(status, message)


def _uploaded(headers: Mapping[str, str], body: bytes) -> list[JSON]:
    """Return the objects in the file of a form."""
    _require(len(body) <= _MAX_IMPORT_BYTES, 413, "Payload content length greater than maximum allowed")
    content_type = headers.get("content-type", "")
    _require(content_type.startswith("multipart/form-data; boundary="), 415, "Unsupported Media Type")
    form = message_from_bytes(f"content-type: {content_type}\r\n\r\n".encode() + body)
    parts = {part.get_param("name", header="content-disposition"): part for part in form.walk()}
    _require("file" in parts, 400, "[request body.file]: expected value of type [Stream] but got [undefined]")
    name = str(parts["file"].get_filename())
    _require(name.lower().endswith(".ndjson"), 400, f"Invalid file extension {name}")
    payload = parts["file"].get_payload(decode=True)
    assert isinstance(payload, bytes)
    try:
        return [json.loads(line) for line in payload.decode().split("\n") if line.strip()]
    except ValueError as error:
        raise _Refusal(400, str(error)) from error


def _key(of: JSON) -> tuple[str, str]:
    return of["type"], of["id"]


def _error(saved: JSON, **cause: Any) -> dict[str, Any]:
    title = saved["attributes"]["title"]
    return {"id": saved["id"], "type": saved["type"], "title": title, "meta": {"title": title}, "error": cause}


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
