"""What the rules of an amount in reais demand, which are in CEL, as a schema."""

from typing import Any, Final

MONEY_RULE: Final = "money.currency"  # the first of the rules that stand together wherever an amount is asked for

_MOST_UNITS: Final = 1_000_000
_CENT_NANOS: Final = 10_000_000


def reais(units: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a google.type.Money in BRL: whole cents, above zero, at most 1,000,000.

    `units` is the schema of its whole reais.
    """
    below_most = {"not": {"enum": [_MOST_UNITS, str(_MOST_UNITS)]}}
    none = {"enum": [0, "0"]}
    nanos = {"type": "integer", "format": "int32", "minimum": 0, "maximum": 99 * _CENT_NANOS, "multipleOf": _CENT_NANOS}
    return {
        "type": "object",
        "description": "Brazilian reais, more than zero and at most 1,000,000.",
        "properties": {
            "currency_code": {"type": "string", "enum": ["BRL"], "description": "Brazilian reais."},
            "units": units | {"description": "Whole reais."},
            "nanos": nanos | {"description": "Billionths of a real: whole cents, so multiples of 10,000,000."},
        },
        "additionalProperties": False,
        "required": ["currency_code"],
        "anyOf": [
            {"required": ["units"], "properties": {"units": {"allOf": [below_most, {"not": none}]}}},
            {"required": ["nanos"], "properties": {"units": below_most, "nanos": {"minimum": _CENT_NANOS}}},
            {"required": ["units"], "properties": {"units": {"not": none}, "nanos": {"enum": [0]}}},
        ],
    }
