//! `auth`, as typed.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::super::checked::{
    Compat, Delivery, Docs, Group, PasswordHash, Registration, SameSite, UsernameReuse,
};
use super::super::decode::{At, AtLeastOne, Decode, choose};
use super::super::diagnose::Findings;
use super::super::schema;
use super::super::secret::Secret;
use super::super::section::{choice, section};
use super::super::units::Pace;
use super::super::yaml::{Node, Value};

section! {
    RawAuth, "`auth`" {
        /// Where the auth API is served.
        base_path: String;
        /// What tokens name as their issuer.
        issuer: String;
        /// Whom tokens are meant for.
        audience: AtLeastOne<String>;
        /// Tolerance for clocks.
        leeway: Duration;
        /// Where generated keys are kept.
        keys_dir: String;
        /// All unauthenticated endpoints together, and `logout-all`, by address.
        rate: Pace;
        /// All others but `introspect` together, by account.
        user_rate: Pace;
        /// `introspect`, by account.
        introspect_rate: Pace;
        /// Tokens and keys that are not valid, by address.
        failure_rate: Pace;
        access_token: RawAccessToken;
        refresh_token: RawRefreshToken;
        cookie: RawCookie;
        signing: RawSigning;
        /// Encrypts keys that are kept in the store.
        master_key: Secret;
        master_key_file: String;
        password: RawPassword;
        /// Who may create accounts.
        registration: Registration;
        /// The groups of endpoints that are served.
        serve: Vec<At<Group>>;
        /// Who may read the API's description.
        docs: Docs;
        /// Whether a name that was once in use may be somebody else's.
        username_reuse: UsernameReuse;
        /// The tier of new accounts.
        default_tier: String;
        /// How guesses at passwords are slowed down.
        lockout: RawLockout;
        /// Other projects whose paths are served too.
        compat: Vec<At<Compat>>;
        /// Another application's table of users.
        users: RawUsers;
        /// Keys of programs.
        api_keys: RawApiKeys;
    }
}

section! {
    RawUsers, "`auth.users`" {
        /// Finds one user by what was typed at login.
        query: String, required "for example `query: \"SELECT id, username, password_hash FROM members WHERE username = $1\"`";
        /// The database that it is asked of.
        store: String;
        /// A file that holds it, for URLs with a password.
        store_file: String;
    }
}

section! {
    RawApiKeys, "`auth.api_keys`" {
        enabled: bool;
        /// The field that clients put them in.
        header: String;
    }
}

section! {
    RawUsernameReuse, "`auth.username_reuse`" {
        after: Duration, required "for example `after: 90d`; or `username_reuse: never`";
    }
}

section! {
    RawLockout, "`auth.lockout`" {
        failures: u32;
        window: Duration;
        /// The first lock; each that follows takes twice as long.
        base: Duration;
        max: Duration;
    }
}

section! {
    RawAccessToken, "`auth.access_token`" {
        ttl: Duration;
    }
}

section! {
    RawRefreshToken, "`auth.refresh_token`" {
        ttl: Duration;
        /// How long a used token still yields the session's current one.
        reuse_grace: Duration;
        delivery: Delivery;
    }
}

section! {
    RawCookie, "`auth.cookie`" {
        name: String;
        secure: bool;
        same_site: SameSite;
        path: String;
        domain: Option<String>;
    }
}

section! {
    RawSigning, "`auth.signing`" {
        algorithm: Algorithm;
        secret: Secret;
        secret_file: String;
        /// Private keys: the first signs, all verify.
        keys: AtLeastOne<RawSigningKey>;
    }
}

section! {
    RawSigningKey, "an item of `auth.signing.keys`" {
        /// What tokens call the key; its thumbprint unless given.
        kid: String;
        file: String, required "for example `file: keys/k1.pem`; make one: `portcullis key generate --out keys/k1.pem`";
    }
}

section! {
    RawPassword, "`auth.password`" {
        min_length: u64;
        complexity: bool;
        hash: PasswordHash;
        bcrypt_cost: u32;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
    Hs256,
}

choice! { Algorithm {
    "EdDSA" => Algorithm::EdDsa,
    "ES256" => Algorithm::Es256,
    "RS256" => Algorithm::Rs256,
    "HS256" => Algorithm::Hs256,
} }

choice! { PasswordHash {
    "bcrypt" => PasswordHash::Bcrypt,
    "argon2id" => PasswordHash::Argon2id,
} }

/// `never`, or a mapping that says how long after.
impl Decode for UsernameReuse {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Value::Mapping(_) = node.value {
            let after = RawUsernameReuse::decode(node, findings)?.after;
            return after.copied().map(UsernameReuse::After);
        }
        choose(node, &[("never", UsernameReuse::Never)], findings)
    }

    fn schema() -> Json {
        json!({ "anyOf": [schema::words(&["never"]), RawUsernameReuse::schema()] })
    }
}

choice! { Delivery { "cookie" => Delivery::Cookie, "body" => Delivery::Body } }

choice! { Compat { "fastapi-boilerplate" => Compat::FastapiBoilerplate } }

choice! { SameSite {
    "strict" => SameSite::Strict,
    "lax" => SameSite::Lax,
    "none" => SameSite::None,
} }

choice! { Registration { "closed" => Registration::Closed, "open" => Registration::Open } }

choice! { Group {
    "session" => Group::Session,
    "users" => Group::Users,
    "tiers" => Group::Tiers,
    "api_keys" => Group::ApiKeys,
    "audit" => Group::Audit,
} }

choice! { Docs {
    "open" => Docs::Open,
    "superuser" => Docs::Superuser,
    "off" => Docs::Off,
} }
