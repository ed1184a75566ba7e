-- Times are milliseconds since 1970, ids are UUIDs as text.

CREATE TABLE users (
    id                TEXT    NOT NULL PRIMARY KEY,
    external_id       TEXT    UNIQUE,
    username          TEXT    NOT NULL UNIQUE,
    name              TEXT    NOT NULL,
    email             TEXT    NOT NULL,
    -- What e-mails are compared by.
    email_folded      TEXT    NOT NULL UNIQUE,
    password_hash     TEXT    NOT NULL,
    profile_image_url TEXT,
    tier              TEXT    NOT NULL,
    -- A JSON array of strings.
    roles             TEXT    NOT NULL DEFAULT '[]',
    is_superuser      INTEGER NOT NULL DEFAULT 0 CHECK (is_superuser IN (0, 1)),
    is_active         INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    -- Raised by every change that tokens already issued must feel.
    version           INTEGER NOT NULL DEFAULT 1,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER,
    deleted_at        INTEGER
) STRICT;

-- Every name that was ever in use, and whose it was. Rows outlive their user: an upstream that keys
-- its data on the name must not meet somebody else under it.
CREATE TABLE names_used (
    username TEXT    NOT NULL PRIMARY KEY,
    user_id  TEXT    NOT NULL,
    since    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id               TEXT    NOT NULL PRIMARY KEY,
    user_id          TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The number of the one refresh token that is current.
    counter          INTEGER NOT NULL,
    -- When the latest tokens before it were used: a JSON array, the newest last.
    rotations        TEXT    NOT NULL DEFAULT '[]',
    created_at       INTEGER NOT NULL,
    last_used_at     INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    -- When the last access token of this session expires.
    tokens_expire_at INTEGER NOT NULL,
    ip               TEXT    NOT NULL,
    user_agent       TEXT,
    ended_at         INTEGER
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- What tokens already issued must feel: a changed account or an ended session. Read in the order of
-- seq by every process on this store.
CREATE TABLE changes (
    seq        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- When the last token that this is about expires.
    until      INTEGER NOT NULL,
    user_id    TEXT    REFERENCES users (id) ON DELETE CASCADE,
    session_id TEXT,
    CHECK ((user_id IS NULL) <> (session_id IS NULL))
) STRICT;

CREATE INDEX changes_by_until ON changes (until);
CREATE INDEX changes_by_user ON changes (user_id);
