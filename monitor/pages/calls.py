"""A call of an RPC as text to copy: curl, grpcurl, and Python with the SDK."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from mesh.catalog import Catalog

_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_VERBS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call, in three ways. A way for which no address is known is empty."""

    curl: str
    grpcurl: str
    python: str


def method_of(catalog: Catalog, name: str) -> tuple[ServiceDescriptor, MethodDescriptor] | None:
    """Return the RPC with a name, and its service; None where there is none."""
    for service in catalog.services:
        method = service.methods_by_name.get(name)
        if method is not None:
            return service, method
    return None


def call_of(catalog: Catalog, rpc: str, fields: Mapping[str, Any], addresses: Mapping[str, str | None]) -> Call:
    """Return a call of an RPC with some fields, which are as JSON has them.

    `addresses` are those of the platform's parts. Raises KeyError where there is no such RPC.
    """
    found = method_of(catalog, rpc)
    if found is None:
        raise KeyError(rpc)
    service, method = found
    rest, grpc = addresses.get("rest") or "", addresses.get("grpc") or ""
    address = urlsplit(grpc).netloc or grpc
    return Call(
        curl=_curl(rest, method, fields) if rest else "",
        grpcurl=_grpcurl(address, service, method, fields) if address else "",
        python=_python(address, service, method, fields) if address else "",
    )


def _curl(rest: str, method: MethodDescriptor, fields: Mapping[str, Any]) -> str:
    rule: HttpRule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    template = str(getattr(rule, verb)) if verb else ""
    in_path = _IN_PATH.findall(template)
    path = _IN_PATH.sub(lambda found: quote(str(fields.get(found[1], "")), safe=""), template)
    others = {name: value for name, value in fields.items() if name not in in_path}
    words = ["curl", "-X", verb.upper()] if verb and verb != "get" else ["curl"]
    if verb and verb.upper() in _VERBS_WITH_BODY:
        words += [f"{rest}{path}", "-H", "content-type: application/json", "-d", json.dumps(others, ensure_ascii=False)]
    else:
        query = urlencode({name: _as_parameter(value) for name, value in others.items()}, doseq=True)
        words.append(f"{rest}{path}?{query}" if query else f"{rest}{path}")
    return shlex.join(words)


def _grpcurl(address: str, service: ServiceDescriptor, method: MethodDescriptor, fields: Mapping[str, Any]) -> str:
    body = json.dumps(fields, ensure_ascii=False)
    return shlex.join(["grpcurl", "-plaintext", "-d", body, address, f"{service.full_name}/{method.name}"])


def _python(address: str, service: ServiceDescriptor, method: MethodDescriptor, fields: Mapping[str, Any]) -> str:
    group = service.file.name.rpartition("/")[2].removesuffix(".proto")
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
    arguments = ", ".join(f"{field}={value!r}" for field, value in fields.items())
    call = f"api.{group}.{name}({arguments})"
    return (
        "import asyncio\n"
        "\n"
        "from polystream_sdk import Polystream\n"
        "\n"
        "\n"
        "async def main() -> None:\n"
        f"    async with Polystream({address!r}) as api:\n"
        f"        print(await {call})\n"
        "\n"
        "\n"
        "asyncio.run(main())\n"
    )


def _as_parameter(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return value
