-- Pages of accounts are read from these, in the order of the name or the e-mail. With deleted_at in
-- them, accounts are counted without reading their rows.
CREATE INDEX users_present ON users (username, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX users_present_by_tier ON users (tier, username, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX users_present_by_email ON users (email_folded, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX users_deleted ON users (username, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX users_superuser ON users (username) WHERE is_superuser = 1;

-- Who did what to whom, when and from where. Rows outlive the accounts that they are about.
CREATE TABLE audit (
    seq      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    action   TEXT    NOT NULL,
    -- api or command-line.
    via      TEXT    NOT NULL,
    -- Who did it, with the name of that time; nobody when it was done without a token.
    actor_id TEXT,
    actor    TEXT,
    ip       TEXT,
    -- To whom it was done, with the name of that time.
    user_id  TEXT,
    username TEXT,
    -- A JSON object.
    details  TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_user ON audit (user_id, seq);
CREATE INDEX audit_by_actor ON audit (actor_id, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
