"""The API's endpoints, read from the catalog, for the dashboard."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule

from mesh.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One HTTP binding of one RPC."""

    verb: str
    path: str
    rpc: str  # Service/Method
    stores: tuple[str, ...]  # of a command; none for a query


def endpoints(catalog: Catalog) -> list[Endpoint]:
    """Return every binding, service by service, as the protos declare them."""
    found = []
    for service in catalog.services:
        for method in service.methods:
            command = catalog.commands.get(method.name)
            rpc = f"{service.name}/{method.name}"
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            found += [Endpoint(verb, path, rpc, command.stores if command else ()) for verb, path in _bindings(rule)]
    return found


def _bindings(rule: HttpRule) -> Iterator[tuple[str, str]]:
    verb = rule.WhichOneof("pattern")
    if verb is not None:
        yield verb.upper(), getattr(rule, verb)
    for additional in rule.additional_bindings:
        yield from _bindings(additional)
