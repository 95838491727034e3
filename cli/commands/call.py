"""`polystream call Service/Method JSON`: call any method of the running platform, by reflection."""

import argparse
import json
import sys
from typing import Any, Final

import grpc
from grpc_status import rpc_status

from cli.arguments import whole_number
from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir
from cli.printable import json_text, printable_json, write_error
from cli.reflection import ReflectedServer, UncallableError
from cli.running import endpoints_for
from mesh.direct import GRPC_OPTIONS, forget_ambient_variables
from mesh.errors import read_details

_REQUEST_MAX_BYTES: Final = 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("method", nargs="?", metavar="METHOD", help="such as UserService/GetUser")
    parser.add_argument(
        "request", nargs="?", default="{}", metavar="JSON", help="the request; `-` reads it from standard input"
    )
    parser.add_argument("--list", action="store_true", help="show every method instead")
    parser.add_argument(
        "-H", dest="headers", action="append", default=[], type=_header, metavar="KEY:VALUE", help="send a header"
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="another server's; else the running platform's")
    parser.add_argument(
        "--timeout-s", type=whole_number(1, 3600), default=30, metavar="S", help="how long it may take (default: 30)"
    )
    parser.add_argument("--json", action="store_true", help="write errors as JSON too, whole, to standard output")
    add_platform_choice(parser)


def run(arguments: argparse.Namespace) -> int:
    """Call, and write each answer as JSON: 0; 1 for an error of the server's, 2 where it could not be called."""
    forget_ambient_variables()
    address = arguments.address
    try:
        address = address or str(endpoints_for(choose_data_dir(arguments, only_one_will_do=True))["grpc"])
        with grpc.insecure_channel(address, options=GRPC_OPTIONS) as channel:
            server = ReflectedServer(channel)
            if arguments.list:
                for each in server.methods():
                    sys.stdout.write(f"{each.containing_service.full_name}/{each.name}\n")
                return 0
            method, request = server.method(arguments.method or ""), _request(arguments.request)
            for answer in server.call(method, request, arguments.headers, arguments.timeout_s):
                sys.stdout.write(printable_json(server.to_json(answer)) + "\n")
                sys.stdout.flush()
    except (NothingRunsError, UncallableError) as error:
        write_error(error)
        return 2
    except grpc.RpcError as error:
        return _fail(error, address, as_json=arguments.json)
    return 0


def _request(text: str) -> dict[str, Any]:
    """Return the request that a JSON text has. Raises UncallableError."""
    said = sys.stdin.read(_REQUEST_MAX_BYTES + 1) if text == "-" else text
    if len(said) > _REQUEST_MAX_BYTES:
        raise UncallableError(f"the request is longer than {_REQUEST_MAX_BYTES} characters")
    try:
        request = json.loads(said)
    except json.JSONDecodeError as error:
        raise UncallableError(
            f"the request is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise UncallableError("the request is nested too deep") from error
    if not isinstance(request, dict):
        raise UncallableError("the request is a JSON object, such as '{\"user_id\": 1234}'")
    return request


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no header: write it as key:value")
    return name.strip().lower(), value.strip()


def _fail(error: grpc.RpcError, address: str, *, as_json: bool) -> int:
    """Write what the server says is wrong, the sentence that helps first."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # the error is the call too
    if as_json:
        document: dict[str, Any] = {"code": error.code().name, "message": error.details() or ""}
        if status is not None:
            details = read_details(status)
            violations = [
                {"field": fault.field, "description": fault.description, "rule": fault.rule} for fault in details.faults
            ]
            document |= {"reason": details.reason, "field_violations": violations}
        sys.stdout.write(json_text(document) + "\n")
        return 1
    if status is None:  # it is not the platform's own answer
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            write_error(f"nothing answers at {address}: `status` shows how every part is")
        else:
            write_error(f"{error.code().name}: {error.details()}")
        return 1
    details = read_details(status)
    faults = [f"{fault.field}: {fault.description}" for fault in details.faults]
    write_error("\n".join(faults) or status.message)
    write_error(f"({error.code().name}{f', {details.reason}' if details.reason else ''}; --json shows all of it)")
    return 1
