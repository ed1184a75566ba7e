-- Times are milliseconds since 1970, ids are UUIDs as text. Text that is sorted or searched by its
-- beginning is compared byte by byte, whatever the database's locale.

CREATE TABLE users (
    id                TEXT    NOT NULL PRIMARY KEY,
    external_id       TEXT    UNIQUE,
    username          TEXT    COLLATE "C" NOT NULL UNIQUE,
    name              TEXT    NOT NULL,
    email             TEXT    NOT NULL,
    -- What e-mails are compared by.
    email_folded      TEXT    COLLATE "C" NOT NULL UNIQUE,
    password_hash     TEXT    NOT NULL,
    profile_image_url TEXT,
    tier              TEXT    COLLATE "C" NOT NULL,
    -- A JSON array of strings.
    roles             TEXT    NOT NULL DEFAULT '[]',
    is_superuser      BOOLEAN NOT NULL DEFAULT FALSE,
    is_active         BOOLEAN NOT NULL DEFAULT TRUE,
    -- Raised by every change that tokens already issued must feel.
    version           BIGINT  NOT NULL DEFAULT 1,
    created_at        BIGINT  NOT NULL,
    updated_at        BIGINT,
    deleted_at        BIGINT
);

CREATE INDEX users_present ON users (username) WHERE deleted_at IS NULL;
CREATE INDEX users_present_by_tier ON users (tier, username) WHERE deleted_at IS NULL;
CREATE INDEX users_present_by_email ON users (email_folded) WHERE deleted_at IS NULL;
CREATE INDEX users_deleted ON users (username) WHERE deleted_at IS NOT NULL;
CREATE INDEX users_superuser ON users (username) WHERE is_superuser;

-- Every name that was ever in use, and whose it was last. Rows outlive their user: an upstream that keys
-- its data on the name must not meet somebody else under it.
CREATE TABLE names_used (
    username    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    user_id     TEXT   NOT NULL,
    since       BIGINT NOT NULL,
    -- Since when nobody has it; null while somebody does.
    released_at BIGINT
);

CREATE TABLE sessions (
    id               TEXT   NOT NULL PRIMARY KEY,
    user_id          TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The number of the one refresh token that is current.
    counter          BIGINT NOT NULL,
    -- When the latest tokens before it were used: a JSON array, the newest last.
    rotations        TEXT   NOT NULL DEFAULT '[]',
    created_at       BIGINT NOT NULL,
    last_used_at     BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    -- When the last access token of this session expires.
    tokens_expire_at BIGINT NOT NULL,
    ip               TEXT   NOT NULL,
    user_agent       TEXT,
    ended_at         BIGINT
);

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- What tokens already issued must feel: a changed account or an ended session. Read in the order of
-- seq by every process on this store.
CREATE TABLE changes (
    seq        BIGINT NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    -- When the last token that this is about expires.
    until      BIGINT NOT NULL,
    user_id    TEXT   REFERENCES users (id) ON DELETE CASCADE,
    session_id TEXT,
    CHECK ((user_id IS NULL) <> (session_id IS NULL))
);

CREATE INDEX changes_by_until ON changes (until);
CREATE INDEX changes_by_user ON changes (user_id);

-- Who did what to whom, when and from where. Rows outlive the accounts that they are about.
CREATE TABLE audit (
    seq      BIGINT NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at       BIGINT NOT NULL,
    action   TEXT   NOT NULL,
    -- api or command-line.
    via      TEXT   NOT NULL,
    -- Who did it, with the name of that time; nobody when it was done without a token.
    actor_id TEXT,
    actor    TEXT,
    ip       TEXT,
    -- To whom it was done, with the name of that time.
    user_id  TEXT,
    username TEXT,
    -- A JSON object.
    details  TEXT   NOT NULL
);

CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_user ON audit (user_id, seq);
CREATE INDEX audit_by_actor ON audit (actor_id, seq);
CREATE INDEX audit_by_action ON audit (action, seq);

-- Failed sign-ins, by account and address, by account, and by address.
CREATE TABLE attempts (
    -- An account's id, or a keyed hash of what was typed as a name that nobody has.
    key          TEXT   NOT NULL PRIMARY KEY,
    failures     BIGINT NOT NULL,
    -- When the first of them was.
    since        BIGINT NOT NULL,
    -- How many locks there were.
    locks        BIGINT NOT NULL,
    locked_until BIGINT NOT NULL,
    -- When the row is as good as none.
    forget_at    BIGINT NOT NULL
);

CREATE INDEX attempts_by_forget_at ON attempts (forget_at);
