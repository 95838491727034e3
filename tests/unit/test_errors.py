"""The one table of errors, and the statuses made of it."""

import pytest
from google.rpc import error_details_pb2

from mesh.errors import DOMAIN, FieldFault, PolystreamError, Reaction, Reason


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_every_reason_has_a_code_and_says_what_to_do(reason: Reason) -> None:
    """A row has a code that is no success, and a message of more than a word or two."""
    row = reason.value
    assert 0 < row.code <= 16
    assert len(row.message.split()) >= 4
    if row.retry_delay_s is not None:
        assert row.code in (4, 8, 14), "only what may pass by itself names a delay"
    if row.reaction is Reaction.DEAD_LETTER:
        assert row.code in (12, 13, 15)


def test_reasons_are_not_aliases_of_each_other() -> None:
    """Two reasons with the same row would be one member of the enum."""
    assert len(Reason) == len(Reason.__members__)


def test_a_status_carries_the_details_that_apply() -> None:
    """ErrorInfo always; BadRequest with faults; RetryInfo with a delay."""
    error = PolystreamError(
        Reason.TOO_MANY_COMMANDS,
        faults=[FieldFault("amount.units", "must be less", "int64.lt")],
        metadata={"limit": "4096"},
    )
    status = error.to_status()
    info, bad_request, retry = status.details
    unpacked_info = error_details_pb2.ErrorInfo()
    assert info.Unpack(unpacked_info)
    assert (unpacked_info.reason, unpacked_info.domain) == ("TOO_MANY_COMMANDS", DOMAIN)
    assert dict(unpacked_info.metadata) == {"limit": "4096"}
    unpacked_fault = error_details_pb2.BadRequest()
    assert bad_request.Unpack(unpacked_fault)
    assert [(v.field, v.reason) for v in unpacked_fault.field_violations] == [("amount.units", "int64.lt")]
    unpacked_retry = error_details_pb2.RetryInfo()
    assert retry.Unpack(unpacked_retry)
    assert unpacked_retry.retry_delay.ToMilliseconds() == 200


def test_a_status_without_faults_has_error_info_alone() -> None:
    """Nothing is said that does not apply."""
    assert len(PolystreamError(Reason.USER_NOT_FOUND).to_status().details) == 1
