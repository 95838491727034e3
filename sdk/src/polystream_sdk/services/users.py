"""UserService of the API. Generated from the protos: do not edit."""

from polystream_api.polystream.v1 import (
    CreateUserRequest,
    DeleteUserRequest,
    GetUserRequest,
    ListUsersRequest,
    ListUsersResponse,
    Operation,
    UpdateUserRequest,
    User,
    UserServiceStub,
)
from polystream_sdk.calls import Calls
from polystream_sdk.operation import OperationHandle
from polystream_sdk.pages import Pager
from polystream_sdk.requests import make_command, make_request
from polystream_sdk.services._fields import (
    CREATE_USER_REQUEST_FIELDS,
    DELETE_USER_REQUEST_FIELDS,
    GET_USER_REQUEST_FIELDS,
    LIST_USERS_REQUEST_FIELDS,
    UPDATE_USER_REQUEST_FIELDS,
)


class UserService:
    """The people who use the platform. Stored in PostgreSQL, table `usuarios`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> UserServiceStub:
        return UserServiceStub(self._calls.channel)

    async def create_user(
        self,
        *,
        user_id: int = 0,
        name: str = "",
        email: str = "",
        cpf: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[User]:
        """Creates a user. Refused with `EMAIL_ALREADY_EXISTS`, `CPF_ALREADY_EXISTS` or `USER_ALREADY_EXISTS` where
        somebody has that value already.

        Args:
            user_id: Identifier to give the user; one is assigned when it is 0.
            name: Full name, 1 to 200 characters.
            email: E-mail address, unique, at most 254 characters.
            cpf: Brazilian taxpayer number: 11 digits, dots and dash allowed, valid check digits. Unique.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.create_user,
            make_command(
                CreateUserRequest,
                CREATE_USER_REQUEST_FIELDS,
                user_id=user_id,
                name=name,
                email=email,
                cpf=cpf,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, User)

    async def get_user(
        self,
        *,
        user_id: int,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> User:
        """Reads one user.

        Args:
            user_id: Identifier of the user.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_user,
            make_request(GetUserRequest, GET_USER_REQUEST_FIELDS, user_id=user_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_users(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListUsersResponse, User]:
        """Lists users, oldest first.

        Args:
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` of the page before.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_users,
            make_request(ListUsersRequest, LIST_USERS_REQUEST_FIELDS, page_size=page_size, page_token=page_token),
            lambda page: page.users,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    async def update_user(
        self,
        *,
        user_id: int,
        name: str | None = None,
        email: str | None = None,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[User]:
        """Changes the fields that are set, and leaves the others.

        Args:
            user_id: Identifier of the user.
            name: New full name, 1 to 200 characters.
            email: New e-mail address, unique, at most 254 characters.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.update_user,
            make_command(
                UpdateUserRequest,
                UPDATE_USER_REQUEST_FIELDS,
                user_id=user_id,
                name=name,
                email=email,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, User)

    async def delete_user(
        self,
        *,
        user_id: int,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[User]:
        """Erases a person from all three stores. The operation succeeds when every store has confirmed its part.

        Args:
            user_id: Identifier of the user.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.delete_user,
            make_command(DeleteUserRequest, DELETE_USER_REQUEST_FIELDS, user_id=user_id, request_id=request_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, User)
