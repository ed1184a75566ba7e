-- Keys that accounts give to their programs.
CREATE TABLE api_keys (
    -- It stands in the key itself.
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- A new one with every change to the key; that the old one is over goes into the change log.
    grant_id     TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    -- SHA-256 of the key, in base64url.
    hash         TEXT   NOT NULL,
    -- A JSON array of strings.
    scopes       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    -- When it was revoked. The row stays for a while, so that its user is told so.
    ended_at     BIGINT
);

CREATE INDEX api_keys_by_user ON api_keys (user_id);
CREATE INDEX api_keys_by_end ON api_keys (ended_at) WHERE ended_at IS NOT NULL;
