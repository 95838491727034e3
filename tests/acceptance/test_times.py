"""Times are kept to the microsecond on their whole way, as the reference says; what is finer is cut off."""

from typing import Final

import httpx
import pytest
from google.protobuf.descriptor import Descriptor

from mesh.catalog import load_catalog
from tests.acceptance.conftest import Finished

pytestmark = pytest.mark.every_engine_set

_VIEW: Final = {"content_id": 5678, "title": "Cidade", "kind": "MOVIE"}
_TIMESTAMP: Final = "google.protobuf.Timestamp"


def test_every_command_that_takes_a_time_is_tested_here() -> None:
    """A new one needs a test of its own below."""
    found = {
        (name, field.name)
        for name, command in load_catalog().commands.items()
        for field in _descriptor(command.request_class).fields
        if field.message_type is not None and field.message_type.full_name == _TIMESTAMP
    }
    assert found == {("RecordView", "watch_time")}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-01-31T22:15:00.123456789Z", "2026-01-31T22:15:00.123456Z"),
        ("2026-01-31T22:15:00.999999999Z", "2026-01-31T22:15:00.999999Z"),
        ("2026-01-31T22:15:00.000000999Z", "2026-01-31T22:15:00Z"),
        ("2026-01-31T22:15:00.000001Z", "2026-01-31T22:15:00.000001Z"),
        ("2026-01-31T19:15:00.120-03:00", "2026-01-31T22:15:00.120Z"),
        ("1970-01-01T00:00:00.000001Z", "1970-01-01T00:00:00.000001Z"),
        ("2099-12-31T23:59:59.999999Z", "2099-12-31T23:59:59.999999Z"),
    ],
)
def test_the_time_of_a_view(rest: httpx.Client, finished: Finished, sent: str, kept: str) -> None:
    """In the operation's result, when it is read, and when it is listed."""
    answer = rest.post("/v1/users/1234/views", json={**_VIEW, "watch_time": sent}).raise_for_status().json()
    operation = finished(answer["correlation_id"])
    assert operation["result"]["watch_time"] == kept
    view = rest.get(f"/v1/users/1234/views/{answer['correlation_id']}").json()
    assert view["watch_time"] == kept
    listed = rest.get("/v1/users/1234/views", params={"page_size": 1000}).json()["views"]
    assert kept in [one["watch_time"] for one in listed if one["view_id"] == answer["correlation_id"]]


def _descriptor(message_class: type) -> Descriptor:
    descriptor: Descriptor = message_class.DESCRIPTOR  # type: ignore[attr-defined] # every message has one
    return descriptor
