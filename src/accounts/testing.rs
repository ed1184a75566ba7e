//! What tests set the accounts up with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::{Clock, Millis, NewUser, tokens};
use crate::config::checked::{self, KeyAlgorithm, Registration, Signing};
use crate::config::{Config, Secret};

#[path = "../../tests/harness/application.rs"]
mod application;
#[path = "../../tests/harness/postgres.rs"]
mod postgres;

pub(crate) use application::{Application, QUERY};

/// The same for a suite that runs on each store: whose name ends in `on_postgres` gets a database of its
/// own there.
pub(crate) fn config_for(suite: &str, folder: &Path) -> Config {
    let mut config = config(folder);
    if suite.contains("on_postgres")
        && let Some(url) = postgres::database()
    {
        config.store = checked::Store::Postgres(checked::Postgres {
            url: Secret::new(url),
            shown: "the test's database".into(),
        });
    }
    config
}

/// Another application's database, in the kind of database that the suite's name says.
pub(crate) fn application_for(suite: &str, folder: &Path) -> Application {
    if suite.contains("on_postgres")
        && let Some(url) = postgres::database()
    {
        return Application::postgres(url);
    }
    Application::sqlite(folder)
}

/// Its table as the configuration has it.
pub(crate) fn users_of(application: &Application, query: &str) -> checked::UserTable {
    checked::UserTable {
        store: match application {
            Application::Sqlite(path) => checked::Store::Sqlite(path.clone()),
            Application::Postgres(url) => checked::Store::Postgres(checked::Postgres {
                url: Secret::new(url.clone()),
                shown: "the application's database".into(),
            }),
        },
        query: query.to_owned(),
    }
}

/// A configuration with every file in `folder` and hashes that cost next to nothing.
pub(crate) fn config(folder: &Path) -> Config {
    let tier = |rank| checked::Tier { rank, rate: None };
    Config {
        listen: vec![],
        admin: checked::Admin {
            address: Some(([127, 0, 0, 1], 0).into()),
            socket: None,
        },
        workers: 1,
        trusted_proxies: Default::default(),
        shutdown_grace: Duration::from_secs(1),
        store: checked::Store::Sqlite(folder.join("portcullis.db")),
        redis: None,
        auth: checked::Auth {
            base_path: "/api/v1".into(),
            issuer: "http://localhost:8080".into(),
            audience: vec!["api".into()],
            leeway: Duration::from_secs(30),
            keys_dir: folder.join("keys"),
            rate: None,
            user_rate: None,
            introspect_rate: None,
            failure_rate: None,
            access_token_ttl: Duration::from_secs(1800),
            refresh_token: checked::RefreshToken {
                ttl: Duration::from_secs(7 * 86_400),
                reuse_grace: Duration::from_secs(10),
                delivery: checked::Delivery::Cookie,
            },
            cookie: checked::Cookie {
                name: "refresh_token".into(),
                secure: true,
                same_site: checked::SameSite::Lax,
                path: "/api/v1".into(),
                domain: None,
            },
            signing: Signing::Generated(KeyAlgorithm::EdDsa),
            master_key: None,
            password: checked::PasswordPolicy {
                min_length: 8,
                complexity: true,
                hash: checked::PasswordHash::Bcrypt,
                bcrypt_cost: 4,
            },
            registration: Registration::Closed,
            serve: checked::Group::ALL.to_vec(),
            docs: checked::Docs::Open,
            username_reuse: checked::UsernameReuse::Never,
            default_tier: "free".into(),
            lockout: checked::Lockout {
                failures: std::num::NonZeroU32::MIN.saturating_add(4),
                window: Duration::from_secs(60),
                base: Duration::from_secs(60),
                max: Duration::from_secs(3600),
            },
            compat: vec![],
            users: None,
            api_keys: checked::ApiKeys {
                enabled: true,
                header: http::HeaderName::from_static("x-api-key"),
            },
        },
        tiers: BTreeMap::from([("free".into(), tier(0)), ("pro".into(), tier(1))]),
        anonymous: None,
        upstreams: vec![],
        cors: None,
        identity: checked::Identity {
            user_id: checked::UserId::Id,
            preset: checked::Preset::XUser,
            headers: Vec::new(),
            assertion: None,
            forward_authorization: false,
        },
        routes: vec![],
        max_header: 32 * 1024,
        limits_headers: checked::LimitsHeaders {
            ietf: true,
            legacy: true,
        },
        log: checked::Log {
            access: checked::AccessLog::Off,
            level: "info".into(),
        },
    }
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct StoppedClock(Arc<AtomicI64>);

impl StoppedClock {
    pub fn new() -> Self {
        StoppedClock(Arc::new(AtomicI64::new(1_800_000_000_000)))
    }

    pub fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Arc::new(move || now.load(Ordering::SeqCst))
    }

    pub fn seconds(&self) -> u64 {
        tokens::seconds(self.0.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: Duration) {
        let millis = Millis::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

pub(crate) fn new_user(username: &str) -> NewUser {
    NewUser {
        username: username.into(),
        name: format!("The {username}"),
        email: format!("{username}@example.com"),
        password: Secret::new("Aa1!aaaa".into()),
        tier: None,
        is_superuser: false,
    }
}
