"""UpdatePreferences: the user's row in `preferencias`, made the first time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from polystream.v1.preferences_pb2 import Preferences, UpdatePreferencesRequest

from mesh.errors import Reason
from mesh.stored_enums import THEMES
from processor.model import Delivery, Outcome, refuse, requests_of, timestamp

_UPSERT = """
INSERT INTO preferencias (user_id, idioma, notificacoes, tema, data_atualizacao)
SELECT user_id,
       coalesce(m.idioma, p.idioma, 'pt-BR'),
       coalesce(m.notificacoes, p.notificacoes, true),
       coalesce(m.tema, p.tema, 'sistema'),
       statement_timestamp()
  FROM unnest(%s::bigint[], %s::text[], %s::boolean[], %s::text[]) AS m (user_id, idioma, notificacoes, tema)
  JOIN usuarios USING (user_id)
  LEFT JOIN preferencias p USING (user_id)
    ON CONFLICT (user_id) DO UPDATE
   SET idioma = excluded.idioma,
       notificacoes = excluded.notificacoes,
       tema = excluded.tema,
       data_atualizacao = excluded.data_atualizacao
RETURNING user_id, idioma, notificacoes, tema, data_atualizacao
"""

_Row = tuple[str, bool, str, datetime]  # idioma, notificacoes, tema, data_atualizacao


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Set the fields that are set, leave the others, and give a new row's others their defaults."""
    requests = requests_of(batch, UpdatePreferencesRequest)
    db.execute(
        _UPSERT,
        (
            [request.user_id for request in requests],
            [request.language if request.HasField("language") else None for request in requests],
            [request.notifications if request.HasField("notifications") else None for request in requests],
            [THEMES.text(request.theme) if request.HasField("theme") else None for request in requests],
        ),
    )
    rows: dict[int, _Row] = {user_id: (idioma, aviso, tema, when) for user_id, idioma, aviso, tema, when in db}
    return [_outcome(request.user_id, rows.get(request.user_id)) for request in requests]


def _outcome(user_id: int, row: _Row | None) -> Outcome:
    if row is None:
        return refuse(Reason.USER_NOT_FOUND, "user_id")
    idioma, notificacoes, tema, data_atualizacao = row
    return Outcome(
        result=Preferences(
            user_id=user_id,
            language=idioma,
            notifications=notificacoes,
            theme=THEMES.value(tema),
            update_time=timestamp(data_atualizacao),
        )
    )
