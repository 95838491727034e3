"""Good commands of each store, sent while others write foreign records, and the look at what became of them."""

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.support.people import person

_USER: Final = 1234  # is there from the first start on
_CONTENT_IDS: Final = itertools.count(7_000_000_001)
_WAIT: Final = "30s"  # for one operation at a time
_SHOWN_MAX: Final = 5

Applied = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class GoodCommand:
    """A command that was acknowledged."""

    correlation_id: str
    is_applied: Applied  # by what the store now has; it is given the operation


class GoodCommands:
    """Sends commands one after the other. What is accepted is in `ids` at once, for another thread."""

    def __init__(self, rest_url: str) -> None:
        self._rest = httpx.Client(base_url=rest_url, timeout=60)
        self._sent: list[GoodCommand] = []
        self.ids: list[str] = []

    def send(self, count: int) -> None:
        """Send so many, of each store in turn, some under a request ID."""
        makers = itertools.cycle((self._user, self._view, self._content))
        for number, make in zip(range(count), makers, strict=False):
            path, fields, is_applied = make()
            if number % 2:
                fields["request_id"] = f"record-fuzz-{time.time_ns()}-{number}"
            accepted = self._rest.post(path, json=fields).raise_for_status().json()
            self._sent.append(GoodCommand(accepted["correlation_id"], is_applied))
            self.ids.append(accepted["correlation_id"])

    def faults(self, timeout_s: float) -> list[str]:
        """Wait until each is told, for so long at most; return those that are not, or not as they should be."""
        give_up_s = time.monotonic() + timeout_s
        faults = []
        for sent in self._sent:
            operation = self._ended(sent.correlation_id, give_up_s)
            if operation["state"] != "SUCCEEDED":
                error = json.dumps(operation.get("error"))
                faults.append(f"the good command {sent.correlation_id} is {operation['state']}: {error}")
            elif not sent.is_applied(operation):
                faults.append(f"the good command {sent.correlation_id} is told and not applied")
        return [*faults[:_SHOWN_MAX], *([f"{len(faults)} good commands are wrong"] if faults else [])]

    def story_faults(self, timeout_s: float) -> list[str]:
        """Return whose story is not the command's own, as the event log has it."""
        give_up_s = time.monotonic() + timeout_s
        faults = []
        for sent in self._sent:
            told = self._story(sent.correlation_id)
            while told["operation"]["state"] != "SUCCEEDED" and time.monotonic() < give_up_s:
                told = self._story(sent.correlation_id)
            operation, hops = told["operation"], told["hops"]
            accepted = [hop for hop in hops if hop["event_type"] == "command.accepted"]
            services = [hop.get("service", "") for hop in accepted]
            # What a lane did with a foreign record is a span that names the command and has no parent.
            missing = [what for what in told.get("missing", ()) if not what.startswith("the spans are no single tree")]
            if operation["state"] != "SUCCEEDED" or services != ["gateway-0"] or missing:
                said = f"{operation['state']}, accepted by {services}, missing {missing}"
                faults.append(f"the story of the good command {sent.correlation_id}: {said}")
        return [*faults[:_SHOWN_MAX], *([f"{len(faults)} stories are wrong"] if faults else [])]

    def repeated(self) -> int:
        """Return how many foreign records the stories show as such."""
        hops = itertools.chain.from_iterable(self._story(each)["hops"] for each in self.ids)
        return sum(hop["event_type"] == "command.repeated" for hop in hops)

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def _ended(self, correlation_id: str, give_up_s: float) -> dict[str, Any]:
        while True:
            answer = self._rest.post(f"/v1/operations/{correlation_id}:wait", json={"timeout": _WAIT})
            operation: dict[str, Any] = answer.raise_for_status().json()
            if operation["state"] != "ACCEPTED" or time.monotonic() > give_up_s:
                return operation

    def _story(self, correlation_id: str) -> dict[str, Any]:
        story: dict[str, Any] = self._rest.get(f"/v1/operations/{correlation_id}:explain").raise_for_status().json()
        return story

    def _user(self) -> tuple[str, dict[str, Any], Applied]:
        fields = person()

        def is_applied(operation: dict[str, Any]) -> bool:
            return self._has(f"/v1/users/{operation['user_id']}", name=fields["name"])

        return "/v1/users", dict(fields), is_applied

    def _view(self) -> tuple[str, dict[str, Any], Applied]:
        title = f"Filme {next(_CONTENT_IDS)}"

        def is_applied(operation: dict[str, Any]) -> bool:
            return self._has(f"/v1/users/{_USER}/views/{operation['correlation_id']}", title=title)

        return f"/v1/users/{_USER}/views", {"content_id": 5678, "title": title, "kind": "MOVIE"}, is_applied

    def _content(self) -> tuple[str, dict[str, Any], Applied]:
        path = f"/v1/contents/{next(_CONTENT_IDS)}"
        title = f"Série {path}"
        return path, {"title": title, "kind": "SERIES"}, lambda _: self._has(path, title=title)

    def _has(self, path: str, **fields: str) -> bool:
        answer = self._rest.get(path)
        return answer.is_success and fields.items() <= answer.json().items()
