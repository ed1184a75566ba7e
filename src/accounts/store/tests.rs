//! The store on a real file.

use std::path::Path;

use tempfile::TempDir;
use uuid::Uuid;

use super::db::query;
use super::*;
use crate::accounts::testing::config_for;

async fn open(path: &Path) -> Store {
    let store = checked::Store::Sqlite(path.to_owned());
    Store::open(&store).await.unwrap()
}

/// A new one, which goes with its folder.
pub async fn temporary() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(&folder.path().join("x.db")).await, folder)
}

#[tokio::test]
async fn a_locked_file_is_an_error_for_writers_until_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = open(&path).await;
    let other = open(&path).await;
    let lock = other.db.begin().await.unwrap();
    let by = By::command_line();
    let end = || store.end_session(Uuid::nil(), None, Action::Logout, &by, 0);
    assert!(end().await.is_err());
    assert!(!store.is_up());
    assert!(
        store.account(Key::Id(Uuid::nil())).await.unwrap().is_none(),
        "reading goes on"
    );
    drop(lock);
    assert!(!end().await.unwrap());
    assert!(store.is_up());
}

#[tokio::test]
async fn what_is_opened_to_read_is_neither_made_nor_changed() {
    read_only("on_sqlite").await;
}

#[tokio::test]
async fn what_is_opened_to_read_is_neither_made_nor_changed_on_postgres() {
    read_only("on_postgres").await;
}

#[tokio::test]
async fn what_is_no_database_is_not_taken_for_one_of_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let config = config_for("on_sqlite", folder.path());
    let checked::Store::Sqlite(path) = &config.store else {
        panic!("a file");
    };
    std::fs::write(path, [b'x'; 8192]).unwrap();
    let refused = Store::open_to_read(&config.store).await.err();
    assert!(matches!(refused, Some(StoreError::Sql(_))), "{refused:?}");
    // One that nobody has made tables in.
    std::fs::write(path, "").unwrap();
    let refused = Store::open_to_read(&config.store).await.err();
    assert!(
        matches!(refused, Some(StoreError::OtherVersion)),
        "{refused:?}"
    );
}

async fn read_only(suite: &str) {
    let folder = tempfile::tempdir().unwrap();
    let config = config_for(suite, folder.path());
    let read = async || Store::open_to_read(&config.store).await;
    assert!(read().await.is_err(), "it is not there, or has no tables");
    let is_made = |store: &checked::Store| match store {
        checked::Store::Sqlite(path) => path.exists(),
        checked::Store::Postgres(_) => false,
    };
    assert!(!is_made(&config.store));
    let store = Store::open(&config.store).await.unwrap();
    let version = store.schema_version().await.unwrap();

    let reader = read().await.unwrap();
    let account = reader.account(Key::Id(Uuid::nil())).await;
    assert!(account.unwrap().is_none());
    let mut tx = reader.db.begin().await.unwrap();
    let written = query("DELETE FROM sessions").execute(&mut tx).await;
    assert!(written.is_err(), "it cannot write");
    drop(tx);

    // Of a program that had one migration less, and of one that has another.
    for change in [
        "DELETE FROM _sqlx_migrations WHERE version = $1",
        "UPDATE _sqlx_migrations SET checksum = checksum || checksum WHERE version < $1",
    ] {
        let mut tx = store.db.begin().await.unwrap();
        let changed = query(change).bind(version).execute(&mut tx).await.unwrap();
        assert!(changed > 0);
        tx.commit().await.unwrap();
        let before = store.schema_version().await.unwrap();
        let refused = read().await.err();
        assert!(
            matches!(refused, Some(StoreError::OtherVersion)),
            "{change}"
        );
        assert_eq!(store.schema_version().await.unwrap(), before, "{change}");
    }
}

#[tokio::test]
async fn every_commit_is_synced_to_the_disk() {
    let (store, _folder) = temporary().await;
    for (pragma, expected) in [("PRAGMA synchronous", "2"), ("PRAGMA journal_mode", "wal")] {
        let mut tx = store.db.begin().await.unwrap();
        let row = query(pragma).fetch_one(&mut tx).await.unwrap();
        assert_eq!(row.text(0), expected, "{pragma}");
    }
}

#[tokio::test]
async fn no_query_on_a_request_reads_a_whole_table() {
    let (store, _folder) = temporary().await;
    for statement in [
        "EXPLAIN QUERY PLAN SELECT * FROM users WHERE email_folded = $1",
        "EXPLAIN QUERY PLAN SELECT * FROM users WHERE username = $1",
        "EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE id = $1",
        "EXPLAIN QUERY PLAN SELECT max(tokens_expire_at) FROM sessions WHERE user_id = $1",
        "EXPLAIN QUERY PLAN SELECT id FROM sessions WHERE expires_at < $1 AND tokens_expire_at < $1",
        "EXPLAIN QUERY PLAN SELECT seq FROM changes WHERE until < $1",
        "EXPLAIN QUERY PLAN SELECT u.*, k.* FROM api_keys k JOIN users u ON u.id = k.user_id \
         WHERE k.id = $1",
        "EXPLAIN QUERY PLAN SELECT COUNT(*) FROM api_keys WHERE user_id = $1 AND ended_at IS NULL",
        "EXPLAIN QUERY PLAN SELECT id FROM api_keys WHERE ended_at < $1",
        "EXPLAIN QUERY PLAN SELECT * FROM changes c LEFT JOIN users u ON u.id = c.user_id \
         WHERE c.seq > $1",
    ] {
        for row in query(statement).fetch_all(&store.db).await.unwrap() {
            let step: String = row.get("detail").unwrap();
            assert!(step.starts_with("SEARCH"), "{statement}: {step}");
        }
    }
}

#[tokio::test]
async fn a_file_is_opened_while_another_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let store = open(&path).await;
    let _writing = store.db.begin().await.unwrap();
    let other = open(&path).await;
    assert!(other.account(Key::Id(Uuid::nil())).await.unwrap().is_none());
}

fn account(username: &str, tier: &str) -> Account {
    Account {
        id: Uuid::now_v7(),
        external_id: None,
        username: username.into(),
        name: username.into(),
        email: format!("{username}@example.com"),
        profile_image_url: None,
        tier: tier.into(),
        roles: vec![],
        is_superuser: false,
        is_active: true,
        version: 1,
        created_at: 0,
        updated_at: None,
        deleted_at: None,
    }
}

#[tokio::test]
async fn whoever_finds_it_done_is_answered_when_it_is_kept() {
    let (store, _folder) = temporary().await;
    let by = By::command_line();
    let account = account("ann", "free");
    let tier = checked::Tier {
        rank: 0,
        rate: None,
    };
    let free = Free {
        names_since: Millis::MIN,
        tiers: &[("free".to_owned(), tier)].into(),
    };
    store
        .insert(&account, "x", free, &by)
        .await
        .unwrap()
        .unwrap();
    for is_active in [false, true, false, true] {
        let change = Edit {
            is_active: Some(is_active),
            ..Edit::default()
        };
        let set = || async {
            let key = Key::Id(account.id);
            let edited = store.edit(key, &change, LastSuperuser::MayGo, free, &by, 1);
            edited.await.unwrap().unwrap();
            let seen = store.account(key).await.unwrap().unwrap();
            assert_eq!(seen.is_active, is_active, "answered before it can be seen");
        };
        tokio::join!(set(), set(), set());
    }
}

fn tier(name: &str) -> TierValues {
    TierValues {
        name: name.into(),
        rank: 0,
        quota: None,
    }
}

#[tokio::test]
async fn nobody_is_mirrored_with_a_tier_that_has_gone() {
    let (store, _folder) = temporary().await;
    let by = By::command_line();
    let mut member = account("ann", "gold");
    member.external_id = Some("1".into());
    let mirror = async |member: &Account| {
        let told = Mirrored {
            account: member,
            fingerprint: "mirror:x",
            tiers: &FileTiers::new(),
        };
        store.mirror(&told, &by, 1).await.unwrap()
    };
    assert!(mirror(&member).await.is_none());
    let key = Key::Username("ann");
    assert!(store.account(key).await.unwrap().is_none());

    for name in ["gold", "silver"] {
        let made = store.insert_tier(&tier(name), &by, 1).await.unwrap();
        made.unwrap();
    }
    mirror(&member).await.unwrap();
    store.delete_tier("silver", &by, 1).await.unwrap().unwrap();
    member.tier = "silver".into();
    assert!(mirror(&member).await.is_none());
    let here = store.account(key).await.unwrap().unwrap();
    assert_eq!(here.tier, "gold", "as it was before");
}

#[tokio::test]
async fn rules_that_a_tier_s_new_name_had_go_and_the_trail_says_so() {
    let (store, _folder) = temporary().await;
    let by = By::command_line();
    let one = std::num::NonZeroU32::MIN;
    let rule = RuleValues {
        name: "calls".into(),
        target: Target::Path("/a".into(), None),
        quota: Quota {
            count: one,
            seconds: one,
            burst: None,
        },
    };
    // Of a tier that the file had then.
    let made = store.insert_rule("platinum", false, &rule, &by, 1);
    let orphan = made.await.unwrap().unwrap();
    store
        .insert_tier(&tier("gold"), &by, 1)
        .await
        .unwrap()
        .unwrap();
    let rename = |_: &TierValues| Ok(tier("platinum"));
    let renamed = store.update_tier("gold", rename, &by, 2).await.unwrap();
    assert_eq!(renamed.unwrap().name, "platinum");
    assert!(store.rule("platinum", orphan.id).await.unwrap().is_none());
    let trail = Trail {
        limit: 10,
        ..Trail::default()
    };
    let trail = store.trail(&trail).await.unwrap();
    let said: Vec<_> = trail.iter().map(|entry| entry.action.clone()).collect();
    let (update, delete) = (Action::TierUpdate, Action::TierLimitDelete);
    assert_eq!(said[..2], [update, delete].map(|action| action.as_str()));
    assert_eq!(trail[1].details["rule"], orphan.id);
}
