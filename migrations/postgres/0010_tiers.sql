-- Numbers of the names of tiers, of the file and of the store. None is ever given twice.
CREATE TABLE tier_ids (
    id    BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  TEXT    COLLATE "C" NOT NULL UNIQUE,
    since BIGINT  NOT NULL
);

-- Tiers beside those of gateway.yaml.
CREATE TABLE tiers (
    name         TEXT    NOT NULL PRIMARY KEY,
    rank         BIGINT  NOT NULL,
    -- So many requests in so many seconds; unlimited without them.
    rate_count   BIGINT,
    rate_seconds BIGINT,
    -- The count when absent.
    burst        BIGINT,
    updated_at   BIGINT,
    CHECK ((rate_count IS NULL) = (rate_seconds IS NULL))
);

-- Limit rules of tiers, those of gateway.yaml too.
CREATE TABLE tier_limits (
    id           BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tier         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    -- The name of a route, or a path's template and a method; what is absent is empty, and so is the
    -- method for every method.
    route        TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    rate_count   BIGINT  NOT NULL,
    rate_seconds BIGINT  NOT NULL,
    burst        BIGINT,
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT,
    CHECK ((route = '') <> (path = '')),
    UNIQUE (tier, route, path, method, name)
);

-- Moves with every change of tiers and rules, so that whoever has read them knows when to read again.
CREATE TABLE plans (
    version BIGINT  NOT NULL
);

INSERT INTO plans (version) VALUES (0);

-- Whether a tier is in use is asked of deleted accounts too.
CREATE INDEX users_deleted_by_tier ON users (tier) WHERE deleted_at IS NOT NULL;
