"""The pages of the API: services, messages and enums, as the protos declare them."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from contracts.descriptors import COMMAND_OPTION, DEMO_OPTION, EVENT_OPTION, Descriptors
from contracts.reference.markdown import anchor, code, codes, heading, table
from contracts.reference.rules import field_rules_in_words, message_rules_in_words

INDEX: Final = "reference/index.md"
_HTTP_OPTION: Final = "google.api.http"
_PERSONAL_OPTION: Final = "polystream.options.v1.personal"
_VERSIONED: Final = re.compile(r"^/v[0-9]+/")
_WELL_KNOWN: Final = re.compile(r"^(google|buf)\.")
_ABOUT: Final = (
    "These pages are made from the protos whenever the documentation is built. A command answers at once with an\n"
    "[operation](operations.md); a query answers with what it found.\n"
    "\n"
    "Times are kept to the microsecond, in every store and in the events; finer digits are cut off, not rounded.\n"
)
_SCALARS: Final = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def api_pages(descriptors: Descriptors) -> dict[str, str]:
    """Return the Markdown of each page by its path: an index, and a page a proto file."""
    pages = {INDEX: _index(descriptors)}
    for file in descriptors.files:
        pages[_page(file)] = "\n".join(_file(descriptors, file))
    return pages


def bindings(descriptors: Descriptors, method: MethodDescriptor) -> list[tuple[str, str]]:
    """Return how a method is called over HTTP: verb and path, its own first, then the inherited ones."""
    rule = descriptors.option(method, _HTTP_OPTION)
    if rule is None:
        return []
    rules = [rule, *rule.additional_bindings]
    return [(one.WhichOneof("pattern").upper(), getattr(one, one.WhichOneof("pattern"))) for one in rules]


def _page(file: FileDescriptor) -> str:
    package, name = file.package.removeprefix("polystream.").replace(".v1", ""), file.name.rsplit("/", 1)[-1]
    folder = "" if package == "v1" else f"{package}-"
    return f"reference/{folder}{name.removesuffix('.proto').replace('_', '-')}.md"


def _index(descriptors: Descriptors) -> str:
    parts = [
        "# API reference\n",
        _ABOUT,
    ]
    for file in descriptors.files:
        for service in file.services_by_name.values():
            if not any(bindings(descriptors, method) for method in service.methods):
                continue
            page = _page(file).removeprefix("reference/")
            parts += [f"## [{service.name}]({page})\n", descriptors.comment(service.full_name) + "\n"]
            rows = [
                (f"[{m.name}]({page}#{anchor(m.full_name)})", _kind(descriptors, m), _paths(descriptors, m, "<br>"))
                for m in service.methods
            ]
            parts.append(table(("RPC", "is", "REST"), rows))
    return "\n".join(parts)


def _file(descriptors: Descriptors, file: FileDescriptor) -> Iterator[str]:
    services = list(file.services_by_name.values())
    names = [service.name for service in services] or [file.name.rsplit("/", 1)[-1].removesuffix(".proto").title()]
    yield f"# {', '.join(names)}\n"
    yield f"Package `{file.package}`, file `proto/{file.name}`.\n"
    for service in services:
        yield from _service(descriptors, service)
    messages, enums = list(file.message_types_by_name.values()), list(file.enum_types_by_name.values())
    if messages or enums:
        yield "## Messages\n"
    for message in messages:
        yield from _message(descriptors, message, file)
    for enum in enums:
        yield from _enum(descriptors, enum)
    if file.extensions_by_name:
        yield "## Options\n"
        extensions = list(file.extensions_by_name.values())
        yield table(("option", "type", "means"), [_option_row(descriptors, field, file) for field in extensions])


def _service(descriptors: Descriptors, service: ServiceDescriptor) -> Iterator[str]:
    yield descriptors.comment(service.full_name) + "\n"
    for method in service.methods:
        yield heading(2, method.name, method.full_name)
        yield descriptors.comment(method.full_name) + "\n"
        yield table(("", ""), _method_rows(descriptors, method))


def _method_rows(descriptors: Descriptors, method: MethodDescriptor) -> Iterator[tuple[str, str]]:
    service: ServiceDescriptor = method.containing_service
    file: FileDescriptor = service.file
    yield "gRPC", code(f"{service.full_name}/{method.name}")
    own = [pair for pair in bindings(descriptors, method) if _VERSIONED.match(pair[1])]
    inherited = [pair for pair in bindings(descriptors, method) if not _VERSIONED.match(pair[1])]
    if own:
        yield "REST", codes(f"{verb} {path}" for verb, path in own)
    if inherited:
        yield "inherited path", codes(f"{verb} {path}" for verb, path in inherited)
    yield "request", _link(method.input_type, file)
    stream = "stream of " if method.server_streaming else ""
    yield "response", stream + _link(method.output_type, file)
    command = descriptors.option(method, COMMAND_OPTION)
    if command is not None:
        store = command.DESCRIPTOR.fields_by_name["stores"].enum_type
        yield "command of", codes(store.values_by_number[number].name for number in command.stores)
        yield "Kafka key", f"{code(command.key)}: commands with the same value are applied in their order"
        yield "result", _link(descriptors.message(command.result), file)
        if command.creates:
            yield "effect", "adds a resource"
        if command.checks_user:
            yield "user", "must exist: refused with `USER_NOT_FOUND` otherwise"
        if command.erases_user:
            yield "user", "is erased"


def _kind(descriptors: Descriptors, method: MethodDescriptor) -> str:
    command = descriptors.option(method, COMMAND_OPTION)
    if command is None:
        return "query"
    store = command.DESCRIPTOR.fields_by_name["stores"].enum_type
    return "command: " + codes(store.values_by_number[number].name for number in command.stores)


def _paths(descriptors: Descriptors, method: MethodDescriptor, between: str) -> str:
    return between.join(code(f"{verb} {path}") for verb, path in bindings(descriptors, method))


def _message(descriptors: Descriptors, message: Descriptor, file: FileDescriptor) -> Iterator[str]:
    if message.GetOptions().map_entry:
        return
    name = message.full_name.removeprefix(f"{file.package}.")
    yield heading(3, name, message.full_name)
    yield descriptors.comment(message.full_name) + "\n"
    event = descriptors.option(message, EVENT_OPTION)
    if event is not None:
        yield f"It is the value of the topic {code(event.topic)}.\n"
    if message.fields:
        rows = [_field_row(descriptors, field, file) for field in message.fields]
        yield table(("field", "type", "is", "rules"), rows)
    else:
        yield "It has no fields.\n"
    if rules := message_rules_in_words(descriptors, message):
        yield "As a whole: " + "; ".join(rules) + ".\n"
    for nested in message.nested_types:
        yield from _message(descriptors, nested, file)
    for enum in message.enum_types:
        yield from _enum(descriptors, enum)


def _field_row(descriptors: Descriptors, field: FieldDescriptor, file: FileDescriptor) -> tuple[str, str, str, str]:
    marks = []
    if descriptors.option(field, _PERSONAL_OPTION):
        marks.append("Personal data.")
    if descriptors.option(field, DEMO_OPTION):
        marks.append("Filled with demo data where a POST to an inherited path says nothing.")
    means = " ".join([descriptors.comment(field.full_name), *marks])
    return code(field.name), _type(field, file), means, "; ".join(field_rules_in_words(descriptors, field))


def _option_row(descriptors: Descriptors, field: FieldDescriptor, file: FileDescriptor) -> tuple[str, str, str]:
    return code(field.full_name), _type(field, file), descriptors.comment(field.full_name)


def _type(field: FieldDescriptor, file: FileDescriptor) -> str:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        key, value = (_type(message.fields_by_name[name], file) for name in ("key", "value"))
        return f"map of {key} to {value}"
    declared = message or field.enum_type
    name = _link(declared, file) if declared is not None else _SCALARS[field.type]
    if field.is_repeated:
        return f"list of {name}"
    return f"optional {name}" if field.has_presence and message is None else name


def _link(declared: Descriptor | EnumDescriptor, file: FileDescriptor) -> str:
    name = declared.full_name
    if _WELL_KNOWN.match(name):
        return code(name)
    page = "" if declared.file.name == file.name else _page(declared.file).removeprefix("reference/")
    return f"[{name.removeprefix(f'{declared.file.package}.')}]({page}#{anchor(name)})"


def _enum(descriptors: Descriptors, enum: EnumDescriptor) -> Iterator[str]:
    name = enum.full_name.removeprefix(f"{enum.file.package}.")
    yield heading(3, name, enum.full_name)
    yield descriptors.comment(enum.full_name) + "\n"
    rows = [
        (code(value.name), str(value.number), descriptors.comment(f"{enum.full_name}.{value.name}"))
        for value in enum.values
    ]
    yield table(("value", "number", "means"), rows)


def nav_titles(pages: Mapping[str, str]) -> dict[str, str]:
    """Return the title of each page by its path: the text of its first heading."""
    return {path: text.splitlines()[0].removeprefix("# ") for path, text in pages.items()}
