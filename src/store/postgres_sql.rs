//! Every SQL statement of the PostgreSQL store, in one table; a test prepares them all.
//!
//! Plain SQL that servers with PostgreSQL's protocol know, too: no advisory locks, no LISTEN, no extensions.

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $($part:expr),+;)+) => {
        $($(#[$doc])* pub(super) const $name: &str = concat!($($part),+);)+
        /// All of them, with their names.
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

/// What `postgres_rows::user` and its `identity` read; it comes first in every row.
macro_rules! user_columns {
    () => {
        "u.id, u.kind, u.data, u.custom_data, u.roles, u.disabled, u.created_at, u.last_sign_in_at, u.version, \
         u.email, u.password_hash, u.email_verified, u.password_changed_at, \
         i.provider, i.issuer, i.subject, i.verified_email, i.created_at, i.last_sign_in_at, i.data, i.roles"
    };
}

/// The identities of `u`, a row for each, in the order they were linked.
macro_rules! identities {
    () => {
        " LEFT JOIN identities i ON i.user_id = u.id "
    };
}

macro_rules! session_columns {
    () => {
        "s.id, s.user_id, s.provider, s.token, s.previous, s.previous_at, s.user_agent, s.address, s.created_at, \
         s.last_seen_at, s.idle_expires_at, s.expires_at, s.app_device"
    };
}

macro_rules! key_columns {
    () => {
        "k.id, k.user_id, k.name, k.digest, k.created_at, k.expires_at, k.last_used_at, k.disabled"
    };
}

macro_rules! one_time_columns {
    () => {
        "token, purpose, email_key, code, user_id, payload, expires_at, code_expires_at, attempts"
    };
}

macro_rules! audit_columns {
    () => {
        "sequence, at, request_id, actor, action, subject, before, after"
    };
}

statements! {
    USER = "SELECT ", user_columns!(), " FROM users u", identities!(), "WHERE u.id = $1 ORDER BY i.position";
    USER_BY_IDENTITY = "SELECT ", user_columns!(), " FROM identities d JOIN users u ON u.id = d.user_id",
        identities!(), "WHERE d.provider = $1 AND d.issuer = $2 AND d.subject = $3 ORDER BY i.position";
    USER_BY_EMAIL = "SELECT ", user_columns!(), " FROM users u", identities!(),
        "WHERE u.email_key = $1 ORDER BY i.position";
    USERS = "SELECT ", user_columns!(), " FROM (SELECT * FROM users WHERE id > $1 ORDER BY id LIMIT $2) u",
        identities!(), "ORDER BY u.id, i.position";
    COUNT_USERS = "SELECT count(*) FROM users WHERE kind = $1";

    INSERT_USER = "INSERT INTO users (kind, data, custom_data, roles, disabled, created_at, last_sign_in_at, version, \
        email, email_key, password_hash, email_verified, password_changed_at, id) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    /// Only the version that was read is overwritten.
    UPDATE_USER = "UPDATE users SET kind = $1, data = $2, custom_data = $3, roles = $4, disabled = $5, \
        created_at = $6, last_sign_in_at = $7, version = $8::bigint, email = $9, email_key = $10, password_hash = $11, \
        email_verified = $12, password_changed_at = $13 WHERE id = $14 AND version = $8::bigint - 1";
    INSERT_IDENTITY = "INSERT INTO identities (user_id, position, provider, issuer, subject, verified_email, \
        created_at, last_sign_in_at, data, roles) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    DELETE_IDENTITIES = "DELETE FROM identities WHERE user_id = $1";
    DELETE_USER = "DELETE FROM users WHERE id = $1";
    /// Whoever adds a session or key, or sweeps, goes through here: one after the other for a user.
    LOCK_USER = "SELECT version FROM users WHERE id = $1 FOR UPDATE";
    /// In one order, so that two merges do not wait for each other.
    LOCK_USERS = "SELECT id, version FROM users WHERE id IN ($1, $2) ORDER BY id FOR UPDATE";
    IDLE_GUESTS = "SELECT id FROM users u WHERE kind = 'guest' AND created_at < $1 \
        AND (last_sign_in_at IS NULL OR last_sign_in_at < $1) \
        AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.last_seen_at >= $1) \
        ORDER BY id LIMIT $2 FOR UPDATE";
    DELETE_IDLE_GUEST = "DELETE FROM users u WHERE id = $2 AND kind = 'guest' AND created_at < $1 \
        AND (last_sign_in_at IS NULL OR last_sign_in_at < $1) \
        AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.last_seen_at >= $1)";

    SESSION_BY_TOKEN = "SELECT ", user_columns!(), ", ", session_columns!(),
        " FROM sessions s JOIN users u ON u.id = s.user_id", identities!(), "WHERE s.token = $1 ORDER BY i.position";
    SESSION = "SELECT ", user_columns!(), ", ", session_columns!(),
        " FROM sessions s JOIN users u ON u.id = s.user_id", identities!(), "WHERE s.id = $1 ORDER BY i.position";
    SESSIONS_OF = "SELECT ", session_columns!(),
        " FROM sessions s WHERE s.user_id = $1 ORDER BY s.last_seen_at DESC, s.id DESC";
    SESSIONS = "SELECT ", session_columns!(), " FROM sessions s WHERE s.id > $1 ORDER BY s.id LIMIT $2";
    INSERT_SESSION = "INSERT INTO sessions (id, user_id, provider, token, previous, previous_at, user_agent, address, \
        created_at, last_seen_at, idle_expires_at, expires_at, app_device) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    EVICT_SESSIONS = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = $1 AND id <> $2 \
        ORDER BY last_seen_at DESC, id DESC OFFSET $3)";
    /// A session that is over stays over, however late the note of its use comes.
    /// The rows are locked in the order of their ids, that two instances do not wait for each other.
    TOUCH_SESSIONS = "UPDATE sessions s SET last_seen_at = greatest(s.last_seen_at, u.at), \
        idle_expires_at = greatest(s.idle_expires_at, u.idle) FROM (SELECT o.id, n.at, n.idle FROM sessions o \
        JOIN unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS n (id, at, idle) ON o.id = n.id \
        ORDER BY o.id FOR UPDATE OF o) u \
        WHERE s.id = u.id AND s.idle_expires_at > u.at AND s.expires_at > u.at";
    ROTATE_TOKEN = "UPDATE sessions SET token = $2, previous = $1, previous_at = $3, \
        last_seen_at = greatest(last_seen_at, $3), idle_expires_at = greatest(idle_expires_at, $4) \
        WHERE token = $1 AND idle_expires_at > $3 AND expires_at > $3";
    SESSION_BY_PREVIOUS = "SELECT ", session_columns!(),
        " FROM sessions s WHERE s.previous = $1 AND s.idle_expires_at > $2 AND s.expires_at > $2";
    END_SESSION = "DELETE FROM sessions WHERE id = $1";
    END_SESSIONS_OF = "DELETE FROM sessions WHERE user_id = $1 AND ($2::bytea IS NULL OR id <> $2) RETURNING id";
    END_SESSIONS_BY = "DELETE FROM sessions WHERE user_id = $1 AND provider = $2";
    MOVE_SESSIONS = "UPDATE sessions SET user_id = $2 WHERE user_id = $1";
    SWEEP_SESSIONS = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
        WHERE least(idle_expires_at, expires_at) <= $1 LIMIT $2) AND least(idle_expires_at, expires_at) <= $1";

    SAVE_PROVIDER_SESSION = "INSERT INTO provider_sessions (session_id, provider, issuer, subject, sid, \
        id_token, access_token, refresh_token, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (session_id) DO UPDATE SET provider = $2, issuer = $3, subject = $4, sid = $5, id_token = $6, \
        access_token = $7, refresh_token = $8, expires_at = $9";
    PROVIDER_SESSION = "SELECT session_id, provider, issuer, subject, sid, id_token, access_token, refresh_token, \
        expires_at FROM provider_sessions WHERE session_id = $1";
    SESSIONS_BY_SUBJECT = "SELECT session_id FROM provider_sessions \
        WHERE provider = $1 AND issuer = $2 AND subject = $3 AND ($4::text IS NULL OR sid = $4)";
    SESSIONS_BY_SID = "SELECT session_id FROM provider_sessions WHERE provider = $1 AND issuer = $2 AND sid = $3";

    KEY = "SELECT ", user_columns!(), ", ", key_columns!(), " FROM api_keys k JOIN users u ON u.id = k.user_id",
        identities!(), "WHERE k.id = $1 ORDER BY i.position";
    KEYS = "SELECT ", key_columns!(), " FROM api_keys k ORDER BY k.id";
    KEYS_OF = "SELECT ", key_columns!(), " FROM api_keys k WHERE k.user_id = $1 ORDER BY k.id";
    /// Only below the most keys of a user; behind [`LOCK_USER`] nobody else counts at the same time.
    INSERT_KEY = "INSERT INTO api_keys (id, user_id, name, digest, created_at, expires_at, last_used_at, disabled) \
        SELECT $1::bytea, $2::bytea, $3::text, $4::bytea, $5::bigint, $6::bigint, $7::bigint, $8::boolean \
        WHERE (SELECT count(*) FROM api_keys WHERE user_id = $2) < $9";
    SET_KEY_DISABLED = "UPDATE api_keys SET disabled = $2 WHERE id = $1";
    TOUCH_KEY = "UPDATE api_keys SET last_used_at = greatest(coalesce(last_used_at, $2), $2) WHERE id = $1";
    MOVE_KEYS = "UPDATE api_keys SET user_id = $2 WHERE user_id = $1";
    DELETE_KEY = "DELETE FROM api_keys WHERE id = $1";

    INSERT_ONE_TIME = "INSERT INTO one_times (", one_time_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    ONE_TIME = "SELECT ", one_time_columns!(), " FROM one_times WHERE token = $1 AND expires_at > $2";
    TAKE_ONE_TIME = "DELETE FROM one_times WHERE token = $1 AND expires_at > $2 RETURNING ", one_time_columns!();
    /// Guesses at codes to an address go one after the other: many at once must not be tried before one is counted.
    LOCK_ONE_TIMES = "SELECT sequence FROM one_times WHERE email_key = $1 AND purpose = $2 \
        ORDER BY sequence FOR UPDATE";
    TAKE_ONE_TIME_BY_CODE = "DELETE FROM one_times WHERE sequence = (SELECT sequence FROM one_times \
        WHERE email_key = $1 AND purpose = $2 AND code = $3 AND attempts < $4 \
        AND code_expires_at > $5 AND expires_at > $5 ORDER BY sequence DESC LIMIT 1) RETURNING ", one_time_columns!();
    COUNT_WRONG_CODE = "UPDATE one_times SET attempts = least(attempts + 1, 4294967295) \
        WHERE email_key = $1 AND purpose = $2";
    ONE_TIMES = "SELECT ", one_time_columns!(),
        " FROM one_times WHERE email_key = $1 AND purpose = $2 AND expires_at > $3 ORDER BY sequence DESC";
    /// What was made for nobody carries nothing.
    WAITING = "SELECT ", one_time_columns!(), " FROM one_times \
        WHERE purpose = $1 AND expires_at > $2 AND payload <> 'null' ORDER BY sequence DESC LIMIT $3";
    VOID_BY_ADDRESS = "DELETE FROM one_times WHERE email_key = $1";
    VOID_BY_USER = "DELETE FROM one_times WHERE user_id = $1";
    SWEEP_ONE_TIMES = "DELETE FROM one_times WHERE sequence IN (SELECT sequence FROM one_times \
        WHERE expires_at <= $1 LIMIT $2)";
    EVERY_ONE_TIME = "SELECT ", one_time_columns!(),
        ", sequence FROM one_times WHERE sequence > $1 ORDER BY sequence LIMIT $2";

    SIGNING_KEYS = "SELECT kid, private, created_at, signs_from, retires_at FROM signing_keys ORDER BY sequence DESC";
    INSERT_SIGNING_KEY = "INSERT INTO signing_keys (sequence, kid, private, created_at, signs_from, retires_at) \
        SELECT coalesce((SELECT max(sequence) FROM signing_keys), 0) + 1, \
        $1::text, $2::text, $3::bigint, $4::bigint, $5::bigint \
        WHERE coalesce((SELECT kid FROM signing_keys ORDER BY sequence DESC LIMIT 1), '') = $6";
    SWEEP_SIGNING_KEYS = "DELETE FROM signing_keys WHERE retires_at <= $1";

    INSERT_AUDIT = "INSERT INTO audit (at, request_id, actor, action, subject, before, after) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    AUDIT = "SELECT ", audit_columns!(), " FROM audit WHERE sequence > $1 AND at >= $2 ORDER BY sequence LIMIT $3";
    AUDIT_OF = "SELECT ", audit_columns!(),
        " FROM audit WHERE subject = $4 AND sequence > $1 AND at >= $2 ORDER BY sequence LIMIT $3";
    SWEEP_AUDIT = "DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit WHERE at < $1 LIMIT $2)";

    /// A server that takes no writes is not ready.
    PING = "SELECT max(version), current_setting('transaction_read_only') FROM schema_version";
}
