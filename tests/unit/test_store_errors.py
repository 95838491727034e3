"""The error in a receipt that anybody may have written."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from gateway.operations.assembly import assemble
from mesh.catalog import load_catalog
from mesh.errors import FieldFault, read_details
from mesh.personal_data import MASK
from mesh.store_errors import error_text, receipt_status

_LIST_MAX_OPERATIONS = 100
_GRPC_MAX_BYTES = 4 * 1024 * 1024


def failure(**error: object) -> CommandReceipt:
    """Return a receipt that failed so."""
    return CommandReceipt(
        correlation_id="0190b0b0-0000-7000-8000-000000000001",
        command="DeleteUser",
        store="POSTGRESQL",
        state=Operation.FAILED,
        error=CommandReceipt.Error(**{"reason": "X", "code": code_pb2.ABORTED, **error}),
    )


@pytest.mark.parametrize(
    "error",
    [
        {"message": "é" * 400_000},
        {"reason": "R" * 800_000, "message": "m"},
        {"metadata": {f"k{n}": "v" for n in range(50_000)}},
        {"metadata": {"k": "v" * 800_000}},
        {"field": "f" * 800_000},
        {"faults": [CommandReceipt.FieldFault(field="f", description="d", rule="r")] * 50_000},
        {
            "faults": [CommandReceipt.FieldFault(field="f", description="d" * 800_000)],
            "message": "\U0001f980" * 200_000,
        },
    ],
    ids=["message", "reason", "many entries", "a long entry", "field", "many faults", "a long fault"],
)
def test_a_list_of_huge_errors_is_within_what_grpc_takes(error: dict[str, object]) -> None:
    """However large the receipts are: their own stores' errors, and the operation's."""
    receipts = [failure(**error) for _ in range(3)]
    for receipt, store in zip(receipts, ("POSTGRESQL", "MONGODB", "REDIS"), strict=True):
        receipt.store = store  # type: ignore[assignment] # protobuf takes the name
        receipt.command = "DeleteUser" * 50_000
    operation = assemble(load_catalog().commands, None, receipts)
    assert operation is not None
    assert operation.state == Operation.FAILED
    assert operation.ByteSize() * _LIST_MAX_OPERATIONS < _GRPC_MAX_BYTES
    assert len(error_text(receipts[0])) <= 1000


def test_an_ordinary_error_is_passed_on_whole() -> None:
    """With its fields, its metadata and its delay."""
    faults = [CommandReceipt.FieldFault(field=f"f{n}", description="d" * 50, rule="r") for n in range(20)]
    status = receipt_status(
        failure(message="m" * 500, faults=faults, metadata={"a": "b"}, retry_delay=Duration(seconds=5))
    )
    details = read_details(status)
    assert (status.code, status.message, details.reason, details.retry_delay_s) == (code_pb2.ABORTED, "m" * 500, "X", 5)
    assert len(details.faults) == len(faults)
    assert details.metadata == {"store": "POSTGRESQL", "a": "b"}


def test_what_looks_like_personal_data_is_masked() -> None:
    """Wherever it stands in a receipt that no lane would write: it goes to clients, and into events."""
    email, cpf = "ana@example.com", "529.982.247-25"
    receipt = failure(
        reason=email,
        message=f"there is {cpf}",
        faults=[CommandReceipt.FieldFault(field=email, description=cpf, rule=email)],
        metadata={email: cpf},
    )
    details = read_details(receipt_status(receipt))
    assert error_text(receipt) == f"{MASK}: there is {MASK}"
    assert (receipt_status(receipt).message, details.reason) == (f"there is {MASK}", MASK)
    assert details.faults == (FieldFault(MASK, MASK, MASK),)
    assert details.metadata == {"store": "POSTGRESQL", MASK: MASK}


@pytest.mark.parametrize("code", [0, -1, 17, 99, 2**31 - 1])
def test_a_code_that_says_nothing_is_unknown(code: int) -> None:
    """A failure is never OK."""
    assert receipt_status(failure(code=code)).code == code_pb2.UNKNOWN


@pytest.mark.parametrize("seconds", [-1, -315_576_000_000, 315_576_000_000])
def test_a_delay_that_nobody_can_wait_is_left_out(seconds: int) -> None:
    """A client would sleep for it."""
    assert read_details(receipt_status(failure(retry_delay=Duration(seconds=seconds)))).retry_delay_s is None


@pytest.mark.parametrize("type_url", ["type.googleapis.com/foo.Bar", "x", "type.googleapis.com/google.protobuf.Any"])
def test_a_result_of_a_type_that_no_command_has_is_left_out(type_url: str) -> None:
    """REST could not tell of the operation at all."""
    receipt = failure()
    receipt.state = Operation.SUCCEEDED
    receipt.command = "CreateUser"
    receipt.result.type_url, receipt.result.value = type_url, b"\x0a\x01x"
    operation = assemble(load_catalog().commands, None, [receipt])
    assert operation is not None
    assert operation.state == Operation.SUCCEEDED
    assert not operation.HasField("result")
