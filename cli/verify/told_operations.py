"""Reads each operation at every door, and its story."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import httpx
from google.longrunning import operations_proto_pb2 as longrunning
from google.longrunning.operations_pb2_grpc import OperationsStub
from polystream.options.v1 import options_pb2
from polystream.v1 import operations_pb2
from polystream.v1.operations_pb2 import Operation
from polystream.v1.operations_pb2_grpc import OperationServiceStub

from cli.verify.doors import open_channel
from cli.verify.image import StoreOutcome, ToldOperation
from cli.verify.workload import has_personal_data
from mesh.errors import read_details
from mesh.proto_json import from_dict

_CALL_TIMEOUT_S: Final = 20.0
_CALLS_AT_ONCE: Final = 4
_PAUSE_S: Final = 0.5

IsWhole = Callable[[str, "ReadOperations"], bool]
_Ask = Callable[[str], Operation]


@dataclass(slots=True)
class ReadOperations:
    """What the doors tell."""

    told: dict[str, dict[str, ToldOperation]] = field(default_factory=dict)  # by correlation ID, then by door
    missing: dict[str, Sequence[str]] = field(default_factory=dict)  # of the stories
    exposed: set[str] = field(default_factory=set)  # where personal data is told, in a few words each


def read_operations(
    grpc_address: str, rest_url: str, correlation_ids: Sequence[str], wait_s: float, is_whole: IsWhole
) -> ReadOperations:
    """Ask every door for every operation; a door that tells nothing of one says why in its state.

    What is not whole is asked for again, for so many seconds at most.
    """
    found = ReadOperations()
    give_up_s = time.monotonic() + wait_s
    with (
        open_channel(grpc_address) as channel,
        httpx.Client(base_url=rest_url, timeout=_CALL_TIMEOUT_S, trust_env=False) as rest,
        ThreadPoolExecutor(_CALLS_AT_ONCE) as pool,
    ):
        doors = _doors(channel, rest, found)

        def read(correlation_id: str) -> None:
            found.told[correlation_id] = {door: _told(ask, correlation_id) for door, ask in doors.items()}

        left = list(correlation_ids)
        while left:
            list(pool.map(read, left))
            left = [one for one in left if not is_whole(one, found)]
            if time.monotonic() > give_up_s:
                break
            if left:
                time.sleep(_PAUSE_S)
    return found


def tell(operation: Operation) -> ToldOperation:
    """Return what is compared of an operation."""
    return ToldOperation(
        state=Operation.State.Name(operation.state),
        reason=read_details(operation.error).reason if operation.HasField("error") else "",
        outcomes={
            options_pb2.Store.Name(receipt.store): StoreOutcome(
                Operation.State.Name(receipt.state),
                read_details(receipt.error).reason if receipt.HasField("error") else "",
            )
            for receipt in operation.receipts
        },
        took_s=(operation.complete_time.ToMilliseconds() - operation.accept_time.ToMilliseconds()) / 1000,
    )


def _doors(channel: grpc.Channel, rest: httpx.Client, found: ReadOperations) -> Mapping[str, _Ask]:
    service = OperationServiceStub(channel)
    standard: Any = OperationsStub(channel)  # typed without its methods

    def by_grpc(correlation_id: str) -> Operation:
        request = operations_pb2.GetOperationRequest(correlation_id=correlation_id)
        operation: Operation = service.GetOperation(request, timeout=_CALL_TIMEOUT_S)
        return operation

    def by_rest(correlation_id: str) -> Operation:
        return from_dict(rest.get(f"/v1/operations/{correlation_id}").raise_for_status().json(), Operation())

    def by_standard(correlation_id: str) -> Operation:
        request = longrunning.GetOperationRequest(name=f"operations/{correlation_id}")
        answer = standard.GetOperation(request, timeout=_CALL_TIMEOUT_S)
        operation = Operation()
        answer.metadata.Unpack(operation)
        # The standard's own fields count: clients that know nothing of the metadata go by them.
        ended = Operation.FAILED if answer.HasField("error") else Operation.SUCCEEDED
        operation.state = ended if answer.done else Operation.ACCEPTED
        return operation

    def by_story(correlation_id: str) -> Operation:
        request = operations_pb2.ExplainOperationRequest(correlation_id=correlation_id)
        story = service.ExplainOperation(request, timeout=_CALL_TIMEOUT_S)
        found.missing[correlation_id] = list(story.missing)
        if has_personal_data(story.SerializeToString()):
            found.exposed.add(f"the story of {correlation_id}")
        operation: Operation = story.operation
        return operation

    return {"grpc": by_grpc, "rest": by_rest, "longrunning": by_standard, "explain": by_story}


def _told(ask: _Ask, correlation_id: str) -> ToldOperation:
    try:
        return tell(ask(correlation_id))
    except grpc.RpcError as error:
        return ToldOperation(f"not told ({error.code().name})")
    except (httpx.HTTPError, ValueError) as error:
        return ToldOperation(f"not told ({type(error).__name__})")
