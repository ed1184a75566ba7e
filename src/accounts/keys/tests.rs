//! Keys where they are kept, and gateways that share them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::vault::Vault;
use super::{Home, KeysError, State};
use crate::accounts::store::{Key, Store};
use crate::accounts::testing::{StoppedClock, config_for, new_user};
use crate::accounts::{Accounts, By, Granted, KeyRing, MintError, Origin};
use crate::authn::{Changes, Claims, Expiry, Further, Verifier};
use crate::config::checked::{self, KeyAlgorithm, PrivateKey, Signing, SigningKey};
use crate::config::{Config, Secret};

const MASTER: &str = "Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf";

fn config(folder: &Path) -> Config {
    config_for(module_path!(), folder)
}

fn with_master(folder: &Path) -> Config {
    let mut config = config(folder);
    config.auth.master_key = Some(Secret::new(MASTER.into()));
    config
}

async fn open(config: &Config) -> Accounts {
    Accounts::open(config, Arc::default()).await.unwrap()
}

async fn refused(config: &Config) -> String {
    let opened = Accounts::open(config, Arc::default()).await;
    opened.err().expect("it was opened").to_string()
}

async fn sign_in(accounts: &Accounts) -> Granted {
    let origin = Origin {
        ip: [192, 0, 2, 1].into(),
        user_agent: None,
    };
    let password = Secret::new("Aa1!aaaa".into());
    accounts.login("ann", password, origin).await.unwrap()
}

fn believes(config: &Config, accounts: &Accounts, token: &str) -> bool {
    let auth = &config.auth;
    let verifier = Verifier::new(accounts.verifying_keys(), &auth.issuer, &auth.audience, 0);
    verifier.verify(token, Expiry::Enforced).is_ok()
}

fn key(kid: &str, algorithm: KeyAlgorithm) -> SigningKey {
    SigningKey {
        kid: kid.into(),
        file: format!("{kid}.pem").into(),
        key: PrivateKey::generate(algorithm).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_start_together_have_one_set_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_master(folder.path());
    let starts: Vec<_> = (0..6)
        .map(|number| {
            let mut config = config.clone();
            config.auth.keys_dir = folder.path().join(format!("keys{number}"));
            tokio::spawn(async move { Accounts::open(&config, Arc::<Changes>::default()).await })
        })
        .collect();
    let mut replicas = Vec::new();
    for start in starts {
        replicas.push(start.await.unwrap().unwrap());
    }
    let first = &replicas[0];
    first
        .add_user(new_user("ann"), &By::command_line())
        .await
        .unwrap();
    let granted = sign_in(first).await;
    let mut refresh = granted.refresh_token.clone();
    for replica in &replicas {
        assert_eq!(replica.jwks(), first.jwks());
        assert!(believes(&config, replica, &granted.access_token));
        let by = By::command_line();
        refresh = replica.refresh(&refresh, &by).await.unwrap().refresh_token;
    }
    let names = std::fs::read_dir(folder.path()).unwrap();
    for name in names.map(|entry| entry.unwrap().file_name()) {
        let name = name.into_string().unwrap();
        assert!(!name.starts_with("keys"), "{name} is a folder of keys");
    }
}

#[tokio::test]
async fn a_copy_of_the_database_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_master(folder.path());
    let der = {
        let ring = KeyRing::open(&config).await.unwrap();
        assert!(ring.keys().await.unwrap().is_empty(), "looking makes none");
        open(&config).await;
        ring.keys().await.unwrap()[0].key.der().to_vec()
    };
    let store = Store::open(&config.store).await.unwrap();
    let kept = store.secrets().await.unwrap();
    assert_eq!(kept.len(), 2, "one signs, one makes refresh tokens");
    for sealed in &kept {
        // Any part of the key that is long enough to be told from chance.
        let shows = |part: &[u8]| sealed.ciphertext.windows(8).any(|bytes| bytes == part);
        assert!(!der.windows(8).any(shows), "{}", sealed.name);
    }

    let mut other = config.clone();
    other.auth.master_key = Some(Secret::new(MASTER.replace("Zt1", "Zt2")));
    // Also one of an algorithm that there is no key of yet: none is added under the wrong key.
    for algorithm in [KeyAlgorithm::EdDsa, KeyAlgorithm::Es256] {
        other.auth.signing = Signing::Generated(algorithm);
        let error = refused(&other).await;
        assert!(error.contains("`auth.master_key`"), "{error}");
        assert!(error.contains("table `secrets`"), "{error}");
        assert!(!error.contains(MASTER), "{error}");
        let ring = KeyRing::open(&other).await.unwrap();
        assert!(matches!(
            ring.rotate(false).await,
            Err(KeysError::WrongMasterKey)
        ));
    }
    assert_eq!(store.secrets().await.unwrap(), kept);
    open(&config).await;
}

#[tokio::test]
async fn a_record_opens_as_what_it_is_and_as_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_master(folder.path());
    open(&config).await;
    let store = Store::open(&config.store).await.unwrap();
    let clock = StoppedClock::new().clock();
    let vault = Vault::new(&store, &clock, &Secret::new(MASTER.into())).unwrap();
    for sealed in store.secrets().await.unwrap() {
        assert!(vault.open(&sealed).is_ok());
        let mut changed = vec![sealed.clone(); 6];
        changed[0].name.push('x');
        changed[1].kid = "k2".into();
        changed[2].algorithm = "RS256".into();
        changed[3].ciphertext[0] ^= 1;
        changed[4].nonce[0] ^= 1;
        changed[5].nonce.pop();
        for changed in changed {
            assert!(vault.open(&changed).is_err(), "{changed:?}");
        }
    }
}

#[tokio::test]
async fn keys_rotate_wherever_they_are_kept() {
    for has_master in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = with_master(folder.path());
        if !has_master {
            config.auth.master_key = None;
        }
        let running = open(&config).await;
        let ann = new_user("ann");
        running.add_user(ann, &By::command_line()).await.unwrap();
        let before = sign_in(&running).await.access_token;
        let ring = KeyRing::open(&config).await.unwrap();
        let states = async || {
            let keys = ring.keys().await.unwrap();
            let states = keys.into_iter().map(|held| (held.kid, held.state));
            states.collect::<Vec<_>>()
        };
        let reload = async || {
            let keys = running.read_keys(&config).await.unwrap();
            running.replace_keys(keys);
        };
        let first = states().await[0].0.clone();

        let staged = ring.rotate(true).await.unwrap();
        assert_eq!(staged.state, State::Next);
        assert_eq!(ring.rotate(true).await.unwrap().kid, staged.kid);
        let expected = [
            (first.clone(), State::Signs),
            (staged.kid.clone(), State::Next),
        ];
        assert_eq!(states().await, expected);
        reload().await;
        let published = running.jwks()["keys"].as_array().unwrap().len();
        assert_eq!(published, 2, "known to all before it signs");
        assert!(kid_of(&sign_in(&running).await.access_token) == first);

        assert_eq!(ring.rotate(false).await.unwrap().kid, staged.kid);
        reload().await;
        let after = sign_in(&running).await.access_token;
        assert_eq!(kid_of(&after), staged.kid);
        assert!(believes(&config, &running, &before));

        let refused = ring.retire(&staged.kid).await.err().unwrap();
        assert!(matches!(refused, KeysError::Signs(_)), "{refused}");
        let refused = ring.retire("no-such-key").await.err().unwrap();
        assert!(matches!(refused, KeysError::NoSuchKey(_)), "{refused}");
        ring.retire(&first).await.unwrap();
        reload().await;
        assert!(!believes(&config, &running, &before));
        assert!(believes(&config, &running, &after));
        assert_eq!(states().await, [(staged.kid, State::Signs)]);
    }
}

fn kid_of(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

#[tokio::test]
async fn named_keys_are_not_for_the_command_line_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    for (signing, name) in [
        (
            Signing::Keys(vec![key("k1", KeyAlgorithm::EdDsa)]),
            "signing.keys",
        ),
        (Signing::Hs256(Secret::new(MASTER.into())), "signing.secret"),
    ] {
        config.auth.signing = signing;
        let ring = KeyRing::open(&config).await.unwrap();
        for refused in [ring.rotate(false).await, ring.retire("k1").await] {
            let error = refused.err().unwrap().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
    assert!(!config.auth.keys_dir.exists());
}

/// With named keys and a PostgreSQL store the keys of refresh tokens follow from those.
#[tokio::test]
async fn gateways_with_the_same_named_keys_read_each_others_refresh_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let old = key("old", KeyAlgorithm::Es256);
    let new = key("new", KeyAlgorithm::EdDsa);
    config.auth.signing = Signing::Keys(vec![old.clone()]);
    let one = open(&config).await;
    one.add_user(new_user("ann"), &By::command_line())
        .await
        .unwrap();
    let granted = sign_in(&one).await;
    let names: Vec<_> = std::fs::read_dir(&config.auth.keys_dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let is_shared = matches!(config.store, checked::Store::Postgres(_));
    let expected: &[&str] = if is_shared { &[] } else { &["refresh.key"] };
    assert_eq!(names, expected, "no signing key is made");

    let mut other = config.clone();
    if is_shared {
        other.auth.keys_dir = folder.path().join("other");
    }
    other.auth.signing = Signing::Keys(vec![new, old]);
    let two = open(&other).await;
    assert!(believes(&other, &two, &granted.access_token));
    let by = By::command_line();
    let rotated = two.refresh(&granted.refresh_token, &by).await.unwrap();
    assert_eq!(kid_of(&rotated.access_token), "new");
    assert!(!believes(&config, &one, &rotated.access_token));

    other.auth.signing = Signing::Keys(vec![key("old", KeyAlgorithm::Es256)]);
    let three = open(&other).await;
    assert!(!believes(&other, &three, &granted.access_token));
    let is_read = three.session_of(&rotated.refresh_token).is_some();
    assert_eq!(is_read, !is_shared);
}

/// Each key has its own algorithm: the id of one and the signature of the other is neither's.
#[tokio::test]
async fn a_token_of_one_key_under_the_id_of_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let pairs = [
        (KeyAlgorithm::EdDsa, KeyAlgorithm::Es256),
        (KeyAlgorithm::Rs256, KeyAlgorithm::EdDsa),
        (KeyAlgorithm::EdDsa, KeyAlgorithm::EdDsa),
    ];
    for (index, (a, b)) in pairs.into_iter().enumerate() {
        let (a, b) = (key("a", a), key("b", b));
        config.auth.signing = Signing::Keys(vec![a.clone(), b.clone()]);
        let accounts = open(&config).await;
        if index == 0 {
            let ann = new_user("ann");
            accounts.add_user(ann, &By::command_line()).await.unwrap();
        }
        let token = sign_in(&accounts).await.access_token;
        assert!(believes(&config, &accounts, &token));
        let claims: Claims = {
            let part = token.split('.').nth(1).unwrap();
            serde_json::from_slice(&base64url(part)).unwrap()
        };
        for (signs, named) in [(&a, &b), (&b, &a)] {
            for algorithm in [signs, named] {
                let mut header = jsonwebtoken::Header::new(super::algorithm(signs.key.algorithm()));
                header.typ = Some("at+jwt".into());
                header.kid = Some(named.kid.clone());
                let signing = super::encoding(&signs.key).unwrap();
                let forged = jsonwebtoken::encode(&header, &claims, &signing).unwrap();
                let alg = algorithm.key.algorithm().as_str();
                let forged = renamed(&forged, alg);
                assert!(!believes(&config, &accounts, &forged), "{alg}: {forged}");
            }
        }
    }
}

/// Says another `alg` over the same signature.
fn renamed(token: &str, alg: &str) -> String {
    use base64::Engine as _;
    let (header, rest) = token.split_once('.').unwrap();
    let mut header: serde_json::Value = serde_json::from_slice(&base64url(header)).unwrap();
    header["alg"] = alg.into();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string());
    format!("{header}.{rest}")
}

fn base64url(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    engine.decode(text).unwrap()
}

#[tokio::test]
async fn a_minted_token_lives_as_long_as_asked_and_ends_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let changes = Arc::<Changes>::default();
    let accounts = Accounts::open(&config, Arc::clone(&changes)).await.unwrap();
    let ann = new_user("ann");
    let ann = accounts.add_user(ann, &By::command_line()).await.unwrap();
    // Longer than any token of a login: what revokes it must be remembered as long.
    let ttl = Duration::from_secs(5 * 3600);
    let minted = accounts.mint("ann", ttl, Further::default()).await.unwrap();
    assert!((5 * 3600 - 1..=5 * 3600).contains(&minted.expires_in));
    assert!(believes(&config, &accounts, &minted.access_token));
    let sessions = accounts.users().sessions(ann.id).await.unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].id, minted.session);
    let agent = sessions[0].user_agent.as_deref();
    assert_eq!(agent, Some("portcullis token mint"));

    let by = By::command_line();
    assert!(
        accounts
            .users()
            .end_session(minted.session, &by)
            .await
            .unwrap()
    );
    let later = Arc::<Changes>::default();
    Accounts::open(&config, Arc::clone(&later)).await.unwrap();
    assert!(later.has_ended(minted.session));
    later.forget_before(now() + 5 * 3600 - 60);
    assert!(later.has_ended(minted.session));

    let unknown = accounts
        .mint("nobody", ttl, Further::default())
        .await
        .err()
        .unwrap();
    assert!(matches!(unknown, MintError::Accounts(_)), "{unknown}");
    let deleted = accounts.users();
    let edit = crate::accounts::Edit {
        is_active: Some(false),
        ..Default::default()
    };
    let may_go = crate::accounts::LastSuperuser::MayGo;
    deleted
        .edit(Key::Username("ann"), &edit, may_go, &by)
        .await
        .unwrap();
    let disabled = accounts
        .mint("ann", ttl, Further::default())
        .await
        .err()
        .unwrap();
    assert!(matches!(disabled, MintError::MayNotSignIn), "{disabled}");
    assert_ne!(minted.session, Uuid::nil());
}

fn now() -> u64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    elapsed.unwrap().as_secs()
}

/// A folder without keys is not a gateway's fault: looking at it makes nothing.
#[tokio::test]
async fn looking_for_keys_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let home = Home::without_store(&config);
    assert!(home.find_signing_keys().await.unwrap().is_empty());
    assert!(home.find_refresh_keys().await.unwrap().is_none());
    let verifying = super::Keys::verifying(&home).await.unwrap();
    assert_eq!(verifying.algorithms().count(), 0);
    assert!(!config.auth.keys_dir.exists());
}
