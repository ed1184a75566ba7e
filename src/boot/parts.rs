//! What lives as long as the process, and how a configuration becomes a snapshot of it.

use std::sync::Arc;

use axum::Router;
use http::{HeaderMap, Request, Response};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::admission::admission;
use crate::accounts::{Accounts, Keys};
use crate::api::{self, ApiState};
use crate::authn::{ApiKeys, Authenticator, Changes, LookUpFuture};
use crate::authz::Policies;
use crate::config::Config;
use crate::config::checked;
use crate::forward::{
    ASSERTION_TYPE, AssertionClaims, Assertions, Directory, LookUps, Sign, Upstreams,
};
use crate::gateway::{
    ApiBody, ApiRequestBody, AuthApi, AuthApiFuture, DecidingHeaders, RouteNames, RuleSet, Snapshot,
};
use crate::limit::{Clock, Counters, Limits, Slots};
use crate::request::{Code, Refusal};
use crate::route::Table;
use crate::telemetry::{AccessLog, Format, Metrics};

/// Requests to the auth API that are served at once; more are told to come back.
const AUTH_API_CONCURRENCY: usize = 512;

pub struct Parts {
    pub metrics: Arc<Metrics>,
    pub accounts: Arc<Accounts>,
    pub directory: Arc<Directory>,
    authenticator: Arc<Authenticator>,
    auth_api: AuthApi,
    pub counters: Counters,
    access_log: AccessLog,
}

impl Parts {
    /// `config` settles what a reload can't change; `changes` is what `accounts` publishes to.
    pub fn new(
        config: &Config,
        accounts: Arc<Accounts>,
        changes: Arc<Changes>,
        access_log: AccessLog,
        metrics: Arc<Metrics>,
        control: Handle,
    ) -> Self {
        let keys = accounts.verifying_keys();
        let mut authenticator = Authenticator::new(&config.auth, keys, Arc::clone(&changes));
        if config.auth.api_keys.enabled {
            let keys = api_keys(config, &accounts, changes, control.clone());
            authenticator = authenticator.with_api_keys(keys);
        }
        let authenticator = Arc::new(authenticator);
        let (slots, clock) = (Slots::new(), Clock::start());
        let counters = match &config.redis {
            Some(_) => Counters::shared(slots, clock, Arc::clone(&metrics)),
            None => Counters::new(slots, clock),
        };
        let state = ApiState::new(
            config,
            Arc::clone(&accounts),
            {
                let authenticator = Arc::clone(&authenticator);
                Arc::new(move |token, expiry| authenticator.verify(token, expiry))
            },
            {
                let authenticator = Arc::clone(&authenticator);
                Arc::new(move |headers: HeaderMap| {
                    let authenticator = Arc::clone(&authenticator);
                    Box::pin(async move {
                        authenticator
                            .identify(checked::AuthMode::Required, &headers)
                            .await
                    })
                })
            },
            admission(&config.auth, &counters, &metrics),
            Arc::clone(&metrics),
        );
        let router = api::router(&config.auth, state);
        Parts {
            metrics,
            accounts,
            directory: Arc::new(Directory::of(config.own_addresses())),
            authenticator,
            auth_api: hand_over(router, control),
            counters,
            access_log,
        }
    }

    /// Takes over what a reload may change beside the snapshot. Keys that are to verify are trusted
    /// before they sign.
    pub fn reload(&self, config: &Config, keys: Keys) {
        let verifying = keys.verifying.clone();
        self.authenticator.replace_keys(&config.auth, verifying);
        self.accounts.replace_keys(keys);
        self.accounts.reload(config);
    }

    /// Where a configuration forwards to; names that are new have not been looked up.
    pub fn upstreams(&self, config: &Config) -> Upstreams {
        Upstreams::build(config, &self.directory)
    }

    /// A configuration, ready to serve after another. Counters, pools and known tokens go on.
    pub fn snapshot(
        &self,
        config: Config,
        upstreams: Upstreams,
        before: Option<&Snapshot>,
    ) -> Snapshot {
        let endpoints = api::endpoints(&config.auth);
        let routes = config.routes.iter().map(|route| RouteNames {
            text: route.name.as_str().into(),
            label: self.metrics.label(&route.name),
            upstream: upstreams.name(route.upstream).cloned(),
        });
        let (policies, limits) = self.planned(&config);
        Snapshot {
            rules: RuleSet::default(),
            table: Arc::new(Table::build(&config, &endpoints)),
            policies,
            limits,
            authenticator: Arc::clone(&self.authenticator),
            routes: routes.collect(),
            deciding_headers: DecidingHeaders::of(&config),
            upstreams: Arc::new(upstreams),
            look_ups: Arc::new(LookUps::of(&config, before.map(|before| &*before.look_ups))),
            assertions: Assertions::of(&config, sign(&self.accounts)).map(Arc::new),
            auth_api: Arc::clone(&self.auth_api),
            access_log: match config.log.access {
                checked::AccessLog::Json => Some(self.access_log.in_format(Format::Json)),
                checked::AccessLog::Text => Some(self.access_log.in_format(Format::Text)),
                checked::AccessLog::Off => None,
            },
            config: Arc::new(config),
        }
    }

    /// The same configuration with the tiers and limit rules that the store has now.
    pub fn with_plans(&self, snapshot: &Snapshot) -> Snapshot {
        let (policies, limits) = self.planned(&snapshot.config);
        Snapshot {
            // What refuses nobody is no reason to decide anew on streams, nor to ask upstreams about them.
            rules: match policies.admit_all_of(&snapshot.policies) {
                true => snapshot.rules.clone(),
                false => RuleSet::default(),
            },
            table: Arc::clone(&snapshot.table),
            policies,
            limits,
            authenticator: Arc::clone(&snapshot.authenticator),
            routes: Arc::clone(&snapshot.routes),
            deciding_headers: snapshot.deciding_headers.clone(),
            upstreams: Arc::clone(&snapshot.upstreams),
            look_ups: Arc::clone(&snapshot.look_ups),
            assertions: snapshot.assertions.clone(),
            auth_api: Arc::clone(&snapshot.auth_api),
            access_log: snapshot.access_log.clone(),
            config: Arc::clone(&snapshot.config),
        }
    }

    /// Says in the log what the store has and this configuration leaves without effect.
    pub fn warn_of_idle_plans(&self, config: &Config) {
        for idle in self.accounts.plans().idle_under(config) {
            tracing::warn!("{idle}");
        }
    }

    /// What goes by tiers and rules.
    fn planned(&self, config: &Config) -> (Policies, Limits) {
        let plans = self.accounts.plans().under(config);
        let limits = Limits::build(config, &plans, self.counters.clone());
        (Policies::build(config, &plans), limits)
    }
}

/// Signs assertions with the key of the moment.
fn sign(accounts: &Arc<Accounts>) -> Sign {
    let accounts = Arc::clone(accounts);
    Arc::new(move |claims: &AssertionClaims<'_>| {
        let signed = accounts.sign(ASSERTION_TYPE, claims);
        signed.map_err(|error| error.to_string())
    })
}

/// Keys that the accounts know, looked up on the control plane's threads.
fn api_keys(
    config: &Config,
    accounts: &Arc<Accounts>,
    changes: Arc<Changes>,
    control: Handle,
) -> Arc<ApiKeys> {
    let look_up = {
        let accounts = Arc::clone(accounts);
        Arc::new(move |key: Arc<str>| -> LookUpFuture {
            let accounts = Arc::clone(&accounts);
            Box::pin(async move { Ok(accounts.look_up_key(&key).await?) })
        })
    };
    let used = {
        let accounts = Arc::clone(accounts);
        Arc::new(move |id| accounts.key_was_used(id))
    };
    let header = config.auth.api_keys.header.clone();
    ApiKeys::new(header, changes, look_up, used, control)
}

/// Requests to the auth API run on the control plane's threads. A body is received before that: a
/// client that is slow to send it keeps no place from others.
fn hand_over(router: Router, control: Handle) -> AuthApi {
    let room = Arc::new(Semaphore::new(AUTH_API_CONCURRENCY));
    Arc::new(move |request: Request<ApiRequestBody>| -> AuthApiFuture {
        let router = router.clone();
        let room = Arc::clone(&room);
        let control = control.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = match api::receive(body).await {
                Ok(body) => body,
                Err(refusal) => return refused(refusal),
            };
            let request = Request::from_parts(head, axum::body::Body::from(body));
            let Ok(place) = room.try_acquire_owned() else {
                let refusal = Refusal::new(Code::Unavailable, "Too many calls at once.");
                return refused(refusal.retry_after(1));
            };
            let answer = control.spawn(async move {
                // The work goes on when its client leaves, and so does its place.
                let _place = place;
                router.oneshot(request).await
            });
            match answer.await {
                Ok(Ok(response)) => response.map(|body| {
                    use http_body_util::BodyExt as _;
                    ApiBody::new(body.map_err(Into::into))
                }),
                Ok(Err(never)) => match never {},
                Err(error) => {
                    refused(Refusal::new(Code::Internal, "The gateway failed.").because(error))
                }
            }
        })
    })
}

fn refused(refusal: Refusal) -> Response<ApiBody> {
    let mut response = Response::new(ApiBody::default());
    response.extensions_mut().insert(refusal);
    response
}
