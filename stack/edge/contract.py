"""What the edge has to know of the API, read from the descriptor set."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2
from polystream.options.v1 import options_pb2

API_PACKAGE: Final = "polystream.v1"
# Served by the gateway beside the API; REST has the API's own operations instead.
_FOREIGN_WAITS: Final = ("google.longrunning.Operations/WaitOperation",)


@dataclass(frozen=True, slots=True)
class Contract:
    """The API's outside, as Envoy and its Lua filter see it."""

    services: tuple[str, ...]  # full names of the services that are transcoded
    rpcs: tuple[str, ...]  # package.Service/Method of what answers at once
    waits: tuple[str, ...]  # the same of what answers late on purpose
    streams: tuple[str, ...]  # the same of what answers many times
    rest_methods: dict[str, tuple[str, ...]]  # path template -> HTTP methods that it takes
    shadowing: dict[str, tuple[str, ...]]  # of these, the paths without variables that another's template fits too
    zero_paths: tuple[tuple[str, str], ...]  # Lua pattern of a path with an identifier of 0 -> that field
    enums: dict[str, tuple[str, ...]]  # full name -> names of the values that may be sent


def read_contract(descriptor_set: Path) -> Contract:
    """Read a serialized FileDescriptorSet.

    Raises FileNotFoundError where there is none, and ValueError where it has no service of the API.
    """
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set.read_bytes()).file
    api = [file for file in files if file.package == API_PACKAGE]
    services = [(f"{API_PACKAGE}.{service.name}", service) for file in api for service in file.service]
    if not services:
        raise ValueError(f"{descriptor_set.name} has no service of {API_PACKAGE}; generate it again")
    methods = [(f"{name}/{method.name}", method) for name, service in services for method in service.method]
    streams = [name for name, method in methods if method.server_streaming]
    waits = [name for name, method in methods if method.name.startswith("Wait")]
    rest_methods = _rest_methods([method for _, method in methods])
    return Contract(
        services=tuple(name for name, _ in services),
        rpcs=tuple(name for name, _ in methods if name not in streams and name not in waits),
        waits=(*waits, *_FOREIGN_WAITS),
        streams=tuple(streams),
        rest_methods=rest_methods,
        shadowing={path: verbs for path, verbs in rest_methods.items() if _is_shadowing(path, rest_methods)},
        zero_paths=tuple(_zero_paths(api)),
        enums={name: values for file in api for name, values in _enums(file)},
    )


def path_pattern(template: str) -> str:
    """Turn a path template into a Lua pattern, such as `^/v1/users/[^/:]+$`."""
    parts = re.split(r"\{[a-z_]+\}", template)
    if any("{" in part or "*" in part for part in parts):
        raise ValueError(f"path template {template} is not supported: write its variables as {{name}}")
    return "^" + "[^/:]+".join(re.sub(r"([^\w/:])", r"%\1", part) for part in parts) + "$"


def _is_shadowing(path: str, templates: Iterable[str]) -> bool:
    """Whether a path without variables is one that a template fits too, such as `/users/find` of `/users/{id}`."""
    return "{" not in path and any(
        "{" in template and re.fullmatch(re.sub(r"\{[a-z_]+\}", "[^/:]+", template), path) for template in templates
    )


def _zero_paths(api: list[descriptor_pb2.FileDescriptorProto]) -> Iterator[tuple[str, str]]:
    """Yield what would be mistaken for a command without that identifier, which demo data fills.

    Elsewhere the gateway refuses a 0.
    """
    messages = {f".{file.package}.{message.name}": message for file in api for message in file.message_type}
    for file in api:
        for method in (method for service in file.service for method in service.method):
            request = messages[method.input_type]
            filled = {
                field.name
                for field in request.field
                if field.options.Extensions[options_pb2.demo]  # type: ignore[index] # the generated stub says FieldDescriptor
            }
            for path in _rest_methods([method]):
                for name in filled & set(re.findall(r"\{([a-z_]+)\}", path)):
                    before, after = path.split(f"{{{name}}}")
                    yield f"{path_pattern(before)[:-1]}%-?0+{path_pattern(after)[1:]}", name


def _rest_methods(methods: list[descriptor_pb2.MethodDescriptorProto]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for method in methods:
        rule = method.options.Extensions[annotations_pb2.http]
        for binding in (rule, *rule.additional_bindings):
            verb, path = _binding(binding)
            if path and verb not in found.setdefault(path, []):
                found[path].append(verb)
    return {path: tuple(verbs) for path, verbs in found.items()}


def _binding(rule: http_pb2.HttpRule) -> tuple[str, str]:
    verb = rule.WhichOneof("pattern") or ""
    return verb.upper(), getattr(rule, verb, "") if verb else ""


def _enums(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, tuple[str, ...]]]:
    scopes: list[tuple[str, descriptor_pb2.DescriptorProto]] = [
        (f"{file.package}.{message.name}", message) for message in file.message_type
    ]
    for scope, message in scopes:  # grows while it is walked: messages within messages
        scopes.extend((f"{scope}.{nested.name}", nested) for nested in message.nested_type)
        for enum in message.enum_type:
            yield f"{scope}.{enum.name}", tuple(value.name for value in enum.value if value.number != 0)
