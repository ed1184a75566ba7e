//! `portcullis limits`: what callers of a running gateway have used up.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::admin::{Answer, At};
use super::output::{FAILED, fail_with, print, say};
use super::told::table;
use crate::config::checked::Admin;
use crate::config::text::visible;

/// Millions of counters may have to be looked through.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Subcommand)]
pub enum LimitsCommand {
    /// Counters that are not full, those with the least left first, and requests under way
    Show {
        /// Those of one account, by its name or id
        #[arg(long)]
        user: Option<String>,
        /// How many at most [default: 100]
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: Option<u16>,
    },
}

#[derive(Deserialize)]
struct Shown {
    counters: Vec<Counter>,
    total_count: u64,
    concurrency: Vec<Seats>,
}

#[derive(Deserialize)]
struct Counter {
    limit: String,
    route: Option<String>,
    method: Option<String>,
    path: Option<String>,
    shadow: bool,
    key: String,
    user: Option<String>,
    tier: Option<String>,
    rate: Option<String>,
    remaining: Option<u32>,
    retry_in: u64,
    full_in: u64,
}

#[derive(Deserialize)]
struct Seats {
    route: String,
    key: String,
    user: Option<String>,
    requests: u32,
    max: Option<u32>,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// Asks `GET /limits`; returns the exit code.
pub fn run(admin: &Admin, token: Option<&str>, json: bool, command: &LimitsCommand) -> i32 {
    let LimitsCommand::Show { user, limit } = command;
    let Some(at) = At::of(admin) else {
        return fail_with("there is no admin listener");
    };
    // The socket needs none, and is told none.
    let token = token.filter(|_| matches!(at, At::Address(_)));
    let mut query = url::form_urlencoded::Serializer::new("/limits?".to_owned());
    if let Some(user) = user {
        query.append_pair("user", user);
    }
    if let Some(limit) = limit {
        query.append_pair("limit", &limit.to_string());
    }
    match at.ask("GET", &query.finish(), token, TIMEOUT) {
        Ok(answer) if answer.status == 200 => good(&answer, json),
        Ok(answer) => refused(&answer, &at),
        Err(error) => fail_with(format!(
            "no answer from the admin listener at {at}: {error}"
        )),
    }
}

fn good(answer: &Answer, json: bool) -> i32 {
    let told = match json {
        true => serde_json::from_slice::<Value>(&answer.body).map(|value| format!("{value:#}\n")),
        false => serde_json::from_slice::<Shown>(&answer.body).map(|shown| visible(&text(shown))),
    };
    match told {
        Ok(told) => print(&told),
        Err(error) => fail_with(format!(
            "the admin listener's answer is not understood: {error}"
        )),
    }
}

fn text(shown: Shown) -> String {
    let header = ["LIMIT", "WHERE", "WHO", "RATE", "LEFT", "FULL IN"].map(str::to_owned);
    let count = shown.counters.len();
    let rows = shown.counters.into_iter().map(|counter| {
        let place = match (counter.route, counter.path) {
            (Some(route), _) => route,
            (None, Some(path)) => [counter.method.unwrap_or_default(), path].join(" "),
            (None, None) => String::new(),
        };
        let left = match (counter.remaining, counter.retry_in) {
            (Some(0), wait) => format!("0, one in {wait} s"),
            (Some(left), _) => left.to_string(),
            (None, _) => "-".to_owned(),
        };
        let shadow = if counter.shadow { " (shadow)" } else { "" };
        [
            format!("{}{shadow}", counter.limit),
            place.trim().to_owned(),
            who(counter.key, counter.user, counter.tier),
            counter.rate.unwrap_or_else(|| "-".to_owned()),
            left,
            format!("{} s", counter.full_in),
        ]
    });
    let mut text = table(std::iter::once(header).chain(rows).collect());
    text.push_str(&format!("{count} of {}\n", shown.total_count));
    if !shown.concurrency.is_empty() {
        let header = ["UNDER WAY", "ROUTE", "WHO"].map(str::to_owned);
        let rows = shown.concurrency.into_iter().map(|seats| {
            let of = seats.max.map_or(String::new(), |max| format!(" of {max}"));
            let who = who(seats.key, seats.user, None);
            [format!("{}{of}", seats.requests), seats.route, who]
        });
        text.push('\n');
        text.push_str(&table(std::iter::once(header).chain(rows).collect()));
    }
    text
}

fn who(key: String, user: Option<String>, tier: Option<String>) -> String {
    match (user, tier) {
        (Some(user), Some(tier)) => format!("{user} ({tier})"),
        (Some(user), None) => user,
        (None, _) => key,
    }
}

fn refused(answer: &Answer, at: &At) -> i32 {
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => fail_with(problem.detail),
        Err(_) => fail_with(format!(
            "the admin listener at {at} answers {}",
            answer.status
        )),
    };
    if answer.status == 401 {
        say(
            "  = hint: give a superuser's access token by `--token` or PORTCULLIS_TOKEN, or configure `admin.socket`\n",
        );
    }
    FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_a_table() {
        let shown = serde_json::json!({
            "counters": [
                { "limit": "writes", "route": "posts", "method": null, "path": null, "shadow": false,
                  "key": "user 1", "user": "alice", "tier": "pro", "rate": "30/min", "remaining": 0,
                  "retry_in": 2, "full_in": 60 },
                { "limit": "exports", "route": null, "method": "POST", "path": "/exports/{id}", "shadow": true,
                  "key": "user 2", "user": null, "tier": null, "rate": null, "remaining": null,
                  "retry_in": 0, "full_in": 5 },
            ],
            "total_count": 7,
            "concurrency": [{ "route": "posts", "key": "ip 192.0.2.1", "user": null, "requests": 3, "max": 20 }],
        });
        let shown: Shown = serde_json::from_value(shown).unwrap();
        assert_eq!(
            text(shown),
            "LIMIT             WHERE               WHO          RATE    LEFT           FULL IN\n\
             writes            posts               alice (pro)  30/min  0, one in 2 s  60 s\n\
             exports (shadow)  POST /exports/{id}  user 2       -       -              5 s\n\
             2 of 7\n\
             \n\
             UNDER WAY  ROUTE  WHO\n\
             3 of 20    posts  ip 192.0.2.1\n"
        );
    }
}
