"""What is asked of the tables of PostgreSQL, and how a row is put back: one statement for each table."""

from typing import Final, LiteralString

# Rows behind an ID, with the hash that they have and the one that their content gives.
PAGES: Final[dict[str, LiteralString]] = {
    "usuarios": """
SELECT id, hash_conteudo, hash_usuario(user_id, nome, email, cpf, data_criacao)
  FROM usuarios WHERE id > %s ORDER BY id LIMIT %s
""",
    "assinaturas": """
SELECT id, hash_conteudo, hash_assinatura(user_id, plano, inicio, fim, status)
  FROM assinaturas WHERE id > %s ORDER BY id LIMIT %s
""",
    "pagamentos": """
SELECT id, hash_conteudo, hash_pagamento(user_id, valor, forma_pagamento, status, data_pagamento)
  FROM pagamentos WHERE id > %s ORDER BY id LIMIT %s
""",
    "preferencias": """
SELECT id, hash_conteudo, hash_preferencia(user_id, idioma, notificacoes, tema, data_atualizacao)
  FROM preferencias WHERE id > %s ORDER BY id LIMIT %s
""",
}
# Of these keys (the IDs of rows, or of users), those that there are.
PRESENT: Final[dict[str, LiteralString]] = {
    "usuarios": "SELECT user_id FROM usuarios WHERE user_id = ANY(%s::bigint[])",
    "assinaturas": "SELECT id FROM assinaturas WHERE id = ANY(%s::bigint[])",
    "pagamentos": "SELECT id FROM pagamentos WHERE id = ANY(%s::bigint[])",
    "preferencias": "SELECT user_id FROM preferencias WHERE user_id = ANY(%s::bigint[])",
}
# What a mark has as the key, of the row with an ID.
MARKED_KEY: Final[dict[str, LiteralString]] = {
    "usuarios": "SELECT user_id FROM usuarios WHERE id = %s",
    "assinaturas": "SELECT id FROM assinaturas WHERE id = %s",
    "pagamentos": "SELECT id FROM pagamentos WHERE id = %s",
    "preferencias": "SELECT user_id FROM preferencias WHERE id = %s",
}
# A row that is gone. What was a user's comes back only to the user whose it was, not to a later one with the ID.
PUT: Final[dict[str, LiteralString]] = {
    "usuarios": """
INSERT INTO usuarios (user_id, nome, email, cpf, data_criacao, hash_conteudo)
SELECT user_id, nome, email, cpf, quando, hash_usuario(user_id, nome, email, cpf, quando)
  FROM (SELECT %s::bigint AS user_id, %s::text AS nome, %s::text AS email, %s::text AS cpf,
               %s::timestamptz AS quando) AS novo
    ON CONFLICT DO NOTHING
""",
    "assinaturas": """
INSERT INTO assinaturas (id, user_id, plano, inicio, fim, status, hash_conteudo) OVERRIDING SYSTEM VALUE
SELECT novo.id, user_id, plano, inicio, fim, status, hash_assinatura(user_id, plano, inicio, fim, status)
  FROM (SELECT %s::bigint AS id, %s::bigint AS user_id, %s::text AS plano, %s::timestamptz AS inicio,
               %s::timestamptz AS fim, %s::text AS status) AS novo
  JOIN usuarios u USING (user_id)
 WHERE u.data_criacao <= inicio
    ON CONFLICT DO NOTHING
""",
    "pagamentos": """
INSERT INTO pagamentos (id, user_id, valor, forma_pagamento, status, data_pagamento, hash_conteudo)
       OVERRIDING SYSTEM VALUE
SELECT novo.id, user_id, valor, forma_pagamento, status, quando,
       hash_pagamento(user_id, valor, forma_pagamento, status, quando)
  FROM (SELECT %s::bigint AS id, %s::bigint AS user_id, %s::numeric AS valor, %s::text AS forma_pagamento,
               %s::text AS status, %s::timestamptz AS quando) AS novo
  JOIN usuarios u USING (user_id)
 WHERE u.data_criacao <= quando
    ON CONFLICT DO NOTHING
""",
    "preferencias": """
INSERT INTO preferencias (user_id, idioma, notificacoes, tema, data_atualizacao, hash_conteudo)
SELECT user_id, idioma, notificacoes, tema, quando, hash_preferencia(user_id, idioma, notificacoes, tema, quando)
  FROM (SELECT %s::bigint AS user_id, %s::text AS idioma, %s::boolean AS notificacoes, %s::text AS tema,
               %s::timestamptz AS quando) AS novo
  JOIN usuarios u USING (user_id)
 WHERE u.data_criacao <= quando
    ON CONFLICT DO NOTHING
""",
}
# A row that was changed, where the hash that it has says that this is what it was. The ID comes first.
MEND: Final[dict[str, LiteralString]] = {
    "usuarios": """
UPDATE usuarios u
   SET user_id = novo.user_id, nome = novo.nome, email = novo.email, cpf = novo.cpf, data_criacao = novo.quando,
       hash_conteudo = hash_usuario(novo.user_id, novo.nome, novo.email, novo.cpf, novo.quando)
  FROM (SELECT %s::bigint AS id, %s::bigint AS user_id, %s::text AS nome, %s::text AS email, %s::text AS cpf,
               %s::timestamptz AS quando) AS novo
 WHERE u.id = novo.id
   AND u.hash_conteudo = hash_usuario(novo.user_id, novo.nome, novo.email, novo.cpf, novo.quando)
""",
    "assinaturas": """
UPDATE assinaturas a
   SET user_id = novo.user_id, plano = novo.plano, inicio = novo.inicio, fim = novo.fim, status = novo.status,
       hash_conteudo = hash_assinatura(novo.user_id, novo.plano, novo.inicio, novo.fim, novo.status)
  FROM (SELECT %s::bigint AS id, %s::bigint AS user_id, %s::text AS plano, %s::timestamptz AS inicio,
               %s::timestamptz AS fim, %s::text AS status) AS novo
 WHERE a.id = novo.id
   AND a.hash_conteudo = hash_assinatura(novo.user_id, novo.plano, novo.inicio, novo.fim, novo.status)
""",
    "pagamentos": """
UPDATE pagamentos p
   SET user_id = novo.user_id, valor = novo.valor, forma_pagamento = novo.forma_pagamento, status = novo.status,
       data_pagamento = novo.quando,
       hash_conteudo = hash_pagamento(novo.user_id, novo.valor, novo.forma_pagamento, novo.status, novo.quando)
  FROM (SELECT %s::bigint AS id, %s::bigint AS user_id, %s::numeric AS valor, %s::text AS forma_pagamento,
               %s::text AS status, %s::timestamptz AS quando) AS novo
 WHERE p.id = novo.id
   AND p.hash_conteudo = hash_pagamento(novo.user_id, novo.valor, novo.forma_pagamento, novo.status, novo.quando)
""",
    "preferencias": """
UPDATE preferencias p
   SET user_id = novo.user_id, idioma = novo.idioma, notificacoes = novo.notificacoes, tema = novo.tema,
       data_atualizacao = novo.quando,
       hash_conteudo = hash_preferencia(novo.user_id, novo.idioma, novo.notificacoes, novo.tema, novo.quando)
  FROM (SELECT %s::bigint AS id, %s::bigint AS user_id, %s::text AS idioma, %s::boolean AS notificacoes,
               %s::text AS tema, %s::timestamptz AS quando) AS novo
 WHERE p.id = novo.id
   AND p.hash_conteudo = hash_preferencia(novo.user_id, novo.idioma, novo.notificacoes, novo.tema, novo.quando)
""",
}
# Take a row as it is.
ACCEPT: Final[dict[str, LiteralString]] = {
    "usuarios": """
UPDATE usuarios SET hash_conteudo = hash_usuario(user_id, nome, email, cpf, data_criacao)
 WHERE id = %s AND hash_conteudo IS NOT NULL
""",
    "assinaturas": """
UPDATE assinaturas SET hash_conteudo = hash_assinatura(user_id, plano, inicio, fim, status)
 WHERE id = %s AND hash_conteudo IS NOT NULL
""",
    "pagamentos": """
UPDATE pagamentos SET hash_conteudo = hash_pagamento(user_id, valor, forma_pagamento, status, data_pagamento)
 WHERE id = %s AND hash_conteudo IS NOT NULL
""",
    "preferencias": """
UPDATE preferencias SET hash_conteudo = hash_preferencia(user_id, idioma, notificacoes, tema, data_atualizacao)
 WHERE id = %s AND hash_conteudo IS NOT NULL
""",
}
CURRENT_ENDS: Final = "SELECT fim, status FROM assinaturas WHERE id = %s"
LATER_SUBSCRIPTION: Final = "SELECT min(inicio) FROM assinaturas WHERE user_id = %s AND inicio > %s"
MARKS: Final = """
SELECT correlation_id::text, receipt FROM inbox
 WHERE correlation_id > %s::uuid ORDER BY correlation_id LIMIT %s
"""
MARK: Final = "INSERT INTO inbox (correlation_id, command, receipt) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
POSITIONS: Final = "SELECT partition, next_offset FROM lane_positions WHERE topic_id = %s"
SET_POSITION: Final = """
INSERT INTO lane_positions (topic_id, partition, next_offset) VALUES (%s, %s, %s)
    ON CONFLICT (topic_id, partition) DO UPDATE SET next_offset = excluded.next_offset
"""
# A person who was erased, and not somebody who came later with the same ID.
ERASE_AGAIN: Final = "DELETE FROM usuarios WHERE user_id = %s AND data_criacao = %s"
STILL_THERE: Final = "SELECT user_id FROM usuarios WHERE user_id = %s AND data_criacao = %s"
HOLD_LANES: Final = "SELECT partition FROM lane_positions ORDER BY topic_id, partition FOR UPDATE"
ERASURES: Final = "SELECT receipt FROM inbox WHERE command = 'DeleteUser' AND complete_time >= %s"
