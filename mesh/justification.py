"""Who asks for what changes the platform's work, and why: what both may be, since they are written down."""

import re
from typing import Final

from mesh.errors import FieldFault, PolystreamError, Reason

PRINCIPAL_MAX_CHARACTERS: Final = 100
JUSTIFICATION_MAX_CHARACTERS: Final = 500
_EMAIL_OR_CPF: Final = re.compile(r"\S@\S|(?<!\d)\d{3}\.?\d{3}\.?\d{3}-?\d{2}(?!\d)")


def require_justified(principal: str, justification: str) -> None:
    """Raise PolystreamError INVALID_FIELD unless both are given, are not too long, and name no e-mail and no CPF."""
    faults = [
        *_faults("principal", principal, PRINCIPAL_MAX_CHARACTERS),
        *_faults("justification", justification, JUSTIFICATION_MAX_CHARACTERS),
    ]
    if faults:
        raise PolystreamError(Reason.INVALID_FIELD, faults=faults)


def require_principal(principal: str) -> None:
    """Raise PolystreamError INVALID_FIELD where a name that may be left out is none that may be written down."""
    faults = _faults("principal", principal, PRINCIPAL_MAX_CHARACTERS) if principal else []
    if faults:
        raise PolystreamError(Reason.INVALID_FIELD, faults=faults)


def _faults(field: str, text: str, max_characters: int) -> list[FieldFault]:
    if not text.strip():
        return [FieldFault(field, "is empty: it is written down with what is done", "string.min_len")]
    if len(text) > max_characters:
        return [FieldFault(field, f"has {len(text)} characters, and {max_characters} at most", "string.max_len")]
    if not text.isprintable():
        return [FieldFault(field, "has characters that are not printed", "string.pattern")]
    if _EMAIL_OR_CPF.search(text):
        return [FieldFault(field, "names an e-mail address or a CPF: leave personal data out", "string.pattern")]
    return []
