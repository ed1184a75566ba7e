-- Numbers of the names of tiers, of the file and of the store. None is ever given twice.
CREATE TABLE tier_ids (
    id    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name  TEXT    NOT NULL UNIQUE,
    since INTEGER NOT NULL
) STRICT;

-- Tiers beside those of gateway.yaml.
CREATE TABLE tiers (
    name         TEXT    NOT NULL PRIMARY KEY,
    rank         INTEGER NOT NULL,
    -- So many requests in so many seconds; unlimited without them.
    rate_count   INTEGER,
    rate_seconds INTEGER,
    -- The count when absent.
    burst        INTEGER,
    updated_at   INTEGER,
    CHECK ((rate_count IS NULL) = (rate_seconds IS NULL))
) STRICT;

-- Limit rules of tiers, those of gateway.yaml too.
CREATE TABLE tier_limits (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tier         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    -- The name of a route, or a path's template and a method; what is absent is empty, and so is the
    -- method for every method.
    route        TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    rate_count   INTEGER NOT NULL,
    rate_seconds INTEGER NOT NULL,
    burst        INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER,
    CHECK ((route = '') <> (path = '')),
    UNIQUE (tier, route, path, method, name)
) STRICT;

-- Moves with every change of tiers and rules, so that whoever has read them knows when to read again.
CREATE TABLE plans (
    version INTEGER NOT NULL
) STRICT;

INSERT INTO plans (version) VALUES (0);

-- Whether a tier is in use is asked of deleted accounts too.
CREATE INDEX users_deleted_by_tier ON users (tier) WHERE deleted_at IS NOT NULL;
