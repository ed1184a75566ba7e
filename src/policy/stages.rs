//! The stages of one configuration, built as a gateway builds them, with counters that nothing else
//! charges and no upstream connected.

use std::sync::Arc;

use crate::authz::Policies;
use crate::config::{Config, Plans};
use crate::forward::{Directory, Upstreams};
use crate::limit::{Clock, Limits, Slots};
use crate::route::Table;

/// Counters that only ever see one request.
const COUNTERS: usize = 1 << 8;

/// All that decides on a request.
pub struct Stages {
    pub config: Config,
    /// The paths of the auth API.
    pub(super) endpoints: Vec<String>,
    pub(super) table: Table,
    pub(super) policies: Policies,
    pub(super) limits: Limits,
    pub(super) slots: Arc<Slots>,
    pub(super) upstreams: Upstreams,
}

impl Stages {
    /// `endpoints` are the paths of the auth API. Tiers and limit rules of the store take no part.
    pub fn build(config: Config, endpoints: Vec<String>) -> Stages {
        let slots = Arc::new(Slots::with_capacity(COUNTERS, COUNTERS));
        Stages::build_with(config, endpoints, &Plans::default(), Clock::start(), slots)
    }

    /// The same with the tiers and limit rules of a store, and counters that go by a clock of their own.
    pub(super) fn build_with(
        config: Config,
        endpoints: Vec<String>,
        plans: &Plans,
        clock: Clock,
        slots: Arc<Slots>,
    ) -> Stages {
        let plans = plans.under(&config);
        Stages {
            table: Table::build(&config, &endpoints),
            policies: Policies::build(&config, &plans),
            limits: Limits::build(&config, &plans, Arc::clone(&slots), clock),
            upstreams: Upstreams::build(&config, &Directory::default()),
            slots,
            endpoints,
            config,
        }
    }

    /// Begins with counters that are all full, and another clock.
    pub(super) fn limit_anew(&mut self, plans: &Plans, clock: Clock) {
        let plans = plans.under(&self.config);
        self.slots = Arc::new(Slots::new());
        self.limits = Limits::build(&self.config, &plans, Arc::clone(&self.slots), clock);
    }
}
