"""The schema registry's answers, by HTTP status and by Confluent's own error code.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from collections.abc import Mapping
from typing import Any, Final

from mesh.error_classes.classes import ErrorClass, ErrorVerdict, Rule, verdict

# A code of Confluent's begins with the status that it comes with: under another status it is a proxy's, or nobody's.
RULES: Final = (
    Rule(("404 with 40403",), ErrorClass.SET_APART, "the registry has no schema with the record's schema ID"),
    Rule(("409 with 409 or 409xx", "422 with 422 or 422xx"), ErrorClass.REFUSE, "the registry refuses the schema"),
)
DEFAULT: Final = Rule(
    ("any other, a redirect, and a success that is no JSON object",),
    ErrorClass.WAIT,
    "what answers is not the registry, or does not want to answer now",
)
_NO_SCHEMA: Final = 40403
_REFUSALS: Final = ("409", "422")


def classify_registry(status: int, answer: Mapping[str, Any] | None) -> ErrorVerdict:
    """Return what to do about an answer that is not what was asked for; `answer` is its JSON object, if it is one."""
    code = (answer or {}).get("error_code")
    no_schema, refused = RULES
    if status // 100 == 4 and isinstance(code, int) and str(code).startswith(str(status)):
        if code == _NO_SCHEMA:
            return verdict(no_schema, code)
        if str(status) in _REFUSALS:
            return verdict(refused, code)
    return verdict(DEFAULT, f"HTTP status {status}")
