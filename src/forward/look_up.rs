//! What upstreams say of who owns what. One request for all that ask the same at once, whose answer is
//! remembered for some seconds.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Instant as Moment, timeout_at};

use super::deliver;
use super::exchange::{Balanced, Upstream, Upstreams, WorkerPools};
use crate::authz::{Owners, Question, Unknown};
use crate::config::Config;
use crate::config::checked::{JsonPointer, NoValue};
use crate::single_flight::{Flight, Flights, Lost};

/// How long a request waits for all that it asks, and a look-up for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer.
const LARGEST: usize = 64 * 1024;
/// How long an answer counts, and how long it counts that there was none.
const REMEMBERED: Duration = Duration::from_secs(3);
const FAILURE_REMEMBERED: Duration = Duration::from_secs(1);
/// Look-ups of one upstream that run at once, and that run or wait: it has other requests to serve, and one
/// that is slow holds up no other.
const RUNNING: usize = 64;
const UNDER_WAY: usize = 1024;
/// Of those that run, how many may be for streams that a reload has decided on anew: requests find room beside them.
const IN_TURN: usize = RUNNING / 4;
/// Bytes that remembered answers may take, about how many that is, and what one takes beside its text.
const MEMORY_BYTES: u64 = 16 << 20;
const FOUND_BYTES: u64 = 8 << 20;
const MEMORY_ENTRIES: usize = 16_000;
const ENTRY_BYTES: u64 = 200;

/// Gives the time by which answers grow old.
type Clock = fn() -> Instant;

/// The look-ups of one configuration, shared by all workers.
pub struct LookUps {
    clock: Clock,
    /// By upstream, host and target, so by everything that a look-up says.
    answers: Memory<Bytes>,
    /// By the same and the field, so that no answer is read for each request.
    found: Memory<String>,
    /// Of the upstreams, by their index.
    flights: Box<[Arc<Flights<Known<Bytes>>>]>,
    /// The same, for whoever asks in turn.
    lines: Box<[Line]>,
}

/// Those who ask one upstream in turn.
#[derive(Clone)]
struct Line {
    upstream: Arc<str>,
    turns: Arc<Semaphore>,
}

impl Line {
    fn to(upstream: &str) -> Line {
        Line {
            upstream: upstream.into(),
            turns: Arc::new(Semaphore::new(IN_TURN)),
        }
    }
}

type Memory<T> = Cache<Box<str>, Known<T>, ByBytes>;

/// A body or what stands in it, or why there is none.
type Answer<T> = Result<T, Missing>;

/// Why there is no answer.
#[derive(Debug, Clone)]
struct Missing {
    why: Arc<str>,
    /// The upstream could not be asked, or would have answered at another time.
    is_for_now: bool,
}

impl Missing {
    /// It would be the same at another time.
    fn for_good(why: impl Into<Arc<str>>) -> Self {
        Missing {
            why: why.into(),
            is_for_now: false,
        }
    }

    fn for_now(why: impl Into<Arc<str>>) -> Self {
        Missing {
            why: why.into(),
            is_for_now: true,
        }
    }
}

#[derive(Clone)]
struct Known<T> {
    answer: Answer<T>,
    until: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl<T: AsRef<[u8]>> Weighter<Box<str>, Known<T>> for ByBytes {
    fn weight(&self, key: &Box<str>, known: &Known<T>) -> u64 {
        let answer = match &known.answer {
            Ok(found) => found.as_ref().len(),
            Err(missing) => missing.why.len(),
        };
        key.len() as u64 + answer as u64 + ENTRY_BYTES
    }
}

/// The look-ups, as one request makes them on its worker.
pub struct Asker<'a> {
    look_ups: &'a Arc<LookUps>,
    upstreams: &'a Arc<Upstreams>,
    pools: &'a WorkerPools,
    /// `None` for one that asks in turn.
    until: Option<Moment>,
}

impl<'a> Asker<'a> {
    /// Its time begins now.
    pub fn new(
        look_ups: &'a Arc<LookUps>,
        upstreams: &'a Arc<Upstreams>,
        pools: &'a WorkerPools,
    ) -> Self {
        Asker {
            until: Some(Moment::now() + PATIENCE),
            ..Asker::in_turn(look_ups, upstreams, pools)
        }
    }

    /// One of many that nobody waits for: whatever is not remembered waits for its turn at the upstream, with which
    /// its time begins.
    pub fn in_turn(
        look_ups: &'a Arc<LookUps>,
        upstreams: &'a Arc<Upstreams>,
        pools: &'a WorkerPools,
    ) -> Self {
        Asker {
            look_ups,
            upstreams,
            pools,
            until: None,
        }
    }

    /// What stands in the upstream's answer.
    async fn found(&self, question: &Question<'_>) -> Answer<String> {
        let key = key(question);
        let of_field = format!("{key} {}", question.field);
        let now = (self.look_ups.clock)();
        if let Some(known) = remembered(&self.look_ups.found, &of_field, now) {
            return known.answer;
        }
        let known = match remembered(&self.look_ups.answers, &key, now) {
            Some(known) => known,
            None => self.ask(&key, question).await?,
        };
        let found = find(question.field, &known.answer?);
        let known = Known {
            answer: found.clone(),
            until: known.until,
        };
        self.look_ups.found.insert(of_field.into(), known);
        found
    }

    /// The upstream's answer, of whoever asks first.
    async fn ask(&self, key: &str, question: &Question<'_>) -> Answer<Known<Bytes>> {
        let target = question.target.parse::<PathAndQuery>();
        let target = target.map_err(|_| Missing::for_good("has no target that can be sent"))?;
        let index = question.upstream;
        let (Some(pools), Some(flights), Some(line)) = (
            self.pools.upstreams.get(index),
            self.look_ups.flights.get(index),
            self.look_ups.lines.get(index),
        ) else {
            return Err(Missing::for_good("has no upstream"));
        };
        let known = || {
            let now = (self.look_ups.clock)();
            remembered(&self.look_ups.answers, key, now)
        };
        let (turn, until) = match self.until {
            Some(until) => (None, until),
            // Never closed, so there is always a turn.
            None => {
                let turn = Arc::clone(&line.turns).acquire_owned().await.ok();
                (turn, Moment::now() + PATIENCE)
            }
        };
        let turn = turn.map(Arc::new);
        let start = |flight: Flight<Known<Bytes>>| {
            let (look_ups, upstreams) = (Arc::clone(self.look_ups), Arc::clone(self.upstreams));
            let (pools, host) = (Rc::clone(pools), question.host.cloned());
            let (target, turn) = (target.clone(), turn.clone());
            // It goes on when the client leaves: others may wait for it.
            tokio::task::spawn_local(async move {
                // Not given back by whoever leaves: the upstream is asked all the same.
                let _turn_in_line = turn;
                let asked = async {
                    let upstream = upstreams.get(index);
                    let upstream = upstream.ok_or(Missing::for_good("has no upstream"))?;
                    let _turn = flight.turn().await;
                    fetch(&pools, upstream, host.as_ref(), target).await
                };
                let asked = tokio::time::timeout(PATIENCE, asked).await;
                let known = look_ups.known(asked.unwrap_or_else(|_| Err(Missing::for_now(LATE))));
                look_ups
                    .answers
                    .insert((&**flight.key()).into(), known.clone());
                flight.end(known);
            });
        };
        match timeout_at(until, flights.share(key, known, start)).await {
            Ok(shared) => shared.map_err(|lost| match lost {
                Lost::Full => Missing::for_now("has to wait for too many others"),
                Lost::BrokeOff => Missing::for_now("broke off"),
            }),
            Err(_) => Err(Missing::for_now(LATE)),
        }
    }
}

const LATE: &str = "was not answered in time";

impl Owners for Asker<'_> {
    async fn look_up(&self, question: Question<'_>) -> Result<String, Unknown> {
        let found = self.found(&question).await;
        found.map_err(|missing| Unknown {
            why: format!("GET {} {}", question.target, missing.why),
            is_for_now: missing.is_for_now,
        })
    }
}

fn find(field: &JsonPointer, body: &[u8]) -> Answer<String> {
    let found = field.find(body);
    found.map_err(|why| {
        Missing::for_good(match why {
            NoValue::NoJson => "was answered with no JSON".to_owned(),
            NoValue::Absent => format!("was answered without `{field}`"),
            NoValue::Other => {
                format!("was answered with neither text nor a whole number at `{field}`")
            }
        })
    })
}

fn remembered<T: Clone + AsRef<[u8]>>(
    memory: &Memory<T>,
    key: &str,
    now: Instant,
) -> Option<Known<T>> {
    memory.get(key).filter(|known| now < known.until)
}

/// All that decides what the answer is. No host has a space in it, and every target begins with a slash.
fn key(question: &Question<'_>) -> Box<str> {
    let (upstream, target) = (question.upstream, question.target);
    match question.host.map(HeaderValue::as_bytes) {
        Some(host) => format!("{upstream} @{} {target}", String::from_utf8_lossy(host)),
        None => format!("{upstream} {target}"),
    }
    .into()
}

async fn fetch(
    pools: &Balanced,
    upstream: &Upstream,
    host: Option<&HeaderValue>,
    target: PathAndQuery,
) -> Answer<Bytes> {
    let response = deliver::ask(pools, upstream, host, target, PATIENCE).await;
    let response = response.map_err(|refusal| {
        let cause = refusal.cause().unwrap_or(refusal.code().as_str());
        Missing::for_now(format!("failed: {cause}"))
    })?;
    let status = response.status();
    if status != StatusCode::OK {
        let why = format!("was answered with {}", status.as_u16());
        return Err(match is_of_the_moment(status) {
            true => Missing::for_now(why),
            false => Missing::for_good(why),
        });
    }
    // Nothing was asked for that would have to be unpacked.
    let mut codings = response.headers().get_all(header::CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Missing::for_good("was answered in a content coding"));
    }
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| {
        let why = format!("was not answered whole: {error}");
        match error.is::<LengthLimitError>() {
            true => Missing::for_good(why),
            false => Missing::for_now(why),
        }
    })?;
    let body = body.to_bytes();
    // JSON is in UTF-8 (RFC 8259, section 8.1), also where nobody looks.
    match std::str::from_utf8(&body) {
        Ok(_) => Ok(body),
        Err(_) => Err(Missing::for_good("was answered with no UTF-8")),
    }
}

/// Whether it says how the upstream fares, and nothing of what it was asked.
fn is_of_the_moment(status: StatusCode) -> bool {
    let is_told_later = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_server_error() || is_told_later.contains(&status)
}

impl LookUps {
    /// What upstreams have said to `before` may be otherwise now, but whoever still asks them holds its turn.
    pub fn of(config: &Config, before: Option<&LookUps>) -> Self {
        LookUps::with_clock(config, before, Instant::now)
    }

    fn with_clock(config: &Config, before: Option<&LookUps>, clock: Clock) -> Self {
        let upstreams = config.upstreams.iter();
        let lines = before.map_or(&[][..], |before| &before.lines);
        let line = |name: &str| {
            let known = lines.iter().find(|line| *line.upstream == *name);
            known.cloned().unwrap_or_else(|| Line::to(name))
        };
        LookUps {
            clock,
            answers: Cache::with_weighter(MEMORY_ENTRIES, MEMORY_BYTES, ByBytes),
            found: Cache::with_weighter(MEMORY_ENTRIES, FOUND_BYTES, ByBytes),
            flights: upstreams
                .clone()
                .map(|_| Flights::new(RUNNING, UNDER_WAY))
                .collect(),
            lines: upstreams.map(|upstream| line(&upstream.name)).collect(),
        }
    }

    fn known(&self, answer: Answer<Bytes>) -> Known<Bytes> {
        let span = match answer {
            Ok(_) => REMEMBERED,
            Err(_) => FAILURE_REMEMBERED,
        };
        let until = (self.clock)() + span;
        Known { answer, until }
    }
}

#[cfg(test)]
mod tests;
