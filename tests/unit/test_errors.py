"""The one table of errors, and the statuses made of it."""

import pytest
from google.rpc import error_details_pb2, status_pb2

from mesh.error_classes.classes import ErrorClass
from mesh.errors import (
    DOMAIN,
    ErrorDetails,
    FieldFault,
    PolystreamError,
    Reason,
    build_status,
    read_details,
)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_every_reason_has_a_code_and_says_what_to_do(reason: Reason) -> None:
    """A row has a code that is no success, and a message of more than a word or two."""
    row = reason.value
    assert 0 < row.code <= 16
    assert len(row.message.split()) >= 4
    if row.retry_delay_s is not None:
        assert row.code in (4, 8, 14), "only what may pass by itself names a delay"
    if row.error_class is ErrorClass.SET_APART:
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


@pytest.mark.parametrize("retry_delay_s", [None, 2.5])
@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_an_error_comes_back_from_its_status(reason: Reason, retry_delay_s: float | None) -> None:
    """With its message, every field at fault, what is besides and the delay; the same error makes the same status."""
    error = PolystreamError(
        reason,
        "não há",
        faults=[FieldFault("a.b", "is not liked", "rule.one"), FieldFault("c", "neither")],
        metadata={"store": "REDIS", "another": "1"},
        retry_delay_s=retry_delay_s,
    )
    again = PolystreamError.from_status(error.to_status(), unknown=Reason.INTERNAL)
    for attribute in ("reason", "message", "faults", "metadata", "retry_delay_s"):
        assert getattr(again, attribute) == getattr(error, attribute)
    assert again.to_status() == error.to_status()


def test_a_foreign_status_is_read_as_far_as_it_goes() -> None:
    """An unknown reason is what the caller says; details that are of another type or damaged are left out."""
    status = build_status(5, "NO_SUCH_REASON", "gone", faults=[FieldFault("a", "b")])
    status.details.add(type_url="type.googleapis.com/other.v1.Detail", value=b"\x01")
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff\xff")
    error = PolystreamError.from_status(status, unknown=Reason.UNDECODABLE)
    assert (error.reason, error.message, error.faults) == (Reason.UNDECODABLE, "gone", (FieldFault("a", "b"),))
    assert error.retry_delay_s is None
    assert read_details(status_pb2.Status(code=5)) == ErrorDetails()
