-- How many accounts there are, by tier and whether they are deleted: counting a million takes longer than
-- any page of them.
CREATE TABLE user_counts (
    tier       TEXT    COLLATE "C" NOT NULL,
    is_deleted BOOLEAN NOT NULL,
    users      BIGINT  NOT NULL,
    PRIMARY KEY (tier, is_deleted)
);

INSERT INTO user_counts (tier, is_deleted, users)
SELECT tier, deleted_at IS NOT NULL, count(*) FROM users GROUP BY 1, 2;

CREATE FUNCTION count_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.tier = NEW.tier
        AND (OLD.deleted_at IS NULL) = (NEW.deleted_at IS NULL) THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE user_counts SET users = users - 1
        WHERE tier = OLD.tier AND is_deleted = (OLD.deleted_at IS NOT NULL);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO user_counts (tier, is_deleted, users)
        VALUES (NEW.tier, NEW.deleted_at IS NOT NULL, 1)
        ON CONFLICT (tier, is_deleted) DO UPDATE SET users = user_counts.users + 1;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_counted AFTER INSERT OR DELETE OR UPDATE OF tier, deleted_at ON users
FOR EACH ROW EXECUTE FUNCTION count_users();
