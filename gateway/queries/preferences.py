"""Queries about users' settings: table `preferencias`."""

from typing import Any, Final

from polystream.v1.preferences_pb2 import GetPreferencesRequest, Preferences

from gateway.queries.stores import Stores
from mesh.errors import Reason, not_found
from mesh.stored_enums import THEMES

_GET: Final = """
SELECT user_id, idioma, notificacoes, tema, data_atualizacao
  FROM preferencias
 WHERE user_id = %s
"""


class PreferencesQueries:
    """`polystream.v1.PreferencesService`'s queries."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def get_preferences(self, request: GetPreferencesRequest, _context: Any) -> Preferences:
        """Return a user's settings. Raises PolystreamError PREFERENCES_NOT_FOUND."""
        rows = await self._stores.rows(_GET, (request.user_id,))
        if not rows:
            raise not_found(Reason.PREFERENCES_NOT_FOUND, "user_id")
        user_id, idioma, notificacoes, tema, data_atualizacao = rows[0]
        return Preferences(
            user_id=user_id,
            language=idioma,
            notifications=notificacoes,
            theme=THEMES.value(tema),
            update_time=data_atualizacao,
        )
