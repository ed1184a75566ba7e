//! All that requests are decided by, built as one and swapped as one.

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Request, Response};

use super::body::{ApiBody, ApiRequestBody};
use super::kept::DecidingHeaders;
use crate::authn::Authenticator;
use crate::authz::Policies;
use crate::config::Config;
use crate::forward::{Assertions, LookUps, Upstreams};
use crate::limit::Limits;
use crate::route::Table;
use crate::telemetry::{AccessLog, Label};

/// The auth API, as the data plane sees it: a request goes over to the control plane, a response
/// comes back. A refusal comes back as an extension of its response.
pub type AuthApi = Arc<dyn Fn(Request<ApiRequestBody>) -> AuthApiFuture + Send + Sync>;
pub type AuthApiFuture = Pin<Box<dyn Future<Output = Response<ApiBody>> + Send>>;

/// One configuration, with the tiers and limit rules of the store, ready to serve.
pub struct Snapshot {
    pub config: Arc<Config>,
    /// What config, table, policies and authenticator say of who may pass.
    pub rules: RuleSet,
    pub table: Arc<Table>,
    pub policies: Policies,
    pub limits: Limits,
    pub authenticator: Arc<Authenticator>,
    pub upstreams: Arc<Upstreams>,
    pub look_ups: Arc<LookUps>,
    pub assertions: Option<Arc<Assertions>>,
    pub auth_api: AuthApi,
    /// Of the routes, by their index.
    pub routes: Arc<[RouteNames]>,
    pub deciding_headers: DecidingHeaders,
    /// `None` when the access log is off.
    pub access_log: Option<AccessLog>,
}

/// Tells snapshots apart by whom they refuse: one is equal to itself, to its copies, and to those that refuse nobody more.
#[derive(Clone, Default)]
pub struct RuleSet(Arc<()>);

impl PartialEq for RuleSet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How log and metrics call a route.
pub struct RouteNames {
    pub text: Arc<str>,
    pub label: Label,
    pub upstream: Option<Arc<str>>,
}

/// The snapshot in force, one for the process.
pub type Snapshots = ArcSwap<Snapshot>;
