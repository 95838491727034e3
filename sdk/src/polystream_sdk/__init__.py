"""The SDK of Polystream: a typed asynchronous client, its errors, and the messages of the API.

from polystream_sdk import Polystream

async with Polystream("localhost:8000") as api:
    op = await api.users.create_user(name="Ana", email="ana@example.com", cpf="529.982.247-25")
    user = await op.result(timeout_s=5)
"""

import polystream_api
from polystream_api import *  # noqa: F403 # a new message is there without a line here
from polystream_sdk.client import Polystream
from polystream_sdk.errors import (
    AbortedError,
    AlreadyExistsError,
    CancelledError,
    Code,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    InternalError,
    InvalidArgumentError,
    InvalidFieldError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    PolystreamError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    UnknownError,
)
from polystream_sdk.operation import OperationHandle
from polystream_sdk.pages import Pager
from polystream_sdk.retries import RetryPolicy

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "CancelledError",
    "Code",
    "DataLossError",
    "DeadlineExceededError",
    "FailedPreconditionError",
    "FieldViolation",
    "InternalError",
    "InvalidArgumentError",
    "InvalidFieldError",
    "NotFoundError",
    "OperationHandle",
    "OutOfRangeError",
    "Pager",
    "PermissionDeniedError",
    "Polystream",
    "PolystreamError",
    "ResourceExhaustedError",
    "RetryPolicy",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
]
__all__ += polystream_api.__all__
