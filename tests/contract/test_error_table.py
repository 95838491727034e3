"""The reference's table of errors says what the gateway answers."""

import pytest

from contracts.reference.tables import error_table
from gateway.doors.statuses import http_status
from mesh.errors import Reason

ROWS = [[cell.strip().strip("`") for cell in line.split("|")] for line in error_table().splitlines()]


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_each_reason_has_its_http_status(reason: Reason) -> None:
    """Every reason is in it once."""
    (status,) = [row[3] for row in ROWS if len(row) > 3 and row[1] == reason.name]  # the third column
    # The HTTP layer answers these itself, before a door sees a request.
    by_http = {"HEADERS_TOO_LARGE": 431, "REQUEST_TIMEOUT": 408}
    assert int(status) == by_http.get(reason.name, http_status(reason.value.code, reason.name))
