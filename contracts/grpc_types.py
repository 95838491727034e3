"""The types of generated gRPC modules: a `.pyi` for each `_pb2_grpc.py`.

A stub made with an asyncio channel has asyncio calls, and one made with a synchronous channel synchronous
ones. A servicer may be written either way.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

_HEADER = """\
# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio
"""
_CONTEXT = """
class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...
"""


def grpc_types(file: FileDescriptorProto, files: Iterable[FileDescriptorProto]) -> str:
    """Return the text of the file's `_pb2_grpc.pyi`. `files` are the file and all that it imports."""
    names = _python_names(files)
    used = {m for service in file.service for method in service.method for m in (method.input_type, method.output_type)}
    modules = sorted({names[name][0] for name in used})
    lines = [_HEADER, *(f"import {module}" for module in modules), _CONTEXT]
    qualified = {name: ".".join(names[name]) for name in used}
    for service in file.service:
        lines.extend(_service(service, qualified))
    return "\n".join(lines) + "\n"


def _python_names(files: Iterable[FileDescriptorProto]) -> dict[str, tuple[str, str]]:
    """Return module and class of every message, by its full name with a leading dot."""
    names: dict[str, tuple[str, str]] = {}
    for file in files:
        module = file.name.removesuffix(".proto").replace("/", ".") + "_pb2"
        prefix = f".{file.package}" if file.package else ""
        for path in _nested(file.message_type):
            names[f"{prefix}.{path}"] = (module, path)
    return names


def _nested(messages: Iterable[DescriptorProto], prefix: str = "") -> Iterator[str]:
    for message in messages:
        yield prefix + message.name
        yield from _nested(message.nested_type, f"{prefix}{message.name}.")


def _service(service: ServiceDescriptorProto, names: dict[str, str]) -> Iterator[str]:
    name = service.name
    yield f"class {name}Stub:"
    yield "    @typing.overload"
    yield f"    def __new__(cls, channel: grpc.Channel) -> {name}Stub: ..."
    yield "    @typing.overload"
    yield f"    def __new__(cls, channel: grpc.aio.Channel) -> {name}AsyncStub: ..."
    for method in service.method:
        yield f"    {method.name}: {_callable('grpc', method, names)}"
    yield "\n@typing.type_check_only"
    yield f"class {name}AsyncStub({name}Stub):"
    for method in service.method:
        yield f"    {method.name}: {_callable('grpc.aio', method, names)}  # type: ignore[assignment]"
    yield f"\nclass {name}Servicer:"
    for method in service.method:
        yield from _servicer_method(method, names)
    yield f"\ndef add_{name}Servicer_to_server("
    yield f"    servicer: {name}Servicer, server: grpc.Server | grpc.aio.Server"
    yield ") -> None: ...\n"


def _callable(package: str, method: MethodDescriptorProto, names: dict[str, str]) -> str:
    sent = "Stream" if method.client_streaming else "Unary"
    received = "Stream" if method.server_streaming else "Unary"
    arguments = f"{names[method.input_type]}, {names[method.output_type]}"
    return f"{package}.{sent}{received}MultiCallable[{arguments}]"


def _servicer_method(method: MethodDescriptorProto, names: dict[str, str]) -> Iterator[str]:
    request, response = names[method.input_type], names[method.output_type]
    if method.client_streaming:
        argument = f"request_iterator: collections.abc.AsyncIterator[{request}]"
    else:
        argument = f"request: {request}"
    if method.server_streaming:
        returned = f"collections.abc.Iterator[{response}] | collections.abc.AsyncIterator[{response}]"
    else:
        returned = f"{response} | collections.abc.Awaitable[{response}]"
    yield f"    def {method.name}("
    yield f"        self, {argument}, context: _Context"
    yield f"    ) -> {returned}: ..."
