"""`polystream explain CORRELATION_ID`: the whole story of one operation."""

import argparse
import sys
from typing import Final

import grpc
from polystream.v1 import operations_pb2, operations_pb2_grpc

from cli.folders import add_data_dir
from cli.printable import printable_json, write_error
from cli.running import NothingRunsError, endpoints_for
from cli.story import show
from mesh.proto_json import to_json

_TIMEOUT_S: Final = 10.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("correlation_id", metavar="CORRELATION_ID")
    parser.add_argument("--json", action="store_true", help="write JSON")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the story: 0 when nothing is missing, 1 when something is, 2 when there is no story to be had."""
    try:
        address = str(endpoints_for(arguments.data_dir)["grpc"])
    except NothingRunsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    request = operations_pb2.ExplainOperationRequest(correlation_id=arguments.correlation_id)
    try:
        with grpc.insecure_channel(address) as channel:
            stub = operations_pb2_grpc.OperationServiceStub(channel)
            story: operations_pb2.OperationStory = stub.ExplainOperation(request, timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        write_error(f"{error.code().name}: {error.details()}")
        return 2
    if arguments.json:
        sys.stdout.write(printable_json(to_json(story)) + "\n")
    else:
        show(story)
    return 1 if story.missing else 0
