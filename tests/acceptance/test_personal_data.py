"""Names, e-mail addresses and CPFs of known people get into no event, span, metric, log line or page.

They are driven through every command, in every place of a call and with every error that a caller can provoke, through
every door; through what a store refuses, through dead letters, and through foreign records on all topics. Then all that
the platform tells, and all that it keeps outside of the stores and the topics, is searched.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.acceptance.conftest import DOORS, Finished, Json
from tests.support.people import person
from tests.support.personal_calls import PersonalCalls
from tests.support.personal_markers import KnownPerson, found_below, found_in, known_person
from tests.support.personal_records import write_records_of
from tests.support.platform import Platform
from tests.support.waiting import eventually

_TIMEOUT_S: Final = 60.0
_PAGE_SIZE: Final = 1000
_PAGES_MAX: Final = 40  # of operations that are looked at
# What the stores and the topics keep is personal data's place.
_STORES: Final = ("postgresql", "mongodb", "redis", "kafka", "native", "archive")
_REASONS: Final = frozenset(  # that the calls must have met, or they were not driven through what they are to be
    {
        *("INVALID_FIELD", "UNKNOWN_FIELD", "MALFORMED_REQUEST", "REQUEST_TOO_LARGE", "UNSUPPORTED_CONTENT_TYPE"),
        *("UNSUPPORTED_ENCODING", "UNKNOWN_PATH", "METHOD_NOT_ALLOWED", "FOREIGN_ORIGIN", "FOREIGN_HOST"),
        *("INVALID_PAGE_TOKEN", "NOT_ACCEPTABLE"),
    }
)


@dataclass
class _Search:
    """What was driven, and what is looked for."""

    people: list[KnownPerson] = field(default_factory=list)
    authors: list[KnownPerson] = field(default_factory=list)  # whose names are in titles, which records show
    correlation_ids: list[str] = field(default_factory=list)

    def someone(self) -> KnownPerson:
        """Return a person who is looked for from now on."""
        self.people.append(known_person())
        return self.people[-1]

    def needles(self, *, titles: bool) -> list[bytes]:
        """Return what is looked for; `titles` is whether titles are no place for a name either."""
        return [
            *(needle for one in self.people for needle in one.needles()),
            *(needle for one in self.authors for needle in one.needles(name=titles)),
        ]


@pytest.fixture(scope="module")
def platform(engine_set: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Run a platform of its own: all that is told and logged is read, and other tests leave very much of that."""
    with Platform(tmp_path_factory.mktemp("personal"), engine_set=engine_set, edge=True) as running:
        yield running


@pytest.fixture
def rest(door_url: str) -> Iterator[httpx.Client]:
    """Return a REST client that waits for long lists."""
    with httpx.Client(base_url=door_url, timeout=_TIMEOUT_S) as client:
        yield client


@pytest.mark.timeout(900)
@pytest.mark.every_engine_set
def test_nothing_that_is_told_or_logged_names_anybody(
    platform: Platform, rest: httpx.Client, finished: Finished
) -> None:
    """Whatever was sent, and whatever became of it."""
    search = _Search()
    for door in DOORS:
        _call(platform, rest, finished, search, door)
    _refuse(rest, finished, search)
    told = _send_by_page(platform, search)
    search.correlation_ids += write_records_of(
        search.someone(), platform.endpoints["kafka"], platform.endpoints["schema_registry"]
    )
    eventually(lambda: rest.get(f"/v1/operations/{search.correlation_ids[-1]}").is_success, _TIMEOUT_S)
    with _given_up(platform, rest, finished, search):
        _await_all(rest, search)
        told |= {**_lists(rest), **_stories(platform, rest, search), **_metrics(platform)}
        hits = _hits(told, search.needles(titles=True))
        hits |= _hits(_pages(platform, search), search.needles(titles=False))
    hits |= found_below(search.needles(titles=True), platform.data_dir, [platform.data_dir / name for name in _STORES])
    assert hits == {}, json.dumps(hits, indent=2, ensure_ascii=False)


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """Plain, escaped, encoded, in a log and in a database: else it would prove nothing."""
    one = known_person()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "gateway-0.log").write_text(json.dumps({"name": one.name}))
    (tmp_path / "large").write_bytes(b"\0" * (8 << 20) + one.email.upper().encode())
    (tmp_path / one.dotted_cpf).write_text("")
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "out").write_text(one.cpf)
    assert [Path(path).name for path in found_below(one.needles(), tmp_path, [tmp_path / "left"])] == [
        one.dotted_cpf,
        "large",
        "gateway-0.log",
    ]
    for prefix in ("", "a", "ab"):
        assert found_in(one.needles(), base64.b64encode(f"{prefix}{one.name} and more".encode()))
    assert found_in(one.needles(), one.cpf.encode().hex().encode())
    assert not found_in(one.needles(), json.dumps(person()).encode())


def _call(platform: Platform, rest: httpx.Client, finished: Finished, search: _Search, door: str) -> None:
    """Make every call with somebody's data at a door."""
    user_id, erased_user_id = (
        str(finished(rest.post("/v1/users", json=person()).raise_for_status().json()["correlation_id"])["user_id"])
        for _ in range(2)
    )
    search.authors.append(known_person())
    address = platform.endpoints["grpc"] if door == "gateway" else httpx.URL(platform.door(door)).netloc.decode()
    calls = PersonalCalls(platform.door(door), address, search.someone(), search.authors[-1], user_id, erased_user_id)
    calls.make_all()
    assert calls.errors >= _REASONS, _REASONS - calls.errors
    search.correlation_ids += calls.correlation_ids


def _refuse(rest: httpx.Client, finished: Finished, search: _Search) -> None:
    """Have the store refuse what names somebody whom it knows already, and nobody whom it knows."""
    known, other = search.someone(), search.someone()
    fields = {"name": known.name, "email": known.email, "cpf": known.cpf, "request_id": known.email}
    created = finished(_sent(rest, search, "POST", "/v1/users", fields))
    different = {"name": other.name, "email": other.email, "cpf": other.dotted_cpf}
    reused = rest.post("/v1/users", json={**fields, "name": other.name})
    assert reused.json()["details"][0]["reason"] == "REQUEST_ID_REUSED"
    refused = (
        ("POST", "/v1/users", {**different, "email": known.email}, "EMAIL_ALREADY_EXISTS"),
        ("POST", "/v1/users", {**different, "cpf": known.cpf}, "CPF_ALREADY_EXISTS"),
        ("POST", "/v1/users", {**different, "user_id": created["user_id"]}, "USER_ALREADY_EXISTS"),
        ("PATCH", "/v1/users/999999991", {"name": known.name, "email": known.email}, "USER_NOT_FOUND"),
    )
    for verb, path, body, reason in refused:
        operation = finished(_sent(rest, search, verb, path, body))
        assert operation["error"]["details"][0]["reason"] == reason


def _send_by_page(platform: Platform, search: _Search) -> dict[str, bytes]:
    """Send by the dashboard's forms, and return the pages that answer."""
    one = search.someone()
    good = {"name": one.name, "email": one.email, "cpf": one.cpf}
    forms: tuple[tuple[str, dict[str, str]], ...] = (
        ("CreateUser", good),
        ("CreateUser", {**good, "cpf": one.dotted_cpf.replace("-", "/")}),
        ("CreateUser", {**good, "user_id": one.email, "request_id": one.email}),
        ("UpdateUser", {"user_id": "1234", **good}),
        ("CacheContent", {"content_id": one.name, "title": one.email, "genres": one.cpf, "attributes": one.email}),
        ("ListUsers", {"page_size": "1000"}),
    )
    with httpx.Client(base_url=platform.endpoints["dashboard"], timeout=_TIMEOUT_S) as dashboard:
        answers = [dashboard.post(f"/send/{rpc}", data=form).raise_for_status() for rpc, form in forms]
    search.correlation_ids += re.findall(r'href="/operations/([0-9a-f-]{36})"', answers[0].text)
    assert search.correlation_ids
    return {f"the answer to form {number}": answer.content for number, answer in enumerate(answers)}


@contextmanager
def _given_up(platform: Platform, rest: httpx.Client, finished: Finished, search: _Search) -> Iterator[None]:
    """Have PostgreSQL refuse a name that no handler expects, with a command parked behind, while the block runs."""
    one, other = search.someone(), search.someone()
    fields = {"name": one.name, "email": one.email, "cpf": one.cpf}
    user_id = finished(_sent(rest, search, "POST", "/v1/users", fields))["user_id"]
    constraint = sql.SQL("ALTER TABLE usuarios ADD CONSTRAINT personal CHECK (nome <> {}) NOT VALID")
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as db:
        db.execute(constraint.format(sql.Literal(other.name)))
        try:
            changed = {"name": other.name, "email": other.email}
            broken = _sent(rest, search, "PATCH", f"/v1/users/{user_id}", changed)
            assert finished(broken)["error"]["details"][0]["reason"] == "HANDLER_FAILED"
            _sent(rest, search, "PATCH", f"/v1/users/{user_id}", {"name": other.name, "email": one.email})
            yield
        finally:
            db.execute("ALTER TABLE usuarios DROP CONSTRAINT personal")
    shown = platform.command("dlq", "show", broken).stdout
    assert not found_in(search.needles(titles=True), shown.encode())
    assert platform.command("dlq", "redrive", broken, "--json").returncode == 0


def _sent(rest: httpx.Client, search: _Search, verb: str, path: str, body: Json) -> str:
    correlation_id = str(rest.request(verb, path, json=body).raise_for_status().json()["correlation_id"])
    search.correlation_ids.append(correlation_id)
    return correlation_id


def _await_all(rest: httpx.Client, search: _Search) -> None:
    """Wait until every command that was accepted is answered, or waits behind another one."""

    def is_answered(correlation_id: str) -> bool:
        answer = rest.get(f"/v1/operations/{correlation_id}")
        operation = answer.json()
        is_parked = any(receipt.get("waits_behind") for receipt in operation.get("receipts", []))
        return answer.is_error or operation["state"] != "ACCEPTED" or is_parked

    search.correlation_ids[:] = dict.fromkeys(search.correlation_ids)
    for correlation_id in search.correlation_ids:
        eventually(lambda asked=correlation_id: is_answered(asked), _TIMEOUT_S)  # type: ignore[misc]


def _lists(rest: httpx.Client) -> dict[str, bytes]:
    """Return all events, spans and operations."""
    told = {}
    for name in ("events", "spans", "operations"):
        token = ""
        for number in range(_PAGES_MAX):
            page = rest.get(f"/v1/{name}", params={"page_size": _PAGE_SIZE, "page_token": token}).raise_for_status()
            told[f"/v1/{name}, page {number}"] = page.content
            token = page.json().get("next_page_token", "")
            if not token:
                break
        assert told[f"/v1/{name}, page 0"].count(b"correlation_id")
    return told


def _stories(platform: Platform, rest: httpx.Client, search: _Search) -> dict[str, bytes]:
    """Return the stories of some operations, as the API and as the dashboard give them."""
    told = {}
    with httpx.Client(base_url=platform.endpoints["dashboard"], timeout=_TIMEOUT_S) as dashboard:
        for correlation_id in _some(search.correlation_ids):
            told[f"{correlation_id} explained"] = rest.get(f"/v1/operations/{correlation_id}:explain").content
            told[f"{correlation_id} as JSON"] = dashboard.get(f"/api/operations/{correlation_id}?download").content
    return told


def _metrics(platform: Platform) -> dict[str, bytes]:
    """Return what each process gives Prometheus."""
    processes = json.loads(platform.command("status", "--json").stdout)["processes"]
    urls = [process["metrics_url"] for process in processes if process["metrics_url"]]
    assert urls
    return {url: httpx.get(url, timeout=_TIMEOUT_S).raise_for_status().content for url in urls}


def _pages(platform: Platform, search: _Search) -> dict[str, bytes]:
    """Return every page of the dashboard, those of parts and of some operations among them, once each is complete."""
    with httpx.Client(base_url=platform.endpoints["dashboard"], timeout=_TIMEOUT_S) as dashboard:
        first = dashboard.get("/?lang=en").raise_for_status().text
        navigation = first[first.index("<nav") : first.index("</nav>")]
        paths = [path for path in re.findall(r'href="(/[^"#?]*)"', navigation) if not path.startswith("/docs")]
        assert {"/", "/operations", "/dead-letters", "/parts"} <= {*paths}
        paths += [f"/parts/{process.name}" for process in platform.state.processes]
        paths += [f"/operations/{correlation_id}" for correlation_id in _some(search.correlation_ids)]
        told = {path: _complete(lambda asked=path: dashboard.get(asked, params={"lang": "en"})) for path in paths}  # type: ignore[misc]
        assert any(b"CreateUserRequest" in page for page in told.values())
        again = {
            link for page in told.values() for link in re.findall(r'href="(/send/[^"]*again[^"]*)"', page.decode())
        }
        told |= {link: dashboard.get(link.replace("&amp;", "&")).raise_for_status().content for link in again}
    return told


def _complete(ask: Callable[[], httpx.Response]) -> bytes:
    """Return a page that asks for nothing any more; one of what was never accepted says that there is no such thing."""
    end_s = time.monotonic() + _TIMEOUT_S
    while True:
        answer = ask()
        assert answer.status_code in {200, 404}
        if b"being asked" not in answer.content:
            return answer.content
        assert time.monotonic() < end_s


def _some(correlation_ids: Sequence[str]) -> Sequence[str]:
    """Return the newest ones, which were driven one by one, and as many of the others, evenly."""
    newest, others = correlation_ids[-_PAGES_MAX:], correlation_ids[:-_PAGES_MAX]
    return [*newest, *others[:: max(1, len(others) // _PAGES_MAX)]]


def _hits(told: dict[str, Any], needles: Sequence[bytes]) -> dict[str, list[str]]:
    return {place: hits for place, content in told.items() if (hits := found_in(needles, content))}
