//! A short-lived token that tells an upstream who calls, signed by the gateway, for upstreams that do not
//! take the word of whoever can reach them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Serialize;
use uuid::Uuid;

use crate::authn::User;
use crate::config::Config;
use crate::config::checked::{Identity, UserId};

/// The `typ` of its header, by which nobody takes it for an access token (RFC 8725, section 3.11).
pub const ASSERTION_TYPE: &str = "portcullis-assertion+jwt";

/// Bytes that signed assertions may take, and about how many that is.
const CACHE_BYTES: u64 = 32 << 20;
const CACHE_ENTRIES: usize = 16_000;
/// What a caller takes beside the text, about.
const USER_BYTES: u64 = 900;

/// What an assertion says. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssertionClaims<'a> {
    pub iss: &'a str,
    pub sub: Uuid,
    /// The upstream that it is for.
    pub aud: &'a str,
    pub exp: u64,
    pub iat: u64,
    pub username: &'a str,
    pub tier: &'a str,
    pub roles: &'a [String],
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<&'a str>,
}

/// Signs with the key that signs access tokens now; the text of why not is for the log.
pub type Sign = Arc<dyn Fn(&AssertionClaims<'_>) -> Result<String, String> + Send + Sync>;

/// Signs assertions, and hands one out again for half of its life. One for a configuration, so that a
/// reload, which may take a key away, begins anew.
pub struct Assertions {
    pub header: HeaderName,
    ttl: u64,
    /// Of tokens' times.
    leeway: u64,
    issuer: String,
    with_external_id: bool,
    sign: Sign,
    /// By session and the upstream's index.
    signed: Cache<(Uuid, usize), Arc<Signed>, ByBytes>,
}

struct Signed {
    user: Arc<User>,
    value: HeaderValue,
    expires_at: u64,
    /// Until then it is handed out.
    until: u64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(Uuid, usize), Arc<Signed>> for ByBytes {
    fn weight(&self, _: &(Uuid, usize), signed: &Arc<Signed>) -> u64 {
        signed.value.len() as u64 + USER_BYTES + signed.user.further.bytes()
    }
}

impl Assertions {
    /// `None` where the file asks for none.
    pub fn of(config: &Config, sign: Sign) -> Option<Assertions> {
        let Identity {
            assertion, user_id, ..
        } = &config.identity;
        let assertion = assertion.as_ref()?;
        Some(Assertions {
            header: assertion.header.clone(),
            ttl: assertion.ttl.as_secs(),
            leeway: config.auth.leeway.as_secs(),
            issuer: config.auth.issuer.clone(),
            with_external_id: *user_id == UserId::ExternalId,
            sign,
            signed: Cache::with_weighter(CACHE_ENTRIES, CACHE_BYTES, ByBytes),
        })
    }

    /// The assertion of a caller for an upstream, by its index and name.
    pub(super) fn value(
        &self,
        user: &Arc<User>,
        upstream: usize,
        name: &str,
    ) -> Result<HeaderValue, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.value_at(
            user,
            upstream,
            name,
            now.unwrap_or(Duration::ZERO).as_secs(),
        )
    }

    fn value_at(
        &self,
        user: &Arc<User>,
        upstream: usize,
        name: &str,
        now: u64,
    ) -> Result<HeaderValue, String> {
        let key = (user.session, upstream);
        let ends_at = user.ends_at(self.leeway);
        // Of a session with several tokens, one may end sooner than the one that it was made for.
        if let Some(signed) = self.signed.get(&key)
            && now < signed.until
            && signed.expires_at <= ends_at
            && is_same(&signed.user, user)
        {
            return Ok(signed.value.clone());
        }
        // Nobody is to be believed for longer than here.
        let expires_at = ends_at.min(now + self.ttl);
        let text = (self.sign)(&AssertionClaims {
            iss: &self.issuer,
            sub: user.id,
            aud: name,
            exp: expires_at,
            iat: now,
            username: &user.username,
            tier: &user.tier,
            roles: &user.roles,
            scope: user.scopes.join(" "),
            external_id: user
                .external_id
                .as_deref()
                .filter(|_| self.with_external_id),
        })?;
        let mut value = HeaderValue::try_from(text).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        let signed = Signed {
            user: Arc::clone(user),
            value: value.clone(),
            expires_at,
            until: now + expires_at.saturating_sub(now) / 2,
        };
        self.signed.insert(key, Arc::new(signed));
        Ok(value)
    }
}

/// Whether all that an assertion says of them is the same.
fn is_same(one: &Arc<User>, other: &Arc<User>) -> bool {
    Arc::ptr_eq(one, other)
        || (one.id == other.id
            && one.username == other.username
            && one.tier == other.tier
            && one.roles == other.roles
            && one.scopes == other.scopes
            && one.external_id == other.external_id)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::authn::sample::claims;
    use crate::config::checked::Assertion;

    /// Assertions of 60 seconds, and what was signed, in JSON.
    fn assertions(user_id: UserId) -> (Assertions, Arc<Mutex<Vec<serde_json::Value>>>) {
        let mut config = crate::route::sample::config(Vec::new());
        config.identity.user_id = user_id;
        config.identity.assertion = Some(Assertion {
            header: HeaderName::from_static("x-a"),
            ttl: Duration::from_secs(60),
        });
        let made = Arc::new(Mutex::new(Vec::new()));
        let sign: Sign = {
            let made = Arc::clone(&made);
            Arc::new(move |claims| {
                let mut made = made.lock().unwrap();
                made.push(serde_json::to_value(claims).unwrap());
                Ok(format!("token-{}", made.len()))
            })
        };
        (Assertions::of(&config, sign).unwrap(), made)
    }

    fn user(change: impl FnOnce(&mut User)) -> Arc<User> {
        let mut user = User::new(claims(7)).unwrap();
        change(&mut user);
        Arc::new(user)
    }

    #[test]
    fn one_is_handed_out_for_half_of_its_life() {
        let (assertions, made) = assertions(UserId::Id);
        let alice = user(|_| {});
        let at = |now| assertions.value_at(&alice, 0, "app", now).unwrap();
        assert_eq!(at(1000), "token-1");
        assert_eq!(at(1029), "token-1");
        assert_eq!(at(1030), "token-2");
        let made = made.lock().unwrap();
        let expected = serde_json::json!({
            "iss": "http://localhost", "sub": alice.id, "aud": "app", "exp": 1060, "iat": 1000,
            "username": "alice", "tier": "free", "roles": [], "scope": "",
        });
        assert_eq!(made[0], expected);
        assert_eq!(made[1]["exp"], 1090);
    }

    #[test]
    fn none_outlives_the_caller_s_own_credential() {
        let (mut assertions, made) = assertions(UserId::Id);
        assertions.leeway = 5;
        let at = |user: &Arc<User>, now| assertions.value_at(user, 0, "app", now).unwrap();
        let ends = |expires_at| user(|u| u.expires_at = expires_at);
        let (soon, later) = (ends(1020), ends(5000));
        assert_eq!(at(&later, 1000), "token-1");
        // The same session by an older token, which is not over before its leeway is.
        assert_eq!(at(&soon, 1001), "token-2");
        assert_eq!(at(&soon, 1012), "token-2");
        assert_eq!(at(&soon, 1013), "token-3");
        // What ends sooner does for a token that ends later.
        assert_eq!(at(&later, 1014), "token-3");
        let of_key = user(|u| {
            (u.session, u.expires_at) = (Uuid::from_u128(9), 1020);
            u.key = Some(Uuid::from_u128(1));
        });
        at(&of_key, 1000);
        let made = made.lock().unwrap();
        let ends: Vec<_> = made.iter().map(|one| one["exp"].clone()).collect();
        assert_eq!(ends, [1060, 1025, 1025, 1020]);
    }

    #[test]
    fn another_upstream_session_or_state_of_the_account_has_another_one() {
        let (assertions, made) = assertions(UserId::Id);
        let alice = user(|_| {});
        let mut seen = Vec::new();
        for (user, upstream) in [
            (alice.clone(), 0),
            (alice.clone(), 1),
            (user(|u| u.session = Uuid::from_u128(9)), 0),
            (user(|u| u.tier = "pro".into()), 0),
            (user(|u| u.roles = vec!["editor".into()]), 0),
            (user(|u| u.scopes = vec!["a".into(), "b".into()]), 0),
            (user(|u| u.username = "bob".into()), 0),
            (user(|u| u.id = Uuid::from_u128(8)), 0),
        ] {
            let value = assertions.value_at(&user, upstream, "x", 1000).unwrap();
            assert!(!seen.contains(&value), "{value:?}");
            seen.push(value);
        }
        assert_eq!(made.lock().unwrap()[5]["scope"], "a b");
        // The same caller by another token of the session.
        let again = assertions.value_at(&user(|_| {}), 1, "x", 1001).unwrap();
        assert_eq!(again, seen[1]);
    }

    #[test]
    fn the_other_id_is_told_where_upstreams_go_by_it() {
        let alice = user(|u| u.external_id = Some("x-7".into()));
        for (user_id, expected) in [(UserId::Id, None), (UserId::ExternalId, Some("x-7"))] {
            let (assertions, made) = assertions(user_id);
            assertions.value_at(&alice, 0, "app", 1).unwrap();
            let made = made.lock().unwrap();
            assert_eq!(
                made[0].get("external_id").and_then(|id| id.as_str()),
                expected
            );
        }
    }
}
