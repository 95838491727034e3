"""What the fuzzer knows of the platform: every binding of `google.api.http`, and requests that are right."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from mesh.catalog import load_catalog

_GOLDEN: Final = Path(__file__).parents[2] / "contract" / "golden"  # requests that are right, and some that are not
_VERBS: Final = ("get", "put", "post", "delete", "patch")
_VARIABLE: Final = re.compile(r"\{([a-z_.]+)(?:=[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One binding of one method."""

    rpc: str  # package.Service/Method
    verb: str  # HTTP's
    template: str
    body: str  # google.api.HttpRule's: "*", a field, or nothing
    request: Descriptor
    streams: bool
    bodies: tuple[dict[str, Any], ...]  # requests in JSON, right ones first

    def path(self, values: dict[str, str]) -> str:
        """Return the path with its variables filled in; what has no value becomes 1234."""
        return _VARIABLE.sub(lambda found: values.get(found[1], "1234"), self.template)

    @property
    def variables(self) -> list[str]:
        """The fields that the path has."""
        return _VARIABLE.findall(self.template)

    def wire(self, body: dict[str, Any]) -> bytes:
        """Return a request in JSON as protobuf bytes; empty where it has no such form."""
        message = GetMessageClass(self.request)()
        try:
            return json_format.ParseDict(body, message, ignore_unknown_fields=True).SerializeToString()
        except json_format.ParseError:
            return b""


def endpoints() -> list[Endpoint]:
    """Return every binding that the descriptors declare."""
    return [one for service in load_catalog().services for method in service.methods for one in _bindings(method)]


def _bindings(method: MethodDescriptor) -> Iterator[Endpoint]:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb in _VERBS:
            yield Endpoint(
                rpc=f"{method.containing_service.full_name}/{method.name}",
                verb=verb.upper(),
                template=getattr(one, verb),
                body=one.body,
                request=method.input_type,
                streams=method.server_streaming,
                bodies=_golden(method.name),
            )


def _golden(name: str) -> tuple[dict[str, Any], ...]:
    path = _GOLDEN / f"{name}.json"
    if not path.exists():
        return ({},)
    examples = json.loads(path.read_text(encoding="utf-8"))
    return (*examples["good"], *(bad["request"] for bad in examples["bad"]))
