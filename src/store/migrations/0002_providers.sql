-- What providers tell of their accounts, and what they gave with a sign-in.

ALTER TABLE identities ADD COLUMN last_sign_in_at INTEGER;
ALTER TABLE identities ADD COLUMN data TEXT NOT NULL DEFAULT '{}';
ALTER TABLE identities ADD COLUMN roles TEXT NOT NULL DEFAULT '[]';

CREATE TABLE provider_sessions (
    session_id    BLOB NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    provider      TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    sid           TEXT,
    id_token      TEXT,
    access_token  TEXT,
    refresh_token TEXT,
    expires_at    INTEGER
) STRICT, WITHOUT ROWID;

-- A provider ends sessions by its name for the account, for the session, or both.
CREATE INDEX provider_sessions_by_subject ON provider_sessions (provider, issuer, subject);
CREATE INDEX provider_sessions_by_sid ON provider_sessions (provider, issuer, sid) WHERE sid IS NOT NULL;
