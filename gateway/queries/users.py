"""Queries about users: table `usuarios`."""

from typing import Any, Final

from polystream.v1.users_pb2 import GetUserRequest, ListUsersRequest, ListUsersResponse, User

from gateway.queries.stores import Row, Stores
from mesh.errors import Reason, not_found
from mesh.pages import page_of

_GET: Final = """
SELECT user_id, nome, email, cpf, data_criacao
  FROM usuarios
 WHERE user_id = %s
"""
_LIST: Final = """
SELECT user_id, nome, email, cpf, data_criacao, id
  FROM usuarios
 WHERE id > %s
 ORDER BY id
 LIMIT %s
"""


class UserQueries:
    """`polystream.v1.UserService`'s queries."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def get_user(self, request: GetUserRequest, _context: Any) -> User:
        """Return one user. Raises PolystreamError USER_NOT_FOUND."""
        rows = await self._stores.rows(_GET, (request.user_id,))
        if not rows:
            raise not_found(Reason.USER_NOT_FOUND, "user_id")
        return _user(rows[0])

    async def list_users(self, request: ListUsersRequest, _context: Any) -> ListUsersResponse:
        """Return a page of users, the oldest first."""
        page = page_of(request, int)
        (after,) = page.after or (0,)
        rows, more = page.cut(await self._stores.rows(_LIST, (after, page.size + 1)))
        return ListUsersResponse(
            users=[_user(row) for row in rows], next_page_token=page.token(rows[-1][-1]) if more else ""
        )


def _user(row: Row) -> User:
    user_id, nome, email, cpf, data_criacao = row[:5]
    return User(user_id=user_id, name=nome, email=email, cpf=cpf, create_time=data_criacao)
