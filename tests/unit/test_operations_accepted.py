"""An acceptance that is written by hand is the message that it stands for, byte by byte of its meaning."""

import pytest
from polystream.v1.operations_pb2 import Operation

from gateway.operations.accepted import AcceptanceForm
from mesh.catalog import load_catalog
from mesh.ids import new_correlation_id

COMMANDS = load_catalog().commands


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
@pytest.mark.parametrize("user_id", [1, 127, 128, 2**53 - 1, 2**63 - 1])
def test_it_reads_as_the_message(command: object, user_id: int) -> None:
    """For every command, with any user and any time; the second of a millisecond too."""
    form = AcceptanceForm(command)  # type: ignore[arg-type]
    for accept_ms in (1_795_909_563_495, 1_795_909_563_495, 1_795_909_563_000, 999):
        correlation_id = new_correlation_id()
        accepted = form.fill_in(correlation_id, accept_ms, user_id)
        expected = Operation(
            name=f"operations/{correlation_id}",
            correlation_id=correlation_id,
            command=command.name,  # type: ignore[attr-defined]
            state=Operation.ACCEPTED,
            user_id=user_id if command.about_user else None,  # type: ignore[attr-defined]
        )
        expected.accept_time.FromMilliseconds(accept_ms)
        assert accepted.correlation_id == correlation_id
        assert Operation.FromString(accepted.SerializeToString()) == expected
