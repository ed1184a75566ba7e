-- Keys that the gateways on this store share, encrypted under a key that is not in here.
CREATE TABLE secrets (
    -- What it is for: signing or refresh.
    name       TEXT    NOT NULL,
    -- What tokens call the key.
    kid        TEXT    NOT NULL PRIMARY KEY,
    algorithm  TEXT    NOT NULL,
    -- The newest has the highest of its name.
    number     INTEGER NOT NULL,
    -- Made for the next rotation: it only verifies until then.
    is_next    INTEGER NOT NULL,
    nonce      BLOB    NOT NULL,
    ciphertext BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (name, number)
) STRICT;
