-- How many accounts there are, by tier and whether they are deleted: counting a million takes longer than
-- any page of them.
CREATE TABLE user_counts (
    tier       TEXT    NOT NULL,
    is_deleted INTEGER NOT NULL CHECK (is_deleted IN (0, 1)),
    users      INTEGER NOT NULL,
    PRIMARY KEY (tier, is_deleted)
) STRICT, WITHOUT ROWID;

INSERT INTO user_counts (tier, is_deleted, users)
SELECT tier, deleted_at IS NOT NULL, count(*) FROM users GROUP BY 1, 2;

CREATE TRIGGER users_counted_in AFTER INSERT ON users BEGIN
    INSERT INTO user_counts (tier, is_deleted, users)
    VALUES (NEW.tier, NEW.deleted_at IS NOT NULL, 1)
    ON CONFLICT (tier, is_deleted) DO UPDATE SET users = users + 1;
END;

CREATE TRIGGER users_counted_out AFTER DELETE ON users BEGIN
    UPDATE user_counts SET users = users - 1
    WHERE tier = OLD.tier AND is_deleted = (OLD.deleted_at IS NOT NULL);
END;

CREATE TRIGGER users_counted_again AFTER UPDATE OF tier, deleted_at ON users
WHEN OLD.tier <> NEW.tier OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL) BEGIN
    UPDATE user_counts SET users = users - 1
    WHERE tier = OLD.tier AND is_deleted = (OLD.deleted_at IS NOT NULL);
    INSERT INTO user_counts (tier, is_deleted, users)
    VALUES (NEW.tier, NEW.deleted_at IS NOT NULL, 1)
    ON CONFLICT (tier, is_deleted) DO UPDATE SET users = users + 1;
END;
