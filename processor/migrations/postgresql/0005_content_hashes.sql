-- A hash of what the platform has written in a row, in the row: whoever changes the one behind its back leaves the other
-- as it was. A row from before has none, and nothing is known of it.
ALTER TABLE usuarios ADD COLUMN hash_conteudo bigint;
ALTER TABLE assinaturas ADD COLUMN hash_conteudo bigint;
ALTER TABLE pagamentos ADD COLUMN hash_conteudo bigint;
ALTER TABLE preferencias ADD COLUMN hash_conteudo bigint;

-- Of all columns but `id`, which PostgreSQL gives when the hash is made already. Inlined where they are called.
CREATE FUNCTION hash_usuario(user_id bigint, nome text, email text, cpf text, data_criacao timestamptz)
    RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hash_record_extended(ROW(user_id, nome, email, cpf, data_criacao), 0);
CREATE FUNCTION hash_assinatura(user_id bigint, plano text, inicio timestamptz, fim timestamptz, status text)
    RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hash_record_extended(ROW(user_id, plano, inicio, fim, status), 0);
CREATE FUNCTION hash_pagamento(
    user_id bigint, valor numeric, forma_pagamento text, status text, data_pagamento timestamptz
)
    RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hash_record_extended(ROW(user_id, valor, forma_pagamento, status, data_pagamento), 0);
CREATE FUNCTION hash_preferencia(
    user_id bigint, idioma text, notificacoes boolean, tema text, data_atualizacao timestamptz
)
    RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hash_record_extended(ROW(user_id, idioma, notificacoes, tema, data_atualizacao), 0);

-- The hash of a row that is changed: the new content's, or a wrong one where the old one was wrong, so that a change by
-- hand is not covered up by the next command. `known` is the row's, `before` and `after` are what the contents give.
CREATE FUNCTION hash_seguinte(known bigint, before bigint, after bigint)
    RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN after # coalesce(known # before, 0);
