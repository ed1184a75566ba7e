-- A condition that PostgreSQL reads as well.
DROP INDEX users_superuser;
CREATE INDEX users_superuser ON users (username) WHERE is_superuser;
