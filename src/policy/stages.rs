//! The stages of one configuration, built as a gateway builds them, with counters that nothing else
//! charges and no upstream connected.

use http::Method;

use crate::authn::Principal;
use crate::authz::Policies;
use crate::config::checked::Auth;
use crate::config::{Config, Plans};
use crate::forward::{Directory, Upstreams};
use crate::limit::{Clock, Counters, Limits, Slots};
use crate::request::Refusal;
use crate::route::Table;

/// Counters that only ever see one request.
const COUNTERS: usize = 1 << 8;

/// What the auth API says to a call before it reads a body or an account: of this method at this path, and of
/// whoever is found to be calling where it asks for that.
pub type AskAuthApi = fn(&Auth, &Method, &str, Identify<'_>) -> Result<(), Refusal>;
pub type Identify<'i> = &'i mut dyn FnMut() -> Result<Principal, Refusal>;

/// All that decides on a request.
pub struct Stages {
    pub config: Config,
    /// The paths of the auth API.
    pub(super) endpoints: Vec<String>,
    /// Without one, whatever is for the auth API is served.
    pub(super) auth_api: Option<AskAuthApi>,
    pub(super) table: Table,
    pub(super) policies: Policies,
    pub(super) limits: Limits,
    pub(super) counters: Counters,
    pub(super) upstreams: Upstreams,
}

impl Stages {
    /// `endpoints` are the paths of the auth API. Tiers and limit rules of the store take no part.
    pub fn build(config: Config, endpoints: Vec<String>) -> Stages {
        let slots = Slots::with_capacity(COUNTERS);
        let counters = Counters::new(slots, Clock::start());
        Stages::build_with(config, endpoints, &Plans::default(), counters)
    }

    /// Has the auth API say itself whom it refuses.
    #[must_use]
    pub fn asking(mut self, auth_api: AskAuthApi) -> Stages {
        self.auth_api = Some(auth_api);
        self
    }

    /// The same with the tiers and limit rules of a store, and counters of one's own.
    pub(super) fn build_with(
        config: Config,
        endpoints: Vec<String>,
        plans: &Plans,
        counters: Counters,
    ) -> Stages {
        let plans = plans.under(&config);
        Stages {
            table: Table::build(&config, &endpoints),
            policies: Policies::build(&config, &plans),
            limits: Limits::build(&config, &plans, counters.clone()),
            upstreams: Upstreams::build(&config, &Directory::default()),
            counters,
            endpoints,
            auth_api: None,
            config,
        }
    }

    /// Begins with counters that are all full, and another clock.
    pub(super) fn limit_anew(&mut self, plans: &Plans, clock: Clock) {
        let plans = plans.under(&self.config);
        self.counters = Counters::new(Slots::new(), clock);
        self.limits = Limits::build(&self.config, &plans, self.counters.clone());
    }
}
