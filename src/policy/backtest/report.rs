//! What came of the past under another configuration.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::decide::Verdict;
use super::past::Past;
use super::record::Record;
use crate::config::text::visible;

/// Groups that are told apart. A log has few; whatever else was read in place of one might have many.
const MOST_GROUPS: usize = 10_000;

/// Requests that were decided in one way and would be in another.
#[derive(Debug, Default)]
pub struct Group {
    pub requests: u64,
    pub examples: Vec<Example>,
}

/// A past request.
#[derive(Debug)]
pub struct Example {
    time: String,
    request_id: String,
    method: String,
    host: String,
    path: String,
    client_ip: String,
    user_id: Option<String>,
    old_route: Option<String>,
}

/// What was and would be decided, and the route of now, else of then.
type Key = (String, String, String);

#[derive(Debug, Default)]
pub struct Report {
    examples: usize,
    /// Requests of the log, whether decided on or not.
    pub requests: u64,
    /// Lines of the log that are no requests.
    pub bad_lines: u64,
    /// Requests on which both decide alike.
    pub same: u64,
    groups: BTreeMap<Key, Group>,
    /// By why, and the route.
    untold: BTreeMap<(String, String), u64>,
    /// Those of each that are beyond [`MOST_GROUPS`].
    ungrouped: u64,
    untold_ungrouped: u64,
}

impl Report {
    pub(super) fn new(examples: usize) -> Report {
        Report {
            examples,
            ..Report::default()
        }
    }

    pub(super) fn bad_line(&mut self) {
        self.bad_lines += 1;
    }

    /// `route` is the name of the verdict's.
    pub(super) fn add(
        &mut self,
        record: &Record,
        past: &Past,
        verdict: &Verdict,
        route: Option<String>,
    ) {
        self.requests += 1;
        let route = route.or_else(|| record.route.clone()).unwrap_or_default();
        let (was, is) = match (past, verdict) {
            (Past::Untold(why), _) => return self.add_untold((*why).to_owned(), route),
            (_, Verdict::Untold(why, _)) => return self.add_untold(why.to_string(), route),
            // What is not found may be so because the auth API says it.
            (Past::AuthApi, Verdict::AuthApi) | (Past::Allowed, Verdict::Allow(_)) => {
                (String::new(), String::new())
            }
            (Past::Denied(_), Verdict::AuthApi) if record.route.is_none() => {
                (String::new(), String::new())
            }
            (past, verdict) => (past_text(past), verdict.text().into_owned()),
        };
        if was == is {
            self.same += 1;
            return;
        }
        let key = (was, is, route);
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&key) {
            self.ungrouped += 1;
            return;
        }
        let group = self.groups.entry(key).or_default();
        group.requests += 1;
        if group.examples.len() < self.examples {
            group.examples.push(Example::of(record));
        }
    }

    fn add_untold(&mut self, why: String, route: String) {
        let key = (why, route);
        match self.untold.len() < MOST_GROUPS || self.untold.contains_key(&key) {
            true => *self.untold.entry(key).or_default() += 1,
            false => self.untold_ungrouped += 1,
        }
    }

    /// How many would be decided differently.
    pub fn different(&self) -> u64 {
        self.groups
            .values()
            .map(|group| group.requests)
            .sum::<u64>()
            + self.ungrouped
    }

    /// The groups, the largest first.
    fn sorted(&self) -> Vec<(&Key, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.requests));
        groups
    }

    pub fn to_json(&self) -> Value {
        let groups = self.sorted().into_iter().map(|((was, is, route), group)| {
            json!({
                "old": was,
                "new": is,
                "route": some(route),
                "requests": group.requests,
                "examples": group.examples.iter().map(Example::to_json).collect::<Vec<_>>(),
            })
        });
        let untold = self.untold.iter();
        let untold = untold.map(|((why, route), requests)| json!({ "why": why, "route": some(route), "requests": requests }));
        json!({
            "requests": self.requests,
            "same": self.same,
            "different": self.different(),
            "bad_lines": self.bad_lines,
            "differences": groups.collect::<Vec<_>>(),
            "not_told": untold.collect::<Vec<_>>(),
            "ungrouped": { "different": self.ungrouped, "not_told": self.untold_ungrouped },
        })
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn past_text(past: &Past) -> String {
    match past {
        Past::Allowed => "allow".to_owned(),
        Past::Denied(code) => format!("deny {code}"),
        Past::AuthApi => "auth API".to_owned(),
        Past::Untold(_) => "unknown".to_owned(),
    }
}

impl Example {
    fn of(record: &Record) -> Example {
        Example {
            time: record.time_text.clone(),
            request_id: record.request_id.clone(),
            method: record.method.to_string(),
            host: record.host.clone(),
            path: record.path.clone(),
            client_ip: record.client.to_string(),
            user_id: record.user.map(|user| user.to_string()),
            old_route: record.route.clone(),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "time": self.time,
            "request_id": self.request_id,
            "method": self.method,
            "host": self.host,
            "path": self.path,
            "client_ip": self.client_ip,
            "user_id": self.user_id,
            "old_route": self.old_route,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for ((was, is, route), group) in self.sorted() {
            let route =
                some(route).map_or_else(|| "no route".to_owned(), |route| format!("route {route}"));
            text += &format!("{was} → {is}  {route}: {}\n", group.requests);
            for example in &group.examples {
                let who = example.user_id.as_deref().unwrap_or(&example.client_ip);
                text += &format!(
                    "    {} {} {} by {who}\n",
                    example.time, example.method, example.path
                );
            }
        }
        if self.ungrouped > 0 {
            text += &format!(
                "{} more would be decided differently, in more ways than are told apart\n",
                self.ungrouped
            );
        }
        for ((why, route), requests) in &self.untold {
            let route = some(route).map_or_else(String::new, |route| format!("  route {route}"));
            text += &format!("not told: {why}{route}: {requests}\n");
        }
        if self.untold_ungrouped > 0 {
            text += &format!(
                "{} more are not told, for more reasons and routes than are told apart\n",
                self.untold_ungrouped
            );
        }
        let untold = self.untold.values().sum::<u64>() + self.untold_ungrouped;
        text += &format!(
            "{} requests: {} as before, {} different, {untold} not told; {} bad lines\n",
            self.requests,
            self.same,
            self.different(),
            self.bad_lines
        );
        f.write_str(&visible(&text))
    }
}
