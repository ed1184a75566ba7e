-- What callers have used up of quotas that take long to come back.
CREATE TABLE limit_counters (
    -- Which limit's.
    scope   TEXT    NOT NULL,
    -- Whose.
    value   TEXT    NOT NULL,
    -- When nothing is used up any more, and the row is as good as none.
    full_at INTEGER NOT NULL,
    PRIMARY KEY (scope, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX limit_counters_by_full_at ON limit_counters (full_at);
