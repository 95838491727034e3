"""Personal data: which fields have it by the contract, and what a text has of it by its look.

A field's option `(polystream.options.v1.personal)` decides. A text that anybody may have written, such as a header of a
foreign record, has no field: of it, e-mail addresses and CPFs are told by their form. Names have none.
"""

import re
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from polystream.options.v1 import options_pb2

MASK: Final = "•••"
# A domain that is a number is none: `topic[0]@12` is a place.
_EMAIL: Final = re.compile(r"[\w.%+'-]{1,64}@(?!\d+\b)[\w-]{1,63}(?:\.[\w-]{1,63})*")
_CPF: Final = re.compile(r"(?<!\d)\d{3}\.?\d{3}\.?\d{3}-?\d{2}(?!\d)")
_CPF_DIGITS: Final = 11


def is_personal(field: FieldDescriptor) -> bool:
    """Tell whether the contract marks a field as personal data."""
    options: Any = field.GetOptions()
    return bool(options.Extensions[options_pb2.personal])


def redact(text: str) -> str:
    """Return a text with a mask in the place of each e-mail address and each CPF."""
    return _CPF.sub(lambda found: MASK if _is_cpf(found[0]) else found[0], _EMAIL.sub(MASK, text))


def _is_cpf(text: str) -> bool:
    """Tell whether the check digits are those of a CPF: most numbers of eleven digits are none."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    if len(digits) != _CPF_DIGITS or len(set(digits)) == 1:
        return False
    for length in (9, 10):
        weighted = sum(digit * (length + 1 - place) for place, digit in enumerate(digits[:length]))
        if weighted * 10 % 11 % 10 != digits[length]:
            return False
    return True
