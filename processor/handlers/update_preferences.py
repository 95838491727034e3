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
WITH nova AS (
    SELECT user_id,
           coalesce(m.idioma, p.idioma, 'pt-BR') AS idioma,
           coalesce(m.notificacoes, p.notificacoes, true) AS notificacoes,
           coalesce(m.tema, p.tema, 'sistema') AS tema,
           statement_timestamp() AS agora
      FROM unnest(%s::bigint[], %s::text[], %s::boolean[], %s::text[]) AS m (user_id, idioma, notificacoes, tema)
      JOIN usuarios USING (user_id)
      LEFT JOIN preferencias p USING (user_id)
)
INSERT INTO preferencias AS p (user_id, idioma, notificacoes, tema, data_atualizacao, hash_conteudo)
SELECT user_id, idioma, notificacoes, tema, agora, hash_preferencia(user_id, idioma, notificacoes, tema, agora)
  FROM nova
    ON CONFLICT (user_id) DO UPDATE
   SET idioma = excluded.idioma,
       notificacoes = excluded.notificacoes,
       tema = excluded.tema,
       data_atualizacao = excluded.data_atualizacao,
       hash_conteudo = hash_seguinte(
           p.hash_conteudo,
           hash_preferencia(p.user_id, p.idioma, p.notificacoes, p.tema, p.data_atualizacao),
           excluded.hash_conteudo
       )
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
