"""A protoc plugin that writes the SDK's services: a typed method for every RPC of the public API.

One module a proto file, named after it, with the class of its service, and the class `Services`, which has each
under that name. What a method does stands in the hand-written `polystream_sdk.calls`; here is only which kind of
call it is:

- a command returns a handle on its operation, whose result has the type that the command's option names;
- a list, whose request has `page_token`, returns a pager;
- a stream returns an asynchronous iterator;
- anything else returns its response.

Fields in the path of an RPC's canonical REST address are required arguments. `_fields.py` beside them has what every
field of a request takes: `contracts.sdk_fields`.
"""

import re
import textwrap
from collections.abc import Iterator

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor

from contracts.descriptors import COMMAND_OPTION, Descriptors
from contracts.plugin import PluginError, run_plugin
from contracts.sdk_fields import FIELDS_MODULE, fields_module, table_name
from contracts.sdk_types import Argument, Names, argument, python_name

_PACKAGE = "polystream.v1"
_REQUEST_ID, _PAGE_TOKEN, _NEXT_PAGE_TOKEN = "request_id", "page_token", "next_page_token"
_OPTIONS = (
    Argument("timeout_s", "float | None", "None"),
    Argument("traceparent", "str | None", "None"),
)
_OPTION_COMMENTS = {
    "timeout_s": "How long the call may take at the most, in seconds, retries included; the client's own when None.",
    "traceparent": "W3C trace context of the caller; OpenTelemetry's current one when None.",
}
_LINE_MAX = 120
_VERBS = ("get", "put", "post", "delete", "patch")


def generate(request: CodeGeneratorRequest) -> dict[str, str]:
    """Return a module for every file of the public API that has a service, and the module that has them all."""
    descriptors = Descriptors(request)
    declared = [file for file in descriptors.files if file.package == _PACKAGE and file.services_by_name]
    files = sorted(declared, key=_module)
    modules = {f"{_module(file)}.py": _service_module(file, descriptors) for file in files}
    requests = [method.input_type for file in files for method in _service(file).methods]
    return {
        **modules,
        "__init__.py": _services_module(files, descriptors),
        f"{FIELDS_MODULE}.py": fields_module(requests),
    }


def _module(file: FileDescriptor) -> str:
    return python_name(file.name.rsplit("/", 1)[-1].removesuffix(".proto"))


def _service(file: FileDescriptor) -> ServiceDescriptor:
    services = list(file.services_by_name.values())
    if len(services) != 1:
        raise PluginError(f"{file.name} has {len(services)} services: the SDK names one after its file")
    return services[0]


def _services_module(files: list[FileDescriptor], descriptors: Descriptors) -> str:
    imports = [f"from polystream_sdk.services.{_module(file)} import {_service(file).name}" for file in files]
    lines = [
        '"""Every service of the API. Generated from the protos: do not edit."""',
        "",
        "from polystream_sdk.calls import Calls",
        *imports,
        "",
        "",
        "class Services:",
        '    """Has every service of the API."""',
        "",
        "    def __init__(self, calls: Calls) -> None:",
    ]
    for file in files:
        service = _service(file)
        lines.append(f"        self.{_module(file)} = {service.name}(calls)")
        lines.extend(_docstring(descriptors.comment(service.full_name), "        "))
    return "\n".join(lines) + "\n"


def _service_module(file: FileDescriptor, descriptors: Descriptors) -> str:
    service, names = _service(file), Names()
    stub = names.use(f"polystream_api.{_PACKAGE}", f"{service.name}Stub")
    body = [
        "",
        f"class {service.name}:",
        *_docstring(descriptors.comment(service.full_name), "    "),
        "",
        f"    def __init__(self, calls: {names.use('polystream_sdk.calls', 'Calls')}) -> None:",
        "        self._calls = calls",
        "",
        "    @property",
        f"    def _stub(self) -> {stub}:",
        f"        return {stub}(self._calls.channel)",
    ]
    for method in service.methods:
        body.extend(["", *_method(method, descriptors, names)])
    head = [f'"""{service.name} of the API. Generated from the protos: do not edit."""', "", *names.imports()]
    return "\n".join([*head, *body]) + "\n"


def _method(method: MethodDescriptor, descriptors: Descriptors, names: Names) -> Iterator[str]:
    if method.client_streaming:
        raise PluginError(f"{method.full_name} streams requests, which the SDK has no form for")
    fields = _ordered(method, descriptors)
    arguments = [argument(field, names, required=required) for field, required in fields]
    comments = {a.name: descriptors.comment(field.full_name) for a, (field, _) in zip(arguments, fields, strict=True)}
    if clash := comments.keys() & _OPTION_COMMENTS.keys():
        raise PluginError(f"{method.full_name} has the field {clash.pop()}, which is an option of every call")
    if _REQUEST_ID in comments:
        comments[_REQUEST_ID] += " Made automatically when empty."
    prefix, returned, call = _call(method, arguments, descriptors, names)
    yield f"    {prefix} {_snake(method.name)}("
    yield "        self,"
    yield "        *,"
    yield from (f"        {a.declaration}," for a in (*arguments, *_OPTIONS))
    yield f"    ) -> {returned}:"
    yield from _docstring(descriptors.comment(method.full_name), "        ", comments | _OPTION_COMMENTS)
    yield from call


def _ordered(method: MethodDescriptor, descriptors: Descriptors) -> list[tuple[FieldDescriptor, bool]]:
    """Return the fields of a request, and whether each is required: those come first."""
    http = descriptors.option(method, "google.api.http")
    address = next((getattr(http, verb) for verb in _VERBS if getattr(http, verb, "")), "")
    in_path = re.findall(r"\{(\w+)[=}]", address)
    fields = [(field, field.name in in_path) for field in method.input_type.fields]
    return sorted(fields, key=lambda pair: not pair[1])


def _call(
    method: MethodDescriptor, arguments: list[Argument], descriptors: Descriptors, names: Names
) -> tuple[str, str, Iterator[str]]:
    """Return how the method is defined, what it returns, and its body."""
    given = [a.name for a in arguments]
    response = names.message(method.output_type)
    command = descriptors.option(method, COMMAND_OPTION)
    resendable = command is not None and _REQUEST_ID in given
    request = _request(method.input_type, given, names, maker="make_command" if resendable else "make_request")
    if command is not None:
        result = names.message(descriptors.message(command.result))
        handle = names.use("polystream_sdk.operation", "OperationHandle")
        return "async def", f"{handle}[{result}]", _command(method, request, result, resendable=resendable)
    if method.server_streaming:
        iterator = names.use("collections.abc", "AsyncIterator")
        return "def", f"{iterator}[{response}]", _body("return self._calls.stream(", method, request)
    if _PAGE_TOKEN in given and _NEXT_PAGE_TOKEN in method.output_type.fields_by_name:
        items, item_type = _items(method)
        pager = names.use("polystream_sdk.pages", "Pager")
        item = names.message(item_type)
        return "def", f"{pager}[{response}, {item}]", _paged(method, request, python_name(items.name))
    return "async def", response, _body("return await self._calls.unary(", method, request)


def _items(method: MethodDescriptor) -> tuple[FieldDescriptor, Descriptor]:
    found = [(f, f.message_type) for f in method.output_type.fields if f.is_repeated and f.message_type is not None]
    if len(found) != 1:
        raise PluginError(f"{method.output_type.full_name} is a page and should have one repeated message")
    return found[0]


def _body(call: str, method: MethodDescriptor, request: list[str], *extra: str) -> Iterator[str]:
    yield f"        {call}"
    yield f"            self._stub.{_snake(method.name)},"
    yield from request
    yield from (f"            {argument}," for argument in extra)
    yield from (f"            {option.name}={option.name}," for option in _OPTIONS)
    yield "        )"


def _command(method: MethodDescriptor, request: list[str], result: str, *, resendable: bool) -> Iterator[str]:
    # Without a request_id, the command would have its effect twice.
    extra = () if resendable else ("resendable=False",)
    yield from _body("accepted = await self._calls.unary(", method, request, *extra)
    yield f"        return OperationHandle(self._calls, accepted, {result})"


def _paged(method: MethodDescriptor, request: list[str], items: str) -> Iterator[str]:
    yield "        return self._calls.pages("
    yield f"            lambda: self._stub.{_snake(method.name)},"
    yield from request
    yield f"            lambda page: page.{items},"
    yield from (f"            {option.name}={option.name}," for option in _OPTIONS)
    yield "        )"


def _request(message: Descriptor, given: list[str], names: Names, *, maker: str) -> list[str]:
    """Return the lines that make a request of the arguments, as the second argument of a call."""
    made = names.use("polystream_sdk.requests", maker)
    table = names.use(f"polystream_sdk.services.{FIELDS_MODULE}", table_name(message))
    arguments = [names.message(message), table, *(f"{name}={name}" for name in given)]
    line = f"            {made}({', '.join(arguments)}),"
    if len(line) <= _LINE_MAX:
        return [line]
    return [f"            {made}(", *(f"                {argument}," for argument in arguments), "            ),"]


def _docstring(comment: str, indent: str, arguments: dict[str, str] | None = None) -> Iterator[str]:
    # Backslashes and triple quotes would end or change the literal.
    blocks = [_wrapped(paragraph, indent) for paragraph in _safe(comment).split("\n\n")]
    if arguments:
        entries = [_wrapped(f"{name}: {_safe(text)}", f"{indent}    ", "    ") for name, text in arguments.items()]
        blocks.append("\n".join([f"{indent}Args:", *entries]))
    text = "\n\n".join(blocks).lstrip()
    single = f'{indent}"""{text}"""'
    yield single if "\n" not in text and len(single) <= _LINE_MAX else f'{indent}"""{text}\n{indent}"""'


def _wrapped(text: str, indent: str, hanging: str = "") -> str:
    # Room for the quotes, and for no hyphen to be broken at.
    return textwrap.fill(
        text,
        width=_LINE_MAX - 6,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _safe(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")


def _snake(name: str) -> str:
    return python_name(re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower())


if __name__ == "__main__":
    run_plugin(generate)
