"""What Jaeger answers to spans, by gRPC code: https://opentelemetry.io/docs/specs/otlp/#failures."""

from typing import Final

import grpc

from mesh.error_classes.classes import ErrorClass, ErrorVerdict, Rule, by_code, verdict

RULES: Final = (
    Rule(
        ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"),
        ErrorClass.WAIT,
        "Jaeger does not answer, or asks to try again",
    ),
    Rule(("UNAUTHENTICATED", "PERMISSION_DENIED"), ErrorClass.WAIT, "Jaeger refuses the caller"),
    Rule(("UNIMPLEMENTED", "NOT_FOUND"), ErrorClass.WAIT, "what answers is no OTLP receiver"),
    # OTLP would have it tried again: what is too large for Jaeger now will be so again.
    Rule(("RESOURCE_EXHAUSTED",), ErrorClass.REFUSE, "the spans are more than Jaeger takes at once"),
)
DEFAULT: Final = Rule(("any other",), ErrorClass.REFUSE, "Jaeger refuses the spans")

_BY_CODE: Final = by_code(RULES)


def classify_otlp(code: grpc.StatusCode) -> ErrorVerdict:
    """Return what to do about spans that were not taken. Those refused are in the event log, and counted."""
    return verdict(_BY_CODE.get(code.name, DEFAULT), code.name)
