//! The API through its router, on a real store, by a clock that the test moves.

mod api_keys;
mod audit;
mod bad_input;
mod boilerplate;
mod budgets;
mod conformance;
mod life;
mod lockout;
mod members;
mod places;
mod served;
mod sessions;
mod tiers;
mod tokens;
mod users;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use jsonwebtoken::Validation;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tower::ServiceExt;

use super::{ApiState, Expiry, Payer, openapi, router};
use crate::accounts::testing::{StoppedClock, config_for, new_user};
use crate::accounts::{Accounts, By};
use crate::authn::{ApiKeys, Changes, Claims, LookUpFuture, Principal, User};
use crate::config::Config;
use crate::request::{Code, Peer, Refusal};

pub const PASSWORD: &str = "Aa1!aaaa";

/// The API and what is around it.
pub struct Api {
    pub router: Router,
    pub accounts: Arc<Accounts>,
    pub clock: StoppedClock,
    pub config: Config,
    /// As the data plane has them.
    pub keys: Arc<ApiKeys>,
    /// What the limiter by address says.
    pub is_admitting: Arc<AtomicBool>,
    /// Whom the other limiters turn away.
    pub turned_away: Arc<Mutex<Vec<Payer>>>,
    /// What it says of itself.
    pub document: Value,
    folder: tempfile::TempDir,
}

/// What came back, the refusal too if there was one.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub refusal: Option<Refusal>,
}

impl Api {
    /// With a user `ann` and a superuser `root`.
    pub async fn start() -> Api {
        Api::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Api {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config_for(module_path!(), folder.path());
        change(&mut config);
        let changes = Arc::new(Changes::default());
        let clock = StoppedClock::new();
        let accounts = Accounts::open_with(&config, Arc::clone(&changes), clock.clock())
            .await
            .unwrap();
        let mut root = new_user("root");
        root.is_superuser = true;
        for user in [root, new_user("ann")] {
            // Where another application has the accounts, it has none of these.
            if config.auth.users.is_none() {
                accounts.add_user(user, &By::command_line()).await.unwrap();
            }
        }
        Api::around(accounts, changes, clock, config, folder)
    }

    /// The same with other accounts on the same store, as after a restart.
    pub fn with(self, accounts: Accounts) -> Api {
        Api::around(
            accounts,
            Arc::default(),
            self.clock,
            self.config,
            self.folder,
        )
    }

    fn around(
        accounts: Accounts,
        changes: Arc<Changes>,
        clock: StoppedClock,
        config: Config,
        folder: tempfile::TempDir,
    ) -> Api {
        let accounts = Arc::new(accounts);
        let is_admitting = Arc::new(AtomicBool::new(true));
        let admitting = Arc::clone(&is_admitting);
        let turned_away = Arc::<Mutex<Vec<Payer>>>::default();
        let turning_away = Arc::clone(&turned_away);
        let verify = verifier(&accounts, Arc::clone(&changes), clock.clone());
        let keys = key_reader(&accounts, changes);
        let state = ApiState::new(
            &config,
            Arc::clone(&accounts),
            Arc::clone(&verify),
            identifier(verify, Arc::clone(&keys)),
            Arc::new(move |payer| {
                let refusal = Refusal::new(Code::RateLimited, "Too many requests.").retry_after(1);
                let is_admitted = match payer {
                    Payer::Address(_) => admitting.load(Ordering::SeqCst),
                    _ => !turning_away.lock().unwrap().contains(&payer),
                };
                let outcome = match is_admitted {
                    true => Ok(()),
                    false => Err(refusal),
                };
                Box::pin(std::future::ready(outcome))
            }),
            Arc::default(),
        );
        Api {
            router: router(&config.auth, state),
            document: openapi(&config.auth),
            accounts,
            clock,
            config,
            keys,
            is_admitting,
            turned_away,
            folder,
        }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from([192, 0, 2, 7].into(), request).await
    }

    pub async fn send_from(&self, client: IpAddr, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(Peer {
            socket: ([127, 0, 0, 1], 9).into(),
            client,
            is_trusted: false,
        });
        let (parts, body) = request.into_parts();
        let (body, bytes) = match body.size_hint().exact() {
            Some(_) => {
                let bytes = body.collect().await.unwrap().to_bytes();
                (Body::from(bytes.clone()), Some(bytes.to_vec()))
            }
            // Whether it ends is not known.
            None => (body, None),
        };
        let call = conformance::of(&self.document, &parts, bytes);
        let request = Request::from_parts(parts, body);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
            refusal: parts.extensions.get::<Refusal>().cloned(),
        };
        if let Some(call) = call {
            call.assert_documented(&answer);
        }
        answer
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::post(path).header("host", "localhost:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Body::from(body.to_owned());
        self.send(request.body(body).unwrap()).await
    }

    /// A call of the API with a token, and a body unless that is null.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {token}"));
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header(JSON.0, JSON.1);
                Body::from(body.to_string())
            }
        };
        self.send(request.body(body).unwrap()).await
    }

    pub async fn post_json(&self, path: &str, body: Value) -> Answer {
        self.post(path, &[JSON], &body.to_string()).await
    }

    pub async fn login(&self, username: &str, password: &str) -> Answer {
        let body = json!({ "username": username, "password": password });
        self.post_json("/api/v1/login", body).await
    }

    pub async fn login_from(&self, client: [u8; 4], username: &str, password: &str) -> Answer {
        let body = json!({ "username": username, "password": password }).to_string();
        let request = Request::post("/api/v1/login").header(JSON.0, JSON.1);
        let request = request.body(Body::from(body)).unwrap();
        self.send_from(client.into(), request).await
    }

    /// An access token and the refresh token's cookie, as `Cookie` has it.
    pub async fn sign_in(&self, username: &str) -> (String, String) {
        let answer = self.login(username, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        (answer.access_token(), answer.cookie())
    }

    pub async fn me(&self, access_token: &str) -> Answer {
        let request = Request::get("/api/v1/users/me")
            .header("authorization", format!("Bearer {access_token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn refresh(&self, cookie: &str) -> Answer {
        self.post("/api/v1/refresh", &[("cookie", cookie)], "")
            .await
    }
}

/// No body.
pub const NOTHING: Value = Value::Null;

pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn access_token(&self) -> String {
        self.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// `Set-Cookie` without its attributes.
    pub fn cookie(&self) -> String {
        let set = self.headers["set-cookie"].to_str().unwrap();
        set.split(';').next().unwrap().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    pub fn code(&self) -> &'static str {
        let refusal = self.refusal.as_ref();
        refusal.map_or("none", |refusal| refusal.code().as_str())
    }

    /// It is a refusal of that code, with nothing that the gateway's responder would not expect.
    #[track_caller]
    pub fn assert_refused(&self, code: &str) {
        assert_eq!(self.code(), code, "{self:?}");
        let refusal = self.refusal.as_ref().unwrap();
        assert_eq!(self.status, refusal.code().status());
        assert!(self.body.is_empty(), "{self:?}");
        let no_store = refusal.headers().iter();
        assert!(
            no_store
                .clone()
                .any(|(name, value)| name == "cache-control" && value == "no-store")
        );
    }
}

/// What reads API keys for the data plane.
fn key_reader(accounts: &Arc<Accounts>, changes: Arc<Changes>) -> Arc<ApiKeys> {
    let (asked, told) = (Arc::clone(accounts), Arc::clone(accounts));
    let look_up = move |key: Arc<str>| -> LookUpFuture {
        let accounts = Arc::clone(&asked);
        Box::pin(async move { Ok(accounts.look_up_key(&key).await?) })
    };
    ApiKeys::new(
        HeaderName::from_static("x-api-key"),
        changes,
        Arc::new(look_up),
        Arc::new(move |id| told.key_was_used(id)),
        Handle::current(),
    )
}

/// An access token or else an API key, one of which there has to be.
fn identifier(verify: super::VerifyToken, keys: Arc<ApiKeys>) -> super::Identify {
    Arc::new(move |headers| {
        let (verify, keys) = (Arc::clone(&verify), Arc::clone(&keys));
        Box::pin(async move {
            let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            if let Some(token) = text("authorization") {
                let token = token.trim_start_matches("Bearer ");
                return verify(token, Expiry::Enforced).map(Principal::User);
            }
            match text("x-api-key") {
                Some(key) => keys.verify(key).await.map(Principal::User),
                None => Err(Refusal::new(Code::TokenMissing, "Who is there?")),
            }
        })
    })
}

/// A verifier of the gateway's own tokens, by the test's clock.
fn verifier(accounts: &Accounts, changes: Arc<Changes>, clock: StoppedClock) -> super::VerifyToken {
    let keys = accounts.verifying_keys();
    Arc::new(move |token, expiry| {
        let invalid = || Refusal::new(Code::TokenInvalid, "The token is not valid.");
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        let kid = header.kid.ok_or_else(invalid)?;
        let key = keys.find(&kid).ok_or_else(invalid)?;
        let mut validation = Validation::new(key.algorithm);
        validation.set_audience(&["api"]);
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &validation)
            .map_err(|_| invalid())?
            .claims;
        if expiry == Expiry::Enforced && claims.exp <= clock.seconds() {
            return Err(Refusal::new(Code::TokenExpired, "The token has expired."));
        }
        let state = changes.of_account(claims.sub);
        if changes.has_ended(claims.sid) || state.as_ref().is_some_and(|state| !state.active) {
            return Err(Refusal::new(Code::TokenRevoked, "The session has ended."));
        }
        let user = User::new(claims).map_err(|_| invalid())?;
        let user = match state {
            Some(state) => user.changed(&state).map_err(|_| invalid())?,
            None => user,
        };
        Ok(Arc::new(user))
    })
}
