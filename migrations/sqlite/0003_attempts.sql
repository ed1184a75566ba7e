-- Failed sign-ins, by account and address, by account, and by address.
CREATE TABLE attempts (
    -- An account's id, or a keyed hash of what was typed as a name that nobody has.
    key          TEXT    NOT NULL PRIMARY KEY,
    failures     INTEGER NOT NULL,
    -- When the first of them was.
    since        INTEGER NOT NULL,
    -- How many locks there were.
    locks        INTEGER NOT NULL,
    locked_until INTEGER NOT NULL,
    -- When the row is as good as none.
    forget_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_by_forget_at ON attempts (forget_at);
