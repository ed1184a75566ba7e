//! Credentials to callers. A bearer token is verified once and then only looked up in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::api_keys::{ApiKeys, Pace, id_of};
use super::changes::Changes;
use super::jwt::{Expiry, JwtError, Verifier};
use super::keys::VerifyingKeys;
use super::principal::{Method, Principal, User};
use crate::config::checked::{Auth, AuthMode};
use crate::request::{Code, Refusal};

/// Bytes that remembered tokens may take, and about how many that is.
const CACHE_BYTES: u64 = 64 << 20;
const CACHE_ENTRIES: usize = 40_000;
/// What a principal takes beside its token, about.
const PRINCIPAL_BYTES: u64 = 900;

/// Knows callers by their tokens and keys; shared by all workers and the auth API.
pub struct Authenticator {
    trusted: ArcSwap<Trusted>,
    changes: Arc<Changes>,
    leeway: u64,
    /// By the whole token: nothing less tells two tokens apart.
    known: Cache<Box<str>, Arc<Known>, ByBytes>,
    /// `None`: no API key is read.
    api_keys: Option<Arc<ApiKeys>>,
}

/// What tokens are verified with, until other keys take its place.
struct Trusted {
    verifier: Verifier,
    generation: u64,
}

/// The text of an API key, and those that know it.
type PresentedKey<'k, 'h> = (&'k Arc<ApiKeys>, &'h str);

/// A verified token.
struct Known {
    user: Arc<User>,
    /// Of the keys that it was verified with.
    generation: u64,
    /// The epoch of [`Changes`] up to which `user` is true.
    epoch: AtomicU64,
}

/// A caller who was identified and goes on listening.
#[derive(Debug, Clone)]
pub struct Listener {
    pub(super) user: Arc<User>,
    /// The epoch of [`Changes`] up to which `user` is true, once that was looked at.
    epoch: Option<u64>,
}

impl From<Arc<User>> for Listener {
    fn from(user: Arc<User>) -> Self {
        Listener { user, epoch: None }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Arc<Known>> for ByBytes {
    fn weight(&self, token: &Box<str>, known: &Arc<Known>) -> u64 {
        token.len() as u64 + PRINCIPAL_BYTES + known.user.further.bytes()
    }
}

impl Authenticator {
    pub fn new(auth: &Auth, keys: VerifyingKeys, changes: Arc<Changes>) -> Self {
        let leeway = auth.leeway.as_secs();
        Authenticator {
            trusted: ArcSwap::from_pointee(Trusted {
                verifier: verifier(auth, keys),
                generation: 0,
            }),
            changes,
            leeway,
            known: Cache::with_weighter(CACHE_ENTRIES, CACHE_BYTES, ByBytes),
            api_keys: None,
        }
    }

    /// Trusts these keys from now on and no others: tokens verified before are verified again.
    pub fn replace_keys(&self, auth: &Auth, keys: VerifyingKeys) {
        let verifier = verifier(auth, keys);
        let generation = self.trusted.load().generation + 1;
        self.trusted.store(Arc::new(Trusted {
            verifier,
            generation,
        }));
        // After the store: whoever sees the new epoch sees the new keys.
        self.changes.recheck();
    }

    /// Reads API keys, too.
    #[must_use]
    pub fn with_api_keys(mut self, api_keys: Arc<ApiKeys>) -> Self {
        self.api_keys = Some(api_keys);
        self
    }

    /// The caller of a request, as far as the route wants to know. Waits only for an API key that is
    /// not remembered.
    pub async fn identify(
        &self,
        mode: AuthMode,
        headers: &HeaderMap,
    ) -> Result<Principal, Refusal> {
        self.identify_at(Pace::AtOnce, mode, headers).await
    }

    /// The same for one of many requests that nobody waits for.
    pub async fn identify_in_turn(
        &self,
        mode: AuthMode,
        headers: &HeaderMap,
    ) -> Result<Principal, Refusal> {
        self.identify_at(Pace::InTurn, mode, headers).await
    }

    async fn identify_at(
        &self,
        pace: Pace,
        mode: AuthMode,
        headers: &HeaderMap,
    ) -> Result<Principal, Refusal> {
        if mode == AuthMode::None {
            return Ok(Principal::Anonymous);
        }
        match self.credentials(headers)? {
            (Some(token), None) => self.verify(token, Expiry::Enforced).map(Principal::User),
            (None, Some((keys, key))) => keys.verify_at(pace, key).await.map(Principal::User),
            (None, None) if mode == AuthMode::Optional => Ok(Principal::Anonymous),
            (None, None) => Err(missing()),
            // Two identities: whoever reads one of them would decide for the other.
            (Some(_), Some(_)) => Err(Refusal::new(
                Code::TokenInvalid,
                "Send an access token or an API key, not both.",
            )),
        }
    }

    /// What a request is identified by: a token, or an API key with those that know it.
    fn credentials<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Result<(Option<&'h str>, Option<PresentedKey<'_, 'h>>), Refusal> {
        let token = bearer(headers)?;
        let key = self.presented_key(headers)?;
        // Beside a token, what is no key of ours is nobody's identity here.
        let key = key.filter(|(_, key)| token.is_none() || id_of(key).is_some());
        Ok((token, key))
    }

    fn presented_key<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Result<Option<PresentedKey<'_, 'h>>, Refusal> {
        let Some(keys) = &self.api_keys else {
            return Ok(None);
        };
        Ok(keys.presented(headers)?.map(|key| (keys, key)))
    }

    /// Whether a request carries a credential that would have to be verified, or is none at all.
    pub fn is_new(&self, headers: &HeaderMap) -> bool {
        let Ok((token, key)) = self.credentials(headers) else {
            return true;
        };
        let is_new_token = token.is_some_and(|token| self.known.peek(token).is_none());
        let is_new_key = key.is_some_and(|(keys, key)| !keys.remembers(key));
        is_new_token || is_new_key
    }

    /// By what a request that was refused would have been identified.
    pub fn method_of(&self, headers: &HeaderMap) -> Method {
        match self.presented_key(headers) {
            Ok(None) => Method::Jwt,
            _ if headers.contains_key(AUTHORIZATION) => Method::Jwt,
            _ => Method::ApiKey,
        }
    }

    /// The caller that an API key speaks for, as key and account are now.
    pub async fn verify_key(&self, key: &str) -> Result<Arc<User>, Refusal> {
        match &self.api_keys {
            Some(keys) => keys.verify(key).await,
            None => Err(Refusal::new(
                Code::TokenInvalid,
                "API keys are not taken here.",
            )),
        }
    }

    /// The caller that a token speaks for, as the account is now.
    pub fn verify(&self, token: &str, expiry: Expiry) -> Result<Arc<User>, Refusal> {
        let epoch = self.changes.epoch();
        let known = match self.known.get(token) {
            Some(known) => known,
            None => self.meet(token, expiry, epoch)?,
        };
        let user = if known.epoch.load(Ordering::Acquire) == epoch {
            Arc::clone(&known.user)
        } else {
            self.refresh(token, &known, expiry, epoch)?
        };
        if expiry == Expiry::Enforced && self.has_expired(&user) {
            return Err(refusal(&JwtError::Expired));
        }
        Ok(user)
    }

    /// Whether a listener may still be believed: nothing has ended its session or key, neither has expired, and the
    /// account has what the listener was let in by. Who comes back is decided on anew.
    pub fn still_stands(&self, listener: &mut Listener) -> bool {
        let epoch = self.changes.epoch();
        if self.has_expired(&listener.user) {
            return false;
        }
        if listener.epoch != Some(epoch) {
            let Ok(user) = as_it_is_now(&self.changes, Arc::clone(&listener.user)) else {
                return false;
            };
            if !has_what_it_had(&user, &listener.user) {
                return false;
            }
            // As it is now, so that a change to the account is worked in once.
            *listener = Listener {
                user,
                epoch: Some(epoch),
            };
        }
        true
    }

    fn has_expired(&self, user: &User) -> bool {
        user.ends_at(self.leeway) <= now()
    }

    /// The first sight of a token.
    fn meet(&self, token: &str, expiry: Expiry, epoch: u64) -> Result<Arc<Known>, Refusal> {
        let trusted = self.trusted.load();
        let claims = trusted
            .verifier
            .verify(token, expiry)
            .map_err(|error| refusal(&error))?;
        let expires_at = claims.exp;
        let user = User::new(claims).map_err(|error| invalid().because(error))?;
        let user = as_it_is_now(&self.changes, Arc::new(user))?;
        let known = Arc::new(Known {
            user,
            generation: trusted.generation,
            epoch: AtomicU64::new(epoch),
        });
        if expires_at + self.leeway > now() {
            self.known.insert(token.into(), Arc::clone(&known));
        }
        Ok(known)
    }

    /// Something has changed since the token was looked at; most often it was somebody else.
    fn refresh(
        &self,
        token: &str,
        known: &Known,
        expiry: Expiry,
        epoch: u64,
    ) -> Result<Arc<User>, Refusal> {
        if known.generation != self.trusted.load().generation {
            self.known.remove(token);
            let known = self.meet(token, expiry, epoch)?;
            return Ok(Arc::clone(&known.user));
        }
        let user = match as_it_is_now(&self.changes, Arc::clone(&known.user)) {
            Ok(user) => user,
            Err(refusal) => {
                self.known.remove(token);
                return Err(refusal);
            }
        };
        if Arc::ptr_eq(&user, &known.user) {
            known.epoch.store(epoch, Ordering::Release);
        } else {
            let known = Known {
                user: Arc::clone(&user),
                generation: known.generation,
                epoch: AtomicU64::new(epoch),
            };
            self.known.insert(token.into(), Arc::new(known));
        }
        Ok(user)
    }
}

/// A caller after what has changed since it was read.
pub(super) fn as_it_is_now(changes: &Changes, user: Arc<User>) -> Result<Arc<User>, Refusal> {
    if changes.has_ended(user.session) {
        return Err(revoked());
    }
    match changes.of_account(user.id) {
        Some(state) if !state.active => Err(revoked()),
        Some(state) if state.version > user.version => user
            .changed(&state)
            .map(Arc::new)
            .map_err(|error| invalid().because(error)),
        _ => Ok(user),
    }
}

/// Whether an account has the tier, the roles and the rank of before.
fn has_what_it_had(now: &User, before: &User) -> bool {
    now.tier == before.tier && now.roles == before.roles && now.is_superuser == before.is_superuser
}

fn verifier(auth: &Auth, keys: VerifyingKeys) -> Verifier {
    Verifier::new(keys, &auth.issuer, &auth.audience, auth.leeway.as_secs())
}

/// The token of the `Authorization` header, if there is one (RFC 6750, section 2.1).
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid().because("more than one Authorization header"));
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid().because("the scheme is not Bearer"));
    }
    Ok(Some(token.trim_matches(' ')))
}

/// The refusal of a request that needs a token and has none.
pub fn missing() -> Refusal {
    Refusal::new(
        Code::TokenMissing,
        "Sign in and send the access token as `Authorization: Bearer`.",
    )
}

fn invalid() -> Refusal {
    Refusal::new(Code::TokenInvalid, "The access token is not valid here.")
}

fn revoked() -> Refusal {
    Refusal::new(
        Code::TokenRevoked,
        "The session has ended, or the account is disabled.",
    )
}

fn refusal(error: &JwtError) -> Refusal {
    match error {
        JwtError::Expired => Refusal::new(Code::TokenExpired, "The access token has expired."),
        other => invalid().because(other),
    }
}

/// Seconds since 1970. A clock set before that leaves every token expired.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(u64::MAX / 2, |elapsed| elapsed.as_secs())
}
