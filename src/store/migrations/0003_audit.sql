-- What was done to accounts. Subjects outlive their users here: no reference.

CREATE TABLE audit (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    request_id TEXT,
    actor      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    subject    BLOB    CHECK (length(subject) = 12),
    before     TEXT    NOT NULL,
    after      TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_by_subject ON audit (subject, sequence);
CREATE INDEX audit_by_end ON audit (at);

CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
