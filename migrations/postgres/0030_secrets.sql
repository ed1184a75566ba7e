-- Keys that the gateways on this store share, encrypted under a key that is not in here.
CREATE TABLE secrets (
    -- What it is for: signing or refresh.
    name       TEXT    NOT NULL,
    -- What tokens call the key.
    kid        TEXT    NOT NULL PRIMARY KEY,
    algorithm  TEXT    NOT NULL,
    -- The newest has the highest of its name.
    number     BIGINT  NOT NULL,
    -- Made for the next rotation: it only verifies until then.
    is_next    BOOLEAN NOT NULL,
    nonce      BYTEA   NOT NULL,
    ciphertext BYTEA   NOT NULL,
    created_at BIGINT  NOT NULL,
    UNIQUE (name, number)
);
