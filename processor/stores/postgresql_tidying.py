"""What PostgreSQL's lane tidies up beside its work: marks past their time, subscriptions past their term.

In short steps, each a transaction of its own: one a round at the most, and in every round while there is more. A round
brings at most a batch of marks, and a step takes away twice as many, so that it keeps up with any rate. What goes wrong
here holds up no command.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

import psycopg
import structlog

from mesh.errors import PolystreamError
from mesh.telemetry.logs import describe

_LOG = structlog.get_logger(__name__)

STEP_ROWS: Final = 1000  # of each kind: a batch has five hundred commands, unless the settings say otherwise
_INTERVAL_S: Final = 10.0  # between steps that find little
_FAILED_INTERVAL_S: Final = 30.0
_SHORT: Final = "SET LOCAL statement_timeout = '3s'; SET LOCAL lock_timeout = '1s'"

# An array, and not a subquery in IN: that one is joined, and the whole table read for it.
FORGET_APPLIED: Final = """
DELETE FROM inbox
 WHERE correlation_id = ANY(ARRAY(
           SELECT correlation_id FROM inbox
            WHERE complete_time < now() - make_interval(secs => %s)
            ORDER BY complete_time LIMIT %s
              FOR UPDATE SKIP LOCKED
       ))
"""
EXPIRE_SUBSCRIPTIONS: Final = """
UPDATE assinaturas
   SET status = 'expirada',
       hash_conteudo = hash_seguinte(
           hash_conteudo,
           hash_assinatura(user_id, plano, inicio, fim, status),
           hash_assinatura(user_id, plano, inicio, fim, 'expirada')
       )
 WHERE id = ANY(ARRAY(
           SELECT id FROM assinaturas
            WHERE status = 'ativa' AND fim <= now()
            ORDER BY fim LIMIT %s
              FOR UPDATE SKIP LOCKED
       ))
"""


class Tidying:
    """Takes the steps. `transaction` gives the cursor of a new one; marks are kept for `inbox_ttl_s` seconds.

    `step_rows` is how many rows of each kind a step takes: more than a round brings.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[psycopg.Cursor[Any]]], inbox_ttl_s: float, step_rows: int
    ) -> None:
        self._transaction = transaction
        self._inbox_ttl_s = inbox_ttl_s
        self._step_rows = max(STEP_ROWS, step_rows)
        self.next_step_s = 0.0  # of the monotonic clock

    def step_when_due(self) -> None:
        """Take a step, if it is time for one. Raises nothing."""
        now_s = time.monotonic()
        if now_s < self.next_step_s:
            return
        try:
            gone = self._run(FORGET_APPLIED, self._inbox_ttl_s, self._step_rows)
            expired = self._run(EXPIRE_SUBSCRIPTIONS, self._step_rows)
        except (psycopg.Error, PolystreamError) as error:
            _LOG.warning("tidying waits", error=describe(error))
            self.next_step_s = now_s + _FAILED_INTERVAL_S
            return
        has_more = max(gone, expired) >= self._step_rows
        self.next_step_s = now_s + (0.0 if has_more else _INTERVAL_S)

    def _run(self, statement: str, *arguments: float) -> int:
        with self._transaction() as cursor:
            cursor.execute(_SHORT)
            return cursor.execute(statement, arguments).rowcount
