-- The tables that people know from the platform's beginnings, under their names of then. Where a database has
-- them already, they are kept and only what is missing is added.

CREATE TABLE IF NOT EXISTS usuarios (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL,
    nome text NOT NULL,
    email text NOT NULL,
    cpf text NOT NULL CHECK (cpf ~ '^[0-9]{11}$'),
    data_criacao timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS usuarios_user_id_unico ON usuarios (user_id);
CREATE UNIQUE INDEX IF NOT EXISTS usuarios_email_unico ON usuarios (lower(email));
CREATE UNIQUE INDEX IF NOT EXISTS usuarios_cpf_unico ON usuarios (cpf);

CREATE TABLE IF NOT EXISTS assinaturas (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES usuarios (user_id) ON DELETE CASCADE,
    plano text NOT NULL,
    inicio timestamptz NOT NULL,
    fim timestamptz NOT NULL,
    status text NOT NULL
);
CREATE INDEX IF NOT EXISTS assinaturas_por_usuario ON assinaturas (user_id, id);
-- A user has one subscription in force at the most.
CREATE UNIQUE INDEX IF NOT EXISTS assinaturas_ativa_unica ON assinaturas (user_id) WHERE status = 'ativa';
-- What the lane looks through for subscriptions past their term.
CREATE INDEX IF NOT EXISTS assinaturas_ativas_por_fim ON assinaturas (fim) WHERE status = 'ativa';

CREATE TABLE IF NOT EXISTS pagamentos (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES usuarios (user_id) ON DELETE CASCADE,
    valor numeric(12, 2) NOT NULL,
    forma_pagamento text NOT NULL,
    status text NOT NULL,
    data_pagamento timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS pagamentos_por_usuario ON pagamentos (user_id, id);

CREATE TABLE IF NOT EXISTS preferencias (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES usuarios (user_id) ON DELETE CASCADE,
    idioma text NOT NULL,
    notificacoes boolean NOT NULL,
    tema text NOT NULL,
    data_atualizacao timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS preferencias_user_id_unico ON preferencias (user_id);
