//! Tables of another application, in SQLite and in PostgreSQL.

use super::*;
use crate::accounts::testing::{Application, QUERY, application_for, users_of};

async fn open(application: &Application, query: &str) -> Result<Table, Vec<Fault>> {
    Table::open(&users_of(application, query)).await
}

/// One of each, in folders that go with the test.
fn applications() -> [(Application, tempfile::TempDir); 2] {
    ["in_sqlite", "on_postgres"].map(|suite| {
        let folder = tempfile::tempdir().unwrap();
        (application_for(suite, folder.path()), folder)
    })
}

async fn find(table: &Table, typed: &str) -> Vec<Result<Member, RowFault>> {
    table.find(typed).await.unwrap()
}

#[tokio::test]
async fn a_user_is_found_by_what_was_typed() {
    for (application, _folder) in applications() {
        application.member(7, "Ann.Lee", "$2b$04$x");
        application.set(7, "roles = '[\"a\",\"b\"]', is_admin = TRUE");
        application.member(8, "bob", "y");
        application.set(
            8,
            "disabled_at = '2026-01-02 03:04:05', roles = NULL, plan = NULL",
        );
        let table = open(&application, QUERY).await.ok().unwrap();
        for typed in ["Ann.Lee", "Ann.Lee@example.com"] {
            let found = find(&table, typed).await.pop().unwrap().ok().unwrap();
            assert_eq!(found.external_id, "7");
            assert_eq!(found.username, "Ann.Lee");
            assert_eq!(found.password_hash, "$2b$04$x");
            assert_eq!(found.email.as_deref(), Some("Ann.Lee@example.com"));
            assert_eq!(found.name.as_deref(), Some("The Ann.Lee"));
            assert_eq!(found.tier.as_deref(), Some("pro"));
            assert_eq!(found.roles, ["a", "b"]);
            assert!(found.is_superuser && found.is_active);
        }
        let bob = find(&table, "bob").await.pop().unwrap().ok().unwrap();
        assert!(!bob.is_active && !bob.is_superuser && bob.roles.is_empty());
        assert_eq!(bob.tier, None);
        for nobody in ["", "ann.lee", "x' OR '1'='1", "a\0b", "$1"] {
            assert!(find(&table, nobody).await.is_empty(), "{nobody}");
        }
    }
}

#[tokio::test]
async fn what_is_found_is_bounded() {
    for (application, _folder) in applications() {
        for id in 0..20 {
            application.member(id, "ann", "x");
        }
        let table = open(&application, QUERY).await.ok().unwrap();
        assert_eq!(find(&table, "ann").await.len(), ROWS as usize);
    }
}

#[tokio::test]
async fn faults_of_a_query_are_told_before_there_is_a_row() {
    for (application, _folder) in applications() {
        for (query, parts) in [
            (
                "SELECT id FROM members WHERE username = $1",
                vec!["`username`", "`password_hash`"],
            ),
            (
                "SELECT *, id FROM members WHERE username = $1",
                vec!["`id` comes twice", "`plan` means nothing"],
            ),
            (
                "SELECT nothing FROM members WHERE username = $1",
                vec!["nothing"],
            ),
            (
                "SELECT id FROM nowhere WHERE username = $1",
                vec!["nowhere"],
            ),
            ("SELEC", vec!["syntax"]),
            (
                "SELECT id, username, password_hash, disabled_at AS email, username AS is_active \
                 FROM members WHERE username = $1",
                vec![
                    "`email` is ",
                    "expected text",
                    "`is_active` is text, expected a boolean",
                ],
            ),
        ] {
            let faults = open(&application, query).await.err().unwrap();
            assert!(faults.iter().all(|fault| fault.key == USERS_QUERY));
            let text: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
            let text = text.join("\n");
            for part in parts {
                assert!(text.contains(part), "{query}: {part} in {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Application::Sqlite(folder.path().join("missing.db"));
    let text = folder.path().join("text.db");
    std::fs::write(&text, "hello ".repeat(500)).unwrap();
    // Nobody listens on a port that needs privileges and is not assigned.
    let refused = Application::Postgres("postgres://reader:hunter2@127.0.0.1:4/app".into());
    for application in [missing, Application::Sqlite(text), refused] {
        let faults = open(&application, QUERY).await.err().unwrap();
        assert_eq!((faults.len(), faults[0].key), (1, USERS_STORE));
        let message = &faults[0].message;
        assert!(message.starts_with("cannot open "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    assert!(!folder.path().join("missing.db").exists());
}

#[tokio::test]
async fn nothing_is_written_whatever_the_query() {
    let [(sqlite, _a), (postgres, _b)] = applications();
    sqlite.member(1, "ann", "x");
    postgres.member(1, "ann", "x");
    let table = open(&sqlite, QUERY).await.ok().unwrap();
    let Pool::Sqlite(pool) = &table.pool else {
        panic!("SQLite");
    };
    assert!(
        sqlx::query("DELETE FROM members")
            .execute(pool)
            .await
            .is_err()
    );
    if let Application::Sqlite(_) = postgres {
        return;
    }
    postgres.run(
        "CREATE FUNCTION touch(text) RETURNS text LANGUAGE plpgsql AS \
         $$ BEGIN DELETE FROM members; RETURN $1; END $$",
    );
    let query = QUERY.replace("$1", "touch($1)");
    let table = open(&postgres, &query).await.ok().unwrap();
    let error = table.find("ann").await.err().unwrap().to_string();
    assert!(error.contains("25006"), "{error}");
    assert!(!table.is_up());
    assert!(table.probe().await.is_err());
    let table = open(&postgres, QUERY).await.ok().unwrap();
    assert_eq!(find(&table, "ann").await.len(), 1);
}

#[tokio::test]
async fn what_was_typed_is_in_no_error() {
    let [_, (application, _folder)] = applications();
    if let Application::Sqlite(_) = application {
        return;
    }
    let query = "SELECT id, username, password_hash FROM members WHERE id = $1::int";
    let table = open(&application, query).await.ok().unwrap();
    let fault = find(&table, "hunter2").await.pop().unwrap().err().unwrap();
    assert_eq!(fault.column, "$1");
    assert!(table.is_up(), "nothing is wrong with the database");
    application.run("DROP TABLE members");
    let error = table.find("1").await.err().unwrap().to_string();
    assert!(error.contains("42P01"), "{error}");
}

#[tokio::test]
async fn types_of_postgres_that_say_the_same() {
    let [_, (application, _folder)] = applications();
    if let Application::Sqlite(_) = application {
        return;
    }
    application.run(
        "CREATE TYPE plan AS ENUM ('free', 'pro');
         CREATE DOMAIN address AS varchar(99);
         CREATE TABLE people (id uuid, username varchar(20), password_hash char(8), email address,
             tier plan, words text[], json json, jsonb jsonb, flag smallint, big bigint, at date);
         INSERT INTO people VALUES ('0198C5F0-0000-7000-8000-000000000007', 'ann', 'hash', 'a@b.c', 'pro',
             '{a,b}', '[\"a\",\"b\"]', '[\"a\",\"b\"]', 1, 1, '2026-01-01')",
    );
    for (select, is_active) in [
        (
            "words AS roles, flag AS is_superuser, big AS is_active",
            true,
        ),
        (
            "json AS roles, true AS is_superuser, at AS deleted_at",
            false,
        ),
        (
            "jsonb AS roles, (flag = 1) AS is_superuser, CAST(NULL AS timestamptz) AS disabled_at",
            true,
        ),
        (
            "ARRAY['a','b']::varchar[] AS roles, flag AS is_superuser",
            true,
        ),
    ] {
        let query = format!(
            "SELECT id, username, password_hash, email, tier, {select} FROM people WHERE username = $1"
        );
        let opened = open(&application, &query).await;
        let table = opened.unwrap_or_else(|faults| panic!("{faults:?}"));
        let found = find(&table, "ann").await.pop().unwrap();
        let found = found.unwrap_or_else(|fault| panic!("{select}: {fault:?}"));
        assert_eq!(found.external_id, "0198c5f0-0000-7000-8000-000000000007");
        assert_eq!(found.password_hash, "hash", "no blanks at its end");
        assert_eq!(found.email.as_deref(), Some("a@b.c"));
        assert_eq!(found.tier.as_deref(), Some("pro"));
        assert_eq!(found.roles, ["a", "b"], "{select}");
        assert_eq!(
            (found.is_superuser, found.is_active),
            (true, is_active),
            "{select}"
        );
    }
    let query = "SELECT id, username, password_hash FROM people WHERE id = $1";
    let faults = open(&application, query).await.err().unwrap();
    assert!(faults[0].message.contains("uuid = text"), "{faults:?}");
}

#[tokio::test]
async fn a_table_that_changes_is_read_as_it_is_or_not_at_all() {
    for (application, _folder) in applications() {
        application.run(
            "CREATE TABLE people (id INTEGER, username TEXT, password_hash TEXT, \
             is_superuser BOOLEAN); INSERT INTO people VALUES (1, 'ann', 'x', FALSE)",
        );
        let query = "SELECT * FROM people WHERE username = $1";
        let table = open(&application, query).await.ok().unwrap();
        assert_eq!(find(&table, "ann").await.len(), 1);
        application.run("ALTER TABLE people ADD COLUMN is_active BOOLEAN");
        let error = table.find("ann").await.err().unwrap().to_string();
        assert!(error.contains("other columns"), "{error}");
        assert!(!table.is_up());
        application.run("ALTER TABLE people DROP COLUMN is_active");
        assert!(find(&table, "ann").await[0].is_ok());
        assert!(table.is_up());
    }
}

#[tokio::test]
async fn values_that_sqlite_keeps_in_a_column_of_another_type() {
    let folder = tempfile::tempdir().unwrap();
    let application = Application::sqlite(folder.path());
    application.run(
        "INSERT INTO members (id, username, password_hash) VALUES (1, x'ff', 'x'), (2, 'bob', x'ff'), \
         (3, 'cem', 'x')",
    );
    application.set(3, "is_admin = 'often'");
    let query = QUERY.replace(
        "WHERE username = $1 OR email = $1",
        "WHERE id = CAST($1 AS INTEGER)",
    );
    let table = open(&application, &query).await.ok().unwrap();
    for (id, column) in [
        ("1", "username"),
        ("2", "password_hash"),
        ("3", "is_superuser"),
    ] {
        let fault = find(&table, id).await.pop().unwrap().err().unwrap();
        assert_eq!(fault.column, column);
    }
}
