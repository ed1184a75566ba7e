//! The service on a real store: change log, restarts, sweeping, keys. The API's tests go through the
//! rest.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{DecodingKey, Validation};
use tokio::sync::watch;

use super::testing::{Application, StoppedClock, config_for, new_user};
use super::*;
use crate::authn::{ACCESS_TOKEN_TYPE, Claims, Found, KEY_MEMORY};
use crate::config::Secret;
use crate::config::cel::Expression;
use crate::config::checked::{self, KeyAlgorithm, Signing};
use crate::limit::{self, Keeper, Kept, Slots};

fn config(folder: &Path) -> Config {
    config_for(module_path!(), folder)
}

async fn open(config: &Config, clock: &StoppedClock) -> (Accounts, Arc<Changes>) {
    let changes = Arc::new(Changes::default());
    let accounts = Accounts::open_with(config, Arc::clone(&changes), clock.clock())
        .await
        .unwrap();
    (accounts, changes)
}

fn by() -> By {
    By::command_line()
}

async fn add(accounts: &Accounts, username: &str) -> Account {
    accounts.add_user(new_user(username), &by()).await.unwrap()
}

async fn set_active(
    users: &Users,
    username: &str,
    is_active: bool,
) -> Result<Account, AccountsError> {
    let edit = Edit {
        is_active: Some(is_active),
        ..Edit::default()
    };
    let key = Key::Username(username);
    users.edit(key, &edit, LastSuperuser::MayGo, &by()).await
}

async fn sign_in(accounts: &Accounts, username: &str) -> (Granted, Uuid) {
    let origin = Origin {
        ip: [192, 0, 2, 1].into(),
        user_agent: Some("test"),
    };
    let password = Secret::new("Aa1!aaaa".into());
    let granted = accounts.login(username, password, origin).await.unwrap();
    let session = accounts.session_of(&granted.refresh_token).unwrap();
    (granted, session)
}

#[tokio::test]
async fn each_algorithm_signs_what_its_public_key_verifies() {
    let signings = [
        (Signing::Generated(KeyAlgorithm::EdDsa), "OKP"),
        (Signing::Generated(KeyAlgorithm::Es256), "EC"),
        (Signing::Generated(KeyAlgorithm::Rs256), "RSA"),
        (
            Signing::Hs256(Secret::new("0123456789abcdef".repeat(2))),
            "",
        ),
    ];
    for (signing, kty) in signings {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        config.auth.signing = signing.clone();
        let clock = StoppedClock::new();
        let (accounts, _) = open(&config, &clock).await;
        let ann = add(&accounts, "ann").await;
        let (granted, session) = sign_in(&accounts, "ann").await;

        let header = jsonwebtoken::decode_header(&granted.access_token).unwrap();
        assert_eq!(header.typ.as_deref(), Some(ACCESS_TOKEN_TYPE));
        let kid = header.kid.unwrap();
        let keys = accounts.verifying_keys();
        let key = keys.find(&kid).unwrap();
        let mut validation = Validation::new(key.algorithm);
        validation.set_audience(&["api"]);
        let claims = jsonwebtoken::decode::<Claims>(&granted.access_token, &key.key, &validation)
            .unwrap()
            .claims;
        assert_eq!((claims.sub, claims.sid, claims.av), (ann.id, session, 1));
        assert_eq!(claims.exp - claims.iat, 1800);
        assert_eq!(claims.email.as_deref(), Some("ann@example.com"));
        assert_eq!((claims.name, claims.external_id), (None, None));

        let published = accounts.jwks()["keys"].as_array().unwrap().clone();
        if kty.is_empty() {
            assert!(published.is_empty(), "a shared secret is never published");
        } else {
            assert_eq!(published[0]["kty"], kty);
            assert_eq!(published[0]["kid"], kid.as_str());
            let jwk = serde_json::from_value(published[0].clone()).unwrap();
            let public = DecodingKey::from_jwk(&jwk).unwrap();
            jsonwebtoken::decode::<Claims>(&granted.access_token, &public, &validation).unwrap();
            let is_private = |member: &str| published[0].get(member).is_some();
            assert!(!["d", "p", "q", "k"].into_iter().any(is_private));
            // RFC 7638 as another implementation has it.
            let thumbprint =
                jsonwebtoken::jwk::Jwk::thumbprint(&jwk, jsonwebtoken::jwk::ThumbprintHash::SHA256);
            assert_eq!(thumbprint.unwrap(), kid);
        }

        // The next start finds the same keys.
        let (again, _) = open(&config, &clock).await;
        assert!(again.verifying_keys().find(&kid).is_some());
        again.refresh(&granted.refresh_token, &by()).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_file_that_holds_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    std::fs::create_dir(&config.auth.keys_dir).unwrap();
    for (file, content) in [("refresh.key", "short"), ("eddsa.pem", "no key")] {
        let path = config.auth.keys_dir.join(file);
        std::fs::write(&path, content).unwrap();
        let error = Accounts::open(&config, Arc::default()).await.err().unwrap();
        let text = error.to_string();
        assert!(text.contains(file), "{text}");
        assert!(!text.contains(content), "{text}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.store = checked::Store::Sqlite(folder.path().join("missing/x.db"));
    let text = Users::open(&config).await.err().unwrap().to_string();
    assert!(
        text.contains("missing/x.db") && text.contains("`store`"),
        "{text}"
    );
    let not_a_database = folder.path().join("text.db");
    std::fs::write(&not_a_database, "hello ".repeat(500)).unwrap();
    config.store = checked::Store::Sqlite(not_a_database);
    let text = Users::open(&config).await.err().unwrap().to_string();
    assert!(text.contains("text.db"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_share_one_new_database() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let starts: Vec<_> = (0..8)
        .map(|number| {
            let config = config.clone();
            tokio::spawn(async move {
                let users = Users::open(&config).await.unwrap();
                users
                    .add(new_user(&format!("user{number}")), &by())
                    .await
                    .unwrap();
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap();
    }
    let checked::Store::Sqlite(path) = &config.store else {
        return;
    };
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", path.display());
        if let Ok(metadata) = std::fs::metadata(&file) {
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
        }
    }
}

#[tokio::test]
async fn of_two_that_take_a_name_or_an_address_at_once_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let users = Users::open(&config(folder.path())).await.unwrap();
    let by_email = NewUser {
        email: "ANN@Example.com".into(),
        ..new_user("bob")
    };
    let command_line = by();
    let results = tokio::join!(
        users.add(new_user("ann"), &command_line),
        users.add(new_user("ann"), &command_line),
        users.add(by_email, &command_line)
    );
    let made = [results.0.is_ok(), results.1.is_ok(), results.2.is_ok()];
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
}

#[tokio::test]
async fn a_disabled_account_reaches_another_process_and_a_later_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, changes) = open(&config, &clock).await;
    let ann = add(&accounts, "ann").await;
    let (granted, session) = sign_in(&accounts, "ann").await;
    let (stop, stopped) = watch::channel(false);
    let accounts = Arc::new(accounts);
    let background = tokio::spawn(Arc::clone(&accounts).run_background(stopped));

    let command_line = Users::open_with(&config, clock.clock()).await.unwrap();
    set_active(&command_line, "ann", false).await.unwrap();
    let heard = async {
        while changes.of_account(ann.id).is_none() || !changes.has_ended(session) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard)
        .await
        .unwrap();
    let state = changes.of_account(ann.id).unwrap();
    assert_eq!((state.version, state.active), (2, false));
    assert!(matches!(
        accounts.refresh(&granted.refresh_token, &by()).await,
        Err(AccountsError::SessionEnded)
    ));
    stop.send(true).unwrap();
    background.await.unwrap();

    let (_, later) = open(&config, &clock).await;
    assert!(later.has_ended(session));
    assert!(!later.of_account(ann.id).unwrap().active);

    // Enabled again, the old session stays ended and a new one can begin.
    set_active(&command_line, "ann", true).await.unwrap();
    sign_in(&accounts, "ann").await;
    assert!(matches!(
        accounts.refresh(&granted.refresh_token, &by()).await,
        Err(AccountsError::SessionEnded)
    ));
    assert!(matches!(
        set_active(&command_line, "bob", true).await,
        Err(AccountsError::NoSuchAccount)
    ));
}

#[tokio::test]
async fn an_ended_session_is_remembered_as_long_as_a_token_of_it_lives() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, changes) = open(&config, &clock).await;
    add(&accounts, "ann").await;
    let (granted, session) = sign_in(&accounts, "ann").await;
    accounts.logout(session, &by()).await.unwrap();
    accounts.logout(session, &by()).await.unwrap();

    // Even when the tokens of today are shorter-lived than the one that is still about.
    config.auth.access_token_ttl = Duration::from_secs(60);
    accounts.reload(&config);
    clock.advance(Duration::from_secs(1800 + 29));
    accounts.sweep().await.unwrap();
    assert!(changes.has_ended(session));
    assert!(open(&config, &clock).await.1.has_ended(session));

    clock.advance(Duration::from_secs(3));
    accounts.sweep().await.unwrap();
    assert!(!changes.has_ended(session));
    assert!(!open(&config, &clock).await.1.has_ended(session));
    assert!(matches!(
        accounts.refresh(&granted.refresh_token, &by()).await,
        Err(AccountsError::SessionEnded)
    ));
}

#[tokio::test]
async fn an_expired_session_is_swept_and_its_token_stays_useless() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, _) = open(&config, &clock).await;
    add(&accounts, "ann").await;
    let (granted, _) = sign_in(&accounts, "ann").await;
    clock.advance(Duration::from_secs(7 * 86_400));
    assert!(matches!(
        accounts.refresh(&granted.refresh_token, &by()).await,
        Err(AccountsError::SessionExpired)
    ));
    clock.advance(Duration::from_secs(31));
    accounts.sweep().await.unwrap();
    assert!(matches!(
        accounts.refresh(&granted.refresh_token, &by()).await,
        Err(AccountsError::SessionEnded)
    ));
}

#[tokio::test]
async fn the_audit_trail_is_bounded_in_time_and_in_number() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, _) = open(&config, &clock).await;
    add(&accounts, "ann").await;
    for _ in 0..5 {
        clock.advance(Duration::from_secs(86_400));
        sign_in(&accounts, "ann").await;
    }
    let count = async || {
        let trail = Trail {
            limit: 100,
            ..Trail::default()
        };
        accounts.users().trail(&trail).await.unwrap().len()
    };
    assert_eq!(count().await, 6);
    clock.advance(Duration::from_secs(398 * 86_400));
    accounts.sweep().await.unwrap();
    assert_eq!(count().await, 3, "older than 400 days");
    let store = &accounts.users().store;
    assert!(!store.sweep_trail(0, 2).await.unwrap());
    assert_eq!(count().await, 2);
}

async fn make_key(accounts: &Accounts, username: &str) -> MadeKey {
    let new = NewKey {
        name: "CI".into(),
        scopes: vec![],
        expires_at: None,
    };
    let key = Key::Username(username);
    accounts.users().add_key(key, new, &by()).await.unwrap()
}

#[tokio::test]
async fn a_change_is_told_for_longer_than_a_gateway_remembers_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, changes) = open(&config, &clock).await;
    // With no session, so that no token bounds how long the changes matter.
    let ann = add(&accounts, "ann").await;
    let made = make_key(&accounts, "ann").await;
    let Found::Key(key) = accounts.look_up_key(made.key.expose()).await.unwrap() else {
        panic!("no key");
    };
    assert!(accounts.end_key(key.id, None, &by()).await.unwrap());
    set_active(accounts.users(), "ann", false).await.unwrap();
    accounts.read_changes().await.unwrap();

    clock.advance(KEY_MEMORY);
    accounts.sweep().await.unwrap();
    for changes in [&changes, &open(&config, &clock).await.1] {
        assert!(changes.has_ended(key.grant));
        assert!(!changes.of_account(ann.id).unwrap().active);
    }
    clock.advance(Duration::from_secs(120));
    accounts.sweep().await.unwrap();
    assert!(!changes.has_ended(key.grant));
    assert!(changes.of_account(ann.id).is_none());
    let later = open(&config, &clock).await.1;
    assert!(!later.has_ended(key.grant) && later.of_account(ann.id).is_none());
}

#[tokio::test]
async fn a_purge_ends_keys_that_other_gateways_remember() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (here, _) = open(&config, &clock).await;
    let (there, changes) = open(&config, &clock).await;
    add(&here, "ann").await;
    let made = make_key(&here, "ann").await;
    let Found::Key(key) = there.look_up_key(made.key.expose()).await.unwrap() else {
        panic!("no key");
    };
    here.purge(Key::Username("ann"), &by()).await.unwrap();
    there.read_changes().await.unwrap();
    assert!(changes.has_ended(key.grant));
    let found = there.look_up_key(made.key.expose()).await.unwrap();
    assert!(matches!(found, Found::Unknown), "its row is gone");
}

#[tokio::test]
async fn a_revoked_key_is_called_so_for_a_month() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, _) = open(&config, &clock).await;
    add(&accounts, "ann").await;
    let revoked = make_key(&accounts, "ann").await;
    let other = make_key(&accounts, "ann").await;
    let by = by();
    let end = accounts.end_key(revoked.info.id, None, &by);
    assert!(end.await.unwrap());
    assert!(!accounts.end_key(revoked.info.id, None, &by).await.unwrap());
    clock.advance(Duration::from_secs(29 * 86_400));
    accounts.sweep().await.unwrap();
    let found = accounts.look_up_key(revoked.key.expose()).await.unwrap();
    assert!(matches!(found, Found::Ended));
    clock.advance(Duration::from_secs(2 * 86_400));
    accounts.sweep().await.unwrap();
    let found = accounts.look_up_key(revoked.key.expose()).await.unwrap();
    assert!(matches!(found, Found::Unknown));
    let found = accounts.look_up_key(other.key.expose()).await.unwrap();
    assert!(matches!(found, Found::Key(_)));
    assert!(!format!("{revoked:?}").contains(revoked.key.expose()));
}

#[tokio::test]
async fn of_many_keys_made_at_once_no_more_are_kept_than_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, _) = open(&config, &clock).await;
    let ann = add(&accounts, "ann").await;
    let accounts = Arc::new(accounts);
    let making: Vec<_> = (0..120)
        .map(|_| {
            let accounts = Arc::clone(&accounts);
            tokio::spawn(async move {
                let new = NewKey {
                    name: "CI".into(),
                    scopes: vec![],
                    expires_at: None,
                };
                let users = accounts.users();
                users.add_key(Key::Id(ann.id), new, &by()).await.is_ok()
            })
        })
        .collect();
    let mut made = 0;
    for one in making {
        made += usize::from(one.await.unwrap());
    }
    assert_eq!(made, 100);
    assert_eq!(
        accounts.users().api_keys_of(ann.id).await.unwrap().len(),
        100
    );
}

async fn hash_of(users: &Users, username: &str) -> String {
    let found = users.store.credentials(username).await.unwrap();
    found.unwrap().password_hash
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_at_the_next_login() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, changes) = open(&config, &clock).await;
    let ann = add(&accounts, "ann").await;
    let users = accounts.users();
    let django = "pbkdf2_sha256$1000$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=";
    let new = store::NewPassword {
        hash: django,
        checked: None,
        keep: None,
    };
    let (key, by) = (Key::Id(ann.id), by());
    let set = users.store.set_password(key, &new, &by, 0).await;
    let version = set.unwrap().unwrap().version;

    let origin = || Origin {
        ip: [192, 0, 2, 1].into(),
        user_agent: None,
    };
    let wrong = accounts
        .login("ann", Secret::new("x".into()), origin())
        .await;
    assert!(matches!(wrong, Err(AccountsError::CredentialsInvalid)));
    assert_eq!(hash_of(users, "ann").await, django);

    // Two tabs at once: both are let in, whichever replaces it.
    let tabs = tokio::join!(sign_in(&accounts, "ann"), sign_in(&accounts, "ann"));
    assert_ne!(tabs.0.1, tabs.1.1);
    assert!(hash_of(users, "ann").await.starts_with("$2b$04$"));
    let now = users.find(Key::Id(ann.id)).await.unwrap().unwrap();
    assert_eq!(now.version, version, "no token has to feel it");
    assert!(changes.of_account(ann.id).is_none());

    config.auth.password.bcrypt_cost = 5;
    accounts.reload(&config);
    sign_in(&accounts, "ann").await;
    let kept = hash_of(users, "ann").await;
    assert!(kept.starts_with("$2b$05$"), "{kept}");
    sign_in(&accounts, "ann").await;
    assert_eq!(hash_of(users, "ann").await, kept, "what is current is kept");
    config.auth.password.hash = checked::PasswordHash::Argon2id;
    accounts.reload(&config);
    sign_in(&accounts, "ann").await;
    let kept = hash_of(users, "ann").await;
    assert!(
        kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{kept}"
    );
    sign_in(&accounts, "ann").await;
}

#[tokio::test]
async fn claims_about_a_person_are_those_that_somebody_needs() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let with = |email, name, external_id| TokenContents {
        email,
        name,
        external_id,
    };
    for (preset, expected) in [
        (checked::Preset::XUser, with(true, false, false)),
        (checked::Preset::XForwarded, with(true, false, false)),
        (checked::Preset::XAuthRequest, with(true, false, false)),
        (checked::Preset::RemoteUser, with(true, true, false)),
        (checked::Preset::XConsumer, with(false, false, true)),
        (checked::Preset::None, with(false, false, false)),
    ] {
        config.identity.preset = preset;
        assert_eq!(TokenContents::of(&config), expected, "{preset:?}");
    }
    let mut route = crate::route::sample::route(checked::Pattern::Prefix(Vec::new()));
    for (name, expected) in [
        ("email", with(true, false, false)),
        ("name", with(false, true, false)),
        ("external_id", with(false, false, true)),
        ("org", with(false, false, false)),
    ] {
        let claim = checked::ClaimRule {
            name: name.into(),
            value: "x".into(),
        };
        let owner = checked::Owner {
            parameter: "id".into(),
            equals: checked::OwnerField::Claim(name.into()),
        };
        let look_up = checked::LookUp {
            target: checked::LookUpTarget::parse("GET /", None).unwrap(),
            field: "/by".parse().unwrap(),
            equals: checked::OwnerField::Claim(name.into()),
        };
        let cel = |source: String| checked::Rule {
            cel: Some(Expression::compile(&source, None).unwrap()),
            ..checked::Rule::default()
        };
        for rule in [
            checked::Rule {
                claims: vec![claim],
                ..checked::Rule::default()
            },
            checked::Rule {
                owner: Some(owner),
                ..checked::Rule::default()
            },
            checked::Rule {
                look_up: Some(look_up),
                ..checked::Rule::default()
            },
            cel(format!("claims.{name} == 'x'")),
            cel(format!("user.tier == 'x' || claims['{name}'] == 'x'")),
            cel(format!("has(claims.{name})")),
            cel(format!("!('{name}' in claims)")),
        ] {
            route.allow = vec![rule];
            config.routes = vec![route.clone()];
            assert_eq!(TokenContents::of(&config), expected, "{name}");
        }
    }
    for (source, expected) in [
        ("user.email == 'x'", with(true, false, false)),
        ("has(user.name)", with(false, true, false)),
        ("'external_id' in user", with(false, false, true)),
        (
            "user.roles.exists(r, r == user.email)",
            with(true, false, false),
        ),
        ("claims.org.email == 'x'", with(false, false, false)),
        (
            "path.email == request.headers['email']",
            with(false, false, false),
        ),
        ("user.username == 'user.email'", with(false, false, false)),
    ] {
        let rule = checked::Rule {
            cel: Some(Expression::compile(source, None).unwrap()),
            ..checked::Rule::default()
        };
        config.routes[0].allow = vec![rule];
        assert_eq!(TokenContents::of(&config), expected, "{source}");
    }
    let by = |equals| checked::LookUp {
        target: checked::LookUpTarget::parse("GET /", None).unwrap(),
        field: "/by".parse().unwrap(),
        equals,
    };
    for (equals, expected) in [
        (checked::OwnerField::ExternalId, with(false, false, true)),
        (checked::OwnerField::Id, with(false, false, false)),
        (checked::OwnerField::Username, with(false, false, false)),
    ] {
        let rule = checked::Rule {
            look_up: Some(by(equals.clone())),
            ..checked::Rule::default()
        };
        config.routes[0].allow = vec![rule];
        assert_eq!(TokenContents::of(&config), expected, "{equals}");
    }
    config.routes = Vec::new();
    config.identity.user_id = checked::UserId::ExternalId;
    assert!(TokenContents::of(&config).external_id);

    config.identity.user_id = checked::UserId::Id;
    let template = |field| checked::HeaderLine {
        name: http::HeaderName::from_static("x-it"),
        value: checked::Template::Composed(vec![checked::Part::Value(checked::Variable::User(
            field,
        ))]),
    };
    config.identity.headers = vec![template(checked::UserField::Email)];
    let pattern = checked::Pattern::Prefix(vec![]);
    let mut route = crate::route::sample::route(pattern);
    route.request_headers.add = vec![template(checked::UserField::Name)];
    config.routes = vec![route.clone()];
    assert_eq!(TokenContents::of(&config), with(true, true, false));
    route.response_headers.set = vec![template(checked::UserField::ExternalId)];
    config.routes.push(route);
    assert_eq!(TokenContents::of(&config), with(true, true, true));
}

#[test]
fn random_passwords_satisfy_the_policy_and_differ() {
    let policy = checked::PasswordPolicy {
        min_length: 30,
        complexity: true,
        hash: checked::PasswordHash::Bcrypt,
        bcrypt_cost: 4,
    };
    let one = random_password(&policy);
    assert!(validate::password(one.expose(), &policy).is_ok());
    assert!(one != random_password(&policy));
}

fn form(name: &str) -> TierForm {
    TierForm {
        name: Some(name.into()),
        ..TierForm::default()
    }
}

#[tokio::test]
async fn a_tier_that_another_process_makes_is_known_within_a_poll() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, _) = open(&config, &clock).await;
    let other = Users::open(&config).await.unwrap();
    other.add_tier(&form("gold"), &by()).await.unwrap();
    assert!(accounts.plans().tiers.is_empty());
    accounts.read_plans().await.unwrap();
    assert!(accounts.plans().tiers.contains_key("gold"));
    // An account gets it, and a stale one is refused.
    let edit = |tier: &str| Edit {
        tier: Some(tier.into()),
        ..Edit::default()
    };
    add(&accounts, "ann").await;
    let key = Key::Username("ann");
    let edited = accounts.edit(key, &edit("gold"), &by()).await.unwrap();
    assert_eq!(edited.tier, "gold");
    let deleted = other.delete_tier("gold", &by()).await;
    assert!(matches!(
        deleted,
        Err(AccountsError::Plan(PlanError::TierInUse))
    ));
    accounts.edit(key, &edit("free"), &by()).await.unwrap();
    other.delete_tier("gold", &by()).await.unwrap();
    let refused = accounts.edit(key, &edit("gold"), &by()).await;
    assert!(matches!(refused, Err(AccountsError::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_gets_a_tier_that_goes_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, _) = open(&config, &clock).await;
    let accounts = Arc::new(accounts);
    add(&accounts, "ann").await;
    let edit = |tier: &str| Edit {
        tier: Some(tier.into()),
        ..Edit::default()
    };
    for round in 0..12 {
        let name = format!("t{round}");
        accounts.add_tier(&form(&name), &by()).await.unwrap();
        let deleting = tokio::spawn({
            let (accounts, name) = (Arc::clone(&accounts), name.clone());
            async move { accounts.delete_tier(&name, &by()).await.is_ok() }
        });
        let got = accounts
            .edit(Key::Username("ann"), &edit(&name), &by())
            .await
            .is_ok();
        let deleted = deleting.await.unwrap();
        assert_ne!(got, deleted, "round {round}");
        let known = accounts.users().tier(&name).await.is_ok();
        assert_eq!(known, got);
        accounts
            .edit(Key::Username("ann"), &edit("free"), &by())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_file_s_tier_counts_when_the_store_has_one_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, _) = open(&config, &clock).await;
    accounts.add_tier(&form("gold"), &by()).await.unwrap();
    let number = accounts.users().tier("gold").await.unwrap().id;
    let tier = checked::Tier {
        rank: 9,
        rate: None,
    };
    config.tiers.insert("gold".into(), tier);
    accounts.reload(&config);
    let tier = accounts.users().tier("gold").await.unwrap();
    assert_eq!(
        (tier.rank, tier.source, tier.id),
        (9, TierSource::File, number)
    );
    let deleted = accounts.delete_tier("gold", &by()).await;
    assert!(matches!(
        deleted,
        Err(AccountsError::Plan(PlanError::TierOfFile))
    ));
    config.tiers.remove("gold");
    accounts.reload(&config);
    let tier = accounts.users().tier("gold").await.unwrap();
    assert_eq!((tier.rank, tier.source), (0, TierSource::Store));
}

fn keeper() -> Keeper {
    let (clock, _hands) = limit::Clock::manual();
    limit::Counters::new(Slots::with_capacity(32_768), clock).keeper()
}

fn counter(user: u128, full_at: Millis) -> Kept {
    Kept {
        scope: "86400000 route a b".into(),
        value: format!("user {}", Uuid::from_u128(user)),
        full_at,
    }
}

#[tokio::test]
async fn counters_of_limits_are_there_after_a_restart_until_they_are_full() {
    const USERS: u128 = 11_000;
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let clock = StoppedClock::new();
    let (accounts, _) = open(&config, &clock).await;
    let today = accounts.now();
    let before = keeper();
    let hour = 3_600_000;
    let kept: Vec<_> = (0..USERS)
        .map(|n| counter(n, today + hour * if n % 2 == 0 { 1 } else { 3 }))
        .collect();
    before.restore(kept.clone(), today);
    accounts.keep_counters(&before).await.unwrap();

    let (again, _) = open(&config, &clock).await;
    let after = keeper();
    again.restore_counters(&after).await.unwrap();
    assert_eq!(after.changed(today, usize::MAX), [], "that is written");
    after.forget();
    assert_eq!(after.changed(today, usize::MAX), kept);

    clock.advance(Duration::from_secs(2 * 3600));
    let later = accounts.now();
    accounts.keep_counters(&keeper()).await.unwrap();
    let (again, _) = open(&config, &clock).await;
    let after = keeper();
    again.restore_counters(&after).await.unwrap();
    let kept: Vec<_> = kept.into_iter().filter(|c| c.full_at > later).collect();
    after.forget();
    assert_eq!(after.changed(later, usize::MAX), kept);
    let left = again.users.store.counters(("", "")).await.unwrap();
    assert_eq!(left.len() as u128, USERS / 2, "the others are removed");
}

#[tokio::test]
async fn what_was_put_back_before_an_error_is_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // SQLite alone takes a text that is none.
    let config = super::testing::config(folder.path());
    let (accounts, _) = open(&config, &StoppedClock::new()).await;
    let today = accounts.now();
    let before = keeper();
    before.restore((0..11_000).map(|n| counter(n, today + 3_600_000)), today);
    accounts.keep_counters(&before).await.unwrap();
    // The last one is no text, and so not on the first page.
    let store = Application::Sqlite(folder.path().join("portcullis.db"));
    store.run("INSERT INTO limit_counters VALUES ('z', CAST(x'ff' AS TEXT), 1)");

    let after = keeper();
    assert!(accounts.restore_counters(&after).await.is_err());
    assert_eq!(after.changed(today, usize::MAX), []);
    after.forget();
    assert_eq!(after.changed(today, usize::MAX).len(), 10_000);
}

#[tokio::test]
async fn of_what_two_gateways_write_of_a_counter_the_later_time_counts() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let (accounts, _) = open(&config, &StoppedClock::new()).await;
    let today = accounts.now();
    for full_at in [today + 200_000, today + 300_000, today + 100_000] {
        let gateway = keeper();
        gateway.restore([counter(1, full_at)], today);
        accounts.keep_counters(&gateway).await.unwrap();
    }
    let kept = accounts.users.store.counters(("", "")).await.unwrap();
    assert_eq!(kept, [counter(1, today + 300_000)]);
}
