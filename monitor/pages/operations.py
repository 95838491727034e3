"""Operations: searched by all that is known of them, with what an open one waits for, and each store's outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from polystream.options.v1.options_pb2 import Store
from polystream.v1 import operations_pb2 as pb
from polystream.v1.operations_pb2 import Operation
from starlette.requests import Request

from mesh.catalog import Catalog
from mesh.operation import is_done
from monitor.listing.fields import OPERATIONS
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.search import SearchForm
from monitor.service import EventLog

INTERVAL_S: Final = 2.0
# The fields of the list that the form's are looked for in.
FIELDS: Final = {
    **{name: name for name in ("state", "command", "user_id", "reason", "store", "correlation_id", "trace_id")},
    "text": "error",
}


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
        self._form = SearchForm(OPERATIONS, FIELDS, catalog.commands)

    async def view(self, request: Request) -> Shown:
        found = await self._form.look_for(request.query_params, pb.ListOperationsRequest, self._log.operations_page)
        operations = [] if found.page is None else found.page.operations
        return self._form.shown(found, operations=[listed(each, self._catalog) for each in operations])


def page(log: EventLog, catalog: Catalog) -> DashboardPage:
    """Return the page."""
    return DashboardPage("operations", "/operations", _Operations(log, catalog).view, INTERVAL_S)
