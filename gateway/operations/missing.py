"""What was asked for and is not there."""

from mesh.errors import FieldFault, PolystreamError, Reason


def not_found(reason: Reason, field: str) -> PolystreamError:
    """Return the error of a request whose `field` names nothing that there is."""
    return PolystreamError(reason, faults=[FieldFault(field, reason.value.message)])
