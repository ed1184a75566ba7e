//! Past requests, as the access log tells of them, decided once more under another configuration.

mod decide;
mod headers;
mod past;
mod record;
mod report;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_headers;
#[cfg(test)]
mod tests_of_logs;
mod then;

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::caller::principal;
use super::stages::Stages;
use crate::authn::Principal;
use crate::config::policy_test::{Credential, TestCaller};
use crate::config::{Config, Plans};
use crate::limit::{Clock, Counters, Hands, Slots};

use decide::{Files, Sender};
use headers::Choosing;
use past::Past;
use record::Record;
pub use report::Report;
use then::Then;

/// Accounts that are remembered; when there are more, all are looked up again.
const MOST_REMEMBERED: usize = 100_000;

/// Lines that lie further apart than this are of different logs, which share no counters.
const LONGEST_GAP: Duration = Duration::from_secs(100 * DAY);
/// How long one clock runs; counters hold the times of nine years.
const LONGEST_RUN: Duration = Duration::from_secs(8 * 365 * DAY);
const DAY: u64 = 24 * 60 * 60;

/// An account as it is now, or that it is not known.
pub type LookUp<'l> = &'l mut dyn FnMut(Uuid) -> Option<TestCaller>;

/// The past under one configuration.
pub struct Backtest {
    stages: Stages,
    choosing: Choosing,
    /// The configuration that the log was written under.
    then: Option<Then>,
    hands: Hands,
    /// When the clock of the limits began and the latest time that it was set to, since 1970.
    times: Option<(Duration, Duration)>,
    plans: Plans,
    senders: HashMap<(Uuid, bool), Known>,
    report: Report,
}

/// Who sent a request.
#[derive(Clone)]
struct Known {
    principal: Principal,
    /// Whether the account is known beside its id.
    is_account: bool,
}

impl Backtest {
    /// `plans` are the tiers and limit rules of the store; of each group of requests so many `examples` are kept.
    pub fn new(config: Config, endpoints: Vec<String>, plans: &Plans, examples: usize) -> Backtest {
        let (clock, hands) = Clock::manual();
        let counters = Counters::new(Slots::new(), clock);
        let choosing = Choosing::of(&config);
        let stages = Stages::build_with(config, endpoints, plans, counters);
        Backtest {
            stages,
            choosing,
            then: None,
            hands,
            times: None,
            plans: plans.clone(),
            senders: HashMap::new(),
            report: Report::new(examples),
        }
    }

    /// Says under which configuration the log was written; `endpoints` are the paths of its auth API.
    pub fn written_under(&mut self, old: Config, endpoints: &[String]) {
        self.then = Some(Then::new(old, endpoints));
    }

    /// Decides on the request of one line of the log.
    pub fn line(&mut self, line: &[u8], look_up: LookUp<'_>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Some(record) = Record::read(line) else {
            self.report.bad_line();
            return;
        };
        let past = Past::of(&record);
        // A request that the log cannot tell of uses up its limits all the same.
        self.advance(record.time);
        let known = record
            .user
            .map(|user| self.known(user, record.is_key, look_up));
        let then = self.then.as_ref();
        let was_looked_at =
            |record: &Record| then.is_some_and(|then| then.looked_for_credentials(record));
        let sender = match (&known, past.missed(&record)) {
            (Some(known), _) => Sender::Account {
                principal: &known.principal,
                is_known: known.is_account,
            },
            (None, Some("token-missing")) => Sender::Nobody,
            (None, Some(code)) => Sender::Refused(code),
            (None, None) if was_looked_at(&record) => Sender::Nobody,
            (None, None) => Sender::Hidden,
        };
        let files = Files {
            stages: &self.stages,
            choosing: &self.choosing,
            then,
        };
        let verdict = decide::decide(&files, &record, &sender);
        let name = |route: Option<usize>| {
            let route = self.stages.config.routes.get(route?)?;
            Some(route.name.clone())
        };
        let route = name(verdict.route());
        self.report.add(&record, &past, &verdict, route);
    }

    /// A line that was too long to be read.
    pub fn bad_line(&mut self) {
        self.report.bad_line();
    }

    pub fn finish(self) -> Report {
        self.report
    }

    /// Time does not go back: lines are written when a request ends, and told by when it began.
    fn advance(&mut self, time: Duration) {
        let (began, before) = *self.times.get_or_insert((time, time));
        let is_apart = time.abs_diff(before) > LONGEST_GAP;
        if is_apart || time.saturating_sub(began) > LONGEST_RUN {
            let (clock, hands) = Clock::manual();
            self.stages.limit_anew(&self.plans, clock);
            self.hands = hands;
            self.times = Some((time, time));
        } else if let Some(passed) = time.checked_sub(before) {
            self.hands.advance(passed);
            self.times = Some((began, time));
        }
    }

    fn known(&mut self, user: Uuid, is_key: bool, look_up: LookUp<'_>) -> Known {
        if let Some(known) = self.senders.get(&(user, is_key)) {
            return known.clone();
        }
        let made = |account: TestCaller, is_account| {
            let stated = TestCaller {
                id: Some(user),
                key: if is_key {
                    Credential::ApiKey
                } else {
                    Credential::Token
                },
                ..account
            };
            let principal = principal(Some(&stated), &self.stages.config).ok()?;
            Some(Known {
                principal,
                is_account,
            })
        };
        let known = look_up(user)
            .and_then(|account| made(account, true))
            .or_else(|| made(TestCaller::default(), false))
            .unwrap_or(Known {
                principal: Principal::Anonymous,
                is_account: false,
            });
        if self.senders.len() >= MOST_REMEMBERED {
            self.senders.clear();
        }
        self.senders.insert((user, is_key), known.clone());
        known
    }
}
