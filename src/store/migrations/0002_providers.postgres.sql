-- What providers tell of their accounts, and what they gave with a sign-in.

ALTER TABLE identities ADD COLUMN IF NOT EXISTS last_sign_in_at BIGINT;
ALTER TABLE identities ADD COLUMN IF NOT EXISTS data TEXT NOT NULL DEFAULT '{}';
ALTER TABLE identities ADD COLUMN IF NOT EXISTS roles TEXT NOT NULL DEFAULT '[]';

CREATE TABLE IF NOT EXISTS provider_sessions (
    session_id    BYTEA NOT NULL CONSTRAINT provider_sessions_pkey PRIMARY KEY
                  REFERENCES sessions (id) ON DELETE CASCADE,
    provider      TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    sid           TEXT,
    id_token      TEXT,
    access_token  TEXT,
    refresh_token TEXT,
    expires_at    BIGINT
);

-- A provider ends sessions by its name for the account, for the session, or both.
CREATE INDEX IF NOT EXISTS provider_sessions_by_subject ON provider_sessions (provider, issuer, subject);
CREATE INDEX IF NOT EXISTS provider_sessions_by_sid ON provider_sessions (provider, issuer, sid);
