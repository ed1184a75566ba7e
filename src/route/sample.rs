//! A configuration for tests of the stages, with nothing in it but what every one needs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::Config;
use crate::config::checked::*;

pub(crate) fn config(routes: Vec<Route>) -> Config {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let hour = Duration::from_secs(3600);
    Config {
        listen: vec![Listen { address }],
        admin: Admin {
            address: Some(address),
            socket: None,
        },
        workers: 1,
        trusted_proxies: Default::default(),
        shutdown_grace: hour,
        store: Store::Sqlite("portcullis.db".into()),
        redis: None,
        auth: Auth {
            base_path: "/api/v1".into(),
            issuer: "http://localhost".into(),
            audience: vec!["api".into()],
            leeway: Duration::ZERO,
            keys_dir: "keys".into(),
            rate: None,
            user_rate: None,
            introspect_rate: None,
            failure_rate: None,
            access_token_ttl: hour,
            refresh_token: RefreshToken {
                ttl: hour,
                reuse_grace: Duration::ZERO,
                delivery: Delivery::Cookie,
            },
            cookie: Cookie {
                name: "refresh_token".into(),
                secure: true,
                same_site: SameSite::Lax,
                path: "/api/v1".into(),
                domain: None,
            },
            signing: Signing::Generated(KeyAlgorithm::EdDsa),
            master_key: None,
            password: PasswordPolicy {
                min_length: 8,
                complexity: true,
                hash: PasswordHash::Bcrypt,
                bcrypt_cost: 4,
            },
            registration: Registration::Closed,
            serve: Group::ALL.to_vec(),
            docs: Docs::Open,
            username_reuse: crate::config::checked::UsernameReuse::Never,
            default_tier: "free".into(),
            lockout: Lockout {
                failures: std::num::NonZeroU32::MIN.saturating_add(4),
                window: Duration::from_secs(60),
                base: Duration::from_secs(60),
                max: Duration::from_secs(3600),
            },
            compat: vec![],
            users: None,
            api_keys: ApiKeys {
                enabled: true,
                header: http::HeaderName::from_static("x-api-key"),
            },
        },
        tiers: BTreeMap::new(),
        anonymous: None,
        upstreams: Vec::new(),
        identity: Identity {
            user_id: UserId::Id,
            preset: Preset::XUser,
            headers: Vec::new(),
            assertion: None,
            forward_authorization: false,
        },
        cors: None,
        routes,
        max_header: 32 * 1024,
        limits_headers: LimitsHeaders {
            ietf: true,
            legacy: true,
        },
        log: Log {
            access: AccessLog::Off,
            level: "info".into(),
        },
    }
}

/// A route that anyone may take.
pub(crate) fn route(pattern: Pattern) -> Route {
    Route {
        name: "route".into(),
        pattern,
        methods: Vec::new(),
        hosts: Vec::new(),
        headers: Vec::new(),
        auth: AuthMode::Optional,
        allow: Vec::new(),
        limits: None,
        concurrency: None,
        upstream: 0,
        max_body: 0,
        timeout: None,
        rewrite: Rewrite::default(),
        security_headers: SecurityHeaders::Off,
        path_options: PathOptions::default(),
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        cors: None,
        shadow: Shadow::default(),
        ip: AddressRules::default(),
    }
}
