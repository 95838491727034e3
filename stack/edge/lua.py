"""The Lua filter's source: the scripts of `deploy/envoy` after the constants that they use."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mesh.errors import DOMAIN, Reason
from stack.edge.contract import Contract, path_pattern
from stack.edge.errors import TOO_LARGE, UNSUPPORTED_CONTENT_TYPE

FIELDS_HEADER: Final = "x-polystream-json-fields"
_SCRIPTS: Final = ("edge_errors.lua", "json_fields.lua")
_MAX_DEPTH: Final = 32
_MAX_FIELDS_BYTES: Final = 6 * 1024  # gRPC servers refuse metadata of more than 8 KiB in all


def lua_source(script_dir: Path, contract: Contract, max_request_bytes: int) -> str:
    """Return the text that Envoy's Lua filter runs."""
    constants: dict[str, object] = {
        "FIELDS_HEADER": FIELDS_HEADER,
        "MAX_BODY_BYTES": max_request_bytes,
        "MAX_DEPTH": _MAX_DEPTH,
        "MAX_FIELDS_BYTES": _MAX_FIELDS_BYTES,
        "ERROR_DOMAIN": DOMAIN,
        "INVALID_FIELD_MESSAGE": Reason.INVALID_FIELD.value.message,
        "TOO_LARGE_JSON": TOO_LARGE.status_json(),
        "UNSUPPORTED_TYPE_JSON": UNSUPPORTED_CONTENT_TYPE.status_json(),
        "ENUM_VALUES": {name: ", ".join(values) for name, values in contract.enums.items()},
        "KNOWN_PATHS": [[path_pattern(path), ", ".join(verbs)] for path, verbs in contract.rest_methods.items()],
        "EXACT_PATHS": {
            path: {"names": ", ".join(verbs)} | dict.fromkeys(verbs, "taken")
            for path, verbs in contract.shadowing.items()
        },
        "ZERO_PATHS": [[pattern, field] for pattern, field in contract.zero_paths],
    }
    preamble = [f"local {name} = {_literal(value)}" for name, value in constants.items()]
    return "\n".join([*preamble, *((script_dir / script).read_text(encoding="utf-8") for script in _SCRIPTS)])


def _literal(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"[{_literal(key)}] = {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "{" + ", ".join(_literal(item) for item in value) + "}"
    raise TypeError(f"{type(value).__name__} has no Lua literal here")
