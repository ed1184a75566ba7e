-- Since when nobody has the name; null while somebody does.
ALTER TABLE names_used ADD COLUMN released_at INTEGER;
UPDATE names_used SET released_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000
WHERE username NOT IN (SELECT username FROM users);
