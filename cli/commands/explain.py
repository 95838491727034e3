"""`polystream explain CORRELATION_ID`: the whole story of one operation."""

import argparse
import sys
from typing import Final

import grpc
from grpc_status import rpc_status
from polystream.v1 import operations_pb2, operations_pb2_grpc

from cli.arguments import correlation_id
from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir
from cli.printable import printable_json, write_error
from cli.running import endpoints_for
from cli.story import show
from mesh.direct import GRPC_OPTIONS, forget_ambient_variables
from mesh.errors import read_details
from mesh.proto_json import to_json

_TIMEOUT_S: Final = 10.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("correlation_id", type=correlation_id, metavar="CORRELATION_ID")
    parser.add_argument("--json", action="store_true", help="write JSON")
    add_platform_choice(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the story: 0 when nothing is missing, 1 when something is, 2 when there is no story to be had."""
    forget_ambient_variables()
    try:
        address = str(endpoints_for(choose_data_dir(arguments, only_one_will_do=True))["grpc"])
    except NothingRunsError as error:
        write_error(error)
        return 2
    request = operations_pb2.ExplainOperationRequest(correlation_id=arguments.correlation_id)
    try:
        with grpc.insecure_channel(address, options=GRPC_OPTIONS) as channel:
            stub = operations_pb2_grpc.OperationServiceStub(channel)
            story: operations_pb2.OperationStory = stub.ExplainOperation(request, timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        write_error(_sentence(error, address))
        return 2
    if arguments.json:
        sys.stdout.write(printable_json(to_json(story)) + "\n")
    else:
        show(story)
    return 1 if story.missing else 0


def _sentence(error: grpc.RpcError, address: str) -> str:
    """Return what to do about an answer that is no story."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # the error is the call too
    if status is None:  # it is not the platform's own answer
        return f"the gateway at {address} does not answer ({error.code().name}): `status` shows how every part is"
    faults = [f"{fault.field}: {fault.description}" for fault in read_details(status).faults]
    return "\n".join(faults) or str(status.message)
