"""The list of operations: by state, command and user; what an open one waits for; each store's outcome."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from polystream.options.v1.options_pb2 import Store
from polystream.v1 import operations_pb2 as pb
from polystream.v1.operations_pb2 import Operation
from starlette.requests import Request

from mesh.catalog import Catalog
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.operation import is_done
from monitor.pages.page import DashboardPage, Shown
from monitor.service import EventLog

INTERVAL_S: Final = 2.0
PAGE_SIZES: Final = (25, 50, 100)
_DEFAULT_SIZE: Final = 50
_USER_ID_DIGITS: Final = 16
STATES: Final = ("ACCEPTED", "SUCCEEDED", "FAILED")


@dataclass(frozen=True, slots=True)
class PartialOutcome:
    """What one store has made of a command."""

    store: str
    state: str  # ACCEPTED while it has not answered, or the command waits
    waits_behind: str = ""  # the correlation ID of the command that it waits for


@dataclass(frozen=True, slots=True)
class Listed:
    """An operation in the list."""

    operation: Operation
    state: str
    took_ms: float | None
    outcomes: Sequence[PartialOutcome]

    @property
    def waits_for(self) -> Sequence[PartialOutcome]:
        """The stores that an open one waits for."""
        return [] if is_done(self.operation) else [each for each in self.outcomes if each.state == "ACCEPTED"]


def listed(operation: Operation, catalog: Catalog) -> Listed:
    """Return an operation with what every store of its command has made of it."""
    receipts: dict[int, Operation.Receipt] = {receipt.store: receipt for receipt in operation.receipts}
    command = catalog.commands.get(operation.command)
    stores: dict[int, str] = {Store.Value(name): name for name in (command.stores if command else ())}
    stores |= {receipt.store: Store.Name(receipt.store) for receipt in operation.receipts}
    outcomes = []
    for number, name in stores.items():
        receipt = receipts.get(number)
        state = Operation.State.Name(receipt.state) if receipt else "ACCEPTED"
        outcomes.append(PartialOutcome(name, state, receipt.waits_behind if receipt else ""))
    took_ms = None
    if operation.HasField("complete_time"):
        took_ms = (operation.complete_time.ToMicroseconds() - operation.accept_time.ToMicroseconds()) / 1000
    return Listed(operation, Operation.State.Name(operation.state), took_ms, outcomes)


class _Operations:
    def __init__(self, log: EventLog, catalog: Catalog) -> None:
        self._log = log
        self._catalog = catalog

    async def view(self, request: Request) -> Shown:
        query = request.query_params
        wanted = pb.ListOperationsRequest(
            page_size=_size(query.get("page_size", "")),
            page_token=query.get("page_token", ""),
            state=query["state"] if query.get("state") in STATES else None,
            command=query.get("command", ""),
            user_id=_user_id(query.get("user_id", "")),
        )
        found = await asyncio.to_thread(self._log.page, wanted)
        return Shown(
            {
                "operations": [listed(operation, self._catalog) for operation in found.operations],
                "next_page_token": found.next_page_token,
                "is_filtered": bool(wanted.state or wanted.command or wanted.user_id),
                "wanted": wanted,
                "state": query.get("state", ""),
                "states": STATES,
                "commands": sorted(self._catalog.commands),
                "page_sizes": PAGE_SIZES,
            }
        )


def page(log: EventLog, catalog: Catalog) -> DashboardPage:
    """Return the page."""
    return DashboardPage("operations", "/operations", _Operations(log, catalog).view, INTERVAL_S)


def _size(text: str) -> int:
    return next((size for size in PAGE_SIZES if str(size) == text), _DEFAULT_SIZE)


def _user_id(text: str) -> int:
    """Return a user's ID; 0 for none. Raises PolystreamError with INVALID_FIELD for what is none."""
    text = text.strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _USER_ID_DIGITS and 0 < int(text) < 2**53):
        raise PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault("user_id", "is no user's ID")])
    return int(text)
