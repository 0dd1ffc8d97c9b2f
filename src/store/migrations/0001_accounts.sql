-- Ids are 12 bytes, digests are 32 bytes, moments are milliseconds since 1970, flags are 0 or 1.

CREATE TABLE users (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
    kind                TEXT    NOT NULL CHECK (kind IN ('user', 'guest', 'service')),
    data                TEXT    NOT NULL,
    custom_data         TEXT    NOT NULL,
    roles               TEXT    NOT NULL,
    disabled            INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at          INTEGER NOT NULL,
    last_sign_in_at     INTEGER,
    version             INTEGER NOT NULL CHECK (version > 0),
    email               TEXT,
    email_key           TEXT    UNIQUE,
    password_hash       TEXT,
    email_verified      INTEGER CHECK (email_verified IN (0, 1)),
    password_changed_at INTEGER,
    CHECK ((email IS NULL) = (email_key IS NULL)),
    CHECK ((email IS NULL) = (password_hash IS NULL)),
    CHECK ((email IS NULL) = (email_verified IS NULL)),
    CHECK ((email IS NULL) = (password_changed_at IS NULL))
) STRICT, WITHOUT ROWID;

-- Counts by kind, and guests by age.
CREATE INDEX users_by_kind ON users (kind, created_at);

CREATE TABLE identities (
    user_id        BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL,
    provider       TEXT    NOT NULL,
    issuer         TEXT    NOT NULL,
    subject        TEXT    NOT NULL,
    verified_email TEXT,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (user_id, position),
    UNIQUE (provider, issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id              BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
    user_id         BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider        TEXT    NOT NULL,
    token           BLOB    NOT NULL UNIQUE CHECK (length(token) = 32),
    previous        BLOB    CHECK (length(previous) = 32),
    previous_at     INTEGER,
    user_agent      TEXT    NOT NULL,
    address         TEXT,
    created_at      INTEGER NOT NULL,
    last_seen_at    INTEGER NOT NULL,
    idle_expires_at INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    CHECK ((previous IS NULL) = (previous_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE UNIQUE INDEX sessions_by_previous ON sessions (previous) WHERE previous IS NOT NULL;
CREATE INDEX sessions_by_end ON sessions (min(idle_expires_at, expires_at));

CREATE TABLE api_keys (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
    user_id      BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    disabled     INTEGER NOT NULL CHECK (disabled IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- The sequence tells which is newer.
CREATE TABLE one_times (
    sequence        INTEGER PRIMARY KEY,
    token           BLOB    NOT NULL UNIQUE CHECK (length(token) = 32),
    purpose         TEXT    NOT NULL,
    email_key       TEXT    NOT NULL,
    code            BLOB    NOT NULL CHECK (length(code) = 32),
    user_id         BLOB    REFERENCES users (id) ON DELETE CASCADE,
    payload         TEXT    NOT NULL,
    expires_at      INTEGER NOT NULL,
    code_expires_at INTEGER NOT NULL,
    attempts        INTEGER NOT NULL
) STRICT;

CREATE INDEX one_times_by_address ON one_times (email_key, purpose);
CREATE INDEX one_times_by_user ON one_times (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX one_times_by_end ON one_times (expires_at);

-- The sequence tells which is newer, whatever the clocks of several instances say.
CREATE TABLE signing_keys (
    sequence    INTEGER PRIMARY KEY,
    kid         TEXT    NOT NULL UNIQUE,
    private     TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    signs_from  INTEGER NOT NULL,
    retires_at  INTEGER NOT NULL
) STRICT;
