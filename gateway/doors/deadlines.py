"""How long an answer may take: what the caller says, or what each kind of RPC has."""

import re
import time
from typing import Final

from gateway.calls import Rpc, RpcKind
from mesh.errors import PolystreamError, Reason

UNARY_TIMEOUT_S: Final = 15.0
WAIT_TIMEOUT_S: Final = 75.0  # WaitOperation waits for 60 s at the most
STREAM_TIMEOUT_S: Final = 3600.0

# gRPC's PROTOCOL-HTTP2.md, "Timeout".
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def deadline_s(timeout: str | None, own_timeout_s: float | None) -> float | None:
    """Return when an answer is due, on the monotonic clock; None where nothing bounds it.

    `timeout` is the header `grpc-timeout`, which every door takes; however short it is, it is a bound. Without it,
    `own_timeout_s` holds, in seconds. Raises PolystreamError MALFORMED_REQUEST for a header that is none.
    """
    if timeout is None:
        return None if own_timeout_s is None else time.monotonic() + own_timeout_s
    match = _TIMEOUT.fullmatch(timeout)
    if match is None:
        raise PolystreamError(
            Reason.MALFORMED_REQUEST, "the header grpc-timeout must be up to eight digits and one of H, M, S, m, u, n"
        )
    return time.monotonic() + int(match[1]) * _UNITS_S[match[2]]


def timeout_s(rpc: Rpc) -> float | None:
    """Return how long an answer may take where its caller says nothing, in seconds.

    None for a command, whose acknowledgement has a bound of its own, which is shorter.
    """
    if rpc.kind is RpcKind.COMMAND:
        return None
    if rpc.kind is RpcKind.STREAM:
        return STREAM_TIMEOUT_S
    return WAIT_TIMEOUT_S if rpc.name.rpartition("/")[2].startswith("Wait") else UNARY_TIMEOUT_S
