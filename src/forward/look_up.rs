//! What upstreams say of who owns what. One request for all that ask the same at once, whose answer is
//! remembered for some seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant as Moment, timeout_at};

use super::exchange::{self, Balanced, Upstream, Upstreams, WorkerPools};
use crate::authz::{Owners, Question};
use crate::config::Config;
use crate::config::checked::NoValue;

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
/// Bytes that remembered answers may take, about how many that is, and what one takes beside its text.
const MEMORY_BYTES: u64 = 16 << 20;
const MEMORY_ENTRIES: usize = 16_000;
const ENTRY_BYTES: u64 = 200;

/// The look-ups of one configuration, shared by all workers.
pub struct LookUps {
    /// By upstream, host and target, so by everything that a look-up says.
    known: Cache<Box<str>, Known, ByBytes>,
    /// Of the upstreams, by their index.
    queues: Box<[Queue]>,
}

struct Queue {
    under_way: Mutex<HashMap<Arc<str>, watch::Receiver<Option<Answer>>>>,
    turns: Semaphore,
}

/// The body, or why there is none.
type Answer = Result<Bytes, Arc<str>>;

#[derive(Clone)]
struct Known {
    answer: Answer,
    until: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Known> for ByBytes {
    fn weight(&self, key: &Box<str>, known: &Known) -> u64 {
        let answer = match &known.answer {
            Ok(body) => body.len(),
            Err(why) => why.len(),
        };
        key.len() as u64 + answer as u64 + ENTRY_BYTES
    }
}

/// The look-ups, as one request makes them on its worker.
pub struct Asked<'a> {
    look_ups: &'a Arc<LookUps>,
    upstreams: &'a Arc<Upstreams>,
    pools: &'a WorkerPools,
    until: Moment,
}

impl<'a> Asked<'a> {
    /// Its time begins now.
    pub fn new(
        look_ups: &'a Arc<LookUps>,
        upstreams: &'a Arc<Upstreams>,
        pools: &'a WorkerPools,
    ) -> Self {
        let until = Moment::now() + PATIENCE;
        Asked {
            look_ups,
            upstreams,
            pools,
            until,
        }
    }

    async fn answer(&self, question: &Question<'_>) -> Answer {
        let key = key(question);
        if let Some(answer) = self.look_ups.remembered(&key) {
            return answer;
        }
        let mut told = match self.begin(key, question)? {
            Begun::Known(answer) => return answer,
            Begun::UnderWay(told) => told,
        };
        let answer = told.wait_for(Option::is_some).await;
        let answer = answer.ok().and_then(|answer| answer.clone());
        answer.unwrap_or_else(|| Err("broke off".into()))
    }

    /// Begins to ask, unless that is under way or has just been done.
    fn begin(&self, key: Box<str>, question: &Question<'_>) -> Result<Begun, Arc<str>> {
        let target = question.target.parse::<PathAndQuery>();
        let target = target.map_err(|_| "has no target that can be sent")?;
        let index = question.upstream;
        let (Some(pools), Some(queue)) = (
            self.pools.upstreams.get(index).cloned(),
            self.look_ups.queues.get(index),
        ) else {
            return Err("has no upstream".into());
        };
        let mut under_way = queue.under_way();
        if let Some(told) = under_way.get(&*key) {
            return Ok(Begun::UnderWay(told.clone()));
        }
        // What is told is remembered before it is no longer under way.
        if let Some(answer) = self.look_ups.remembered(&key) {
            return Ok(Begun::Known(answer));
        }
        if under_way.len() >= UNDER_WAY {
            return Err("has to wait for too many others".into());
        }
        let (tell, told) = watch::channel(None);
        let key: Arc<str> = key.into();
        under_way.insert(Arc::clone(&key), told.clone());
        // A worker that ends drops the task here and now, and with it its entry.
        drop(under_way);
        let entry = UnderWay {
            look_ups: Arc::clone(self.look_ups),
            index,
            key,
        };
        let upstreams = Arc::clone(self.upstreams);
        let host = question.host.cloned();
        // It goes on when the client leaves: others may wait for it.
        tokio::task::spawn_local(async move {
            let asked = async {
                let (Some(upstream), Some(queue)) = (upstreams.get(index), entry.queue()) else {
                    return Err("has no upstream".into());
                };
                // Never closed, so there is always a turn.
                let _turn = queue.turns.acquire().await;
                fetch(&pools, upstream, host.as_ref(), target).await
            };
            let asked = tokio::time::timeout(PATIENCE, asked).await;
            let answer = asked.unwrap_or_else(|_| Err(LATE.into()));
            entry.look_ups.remember(&entry.key, &answer);
            drop(entry);
            tell.send_replace(Some(answer));
        });
        Ok(Begun::UnderWay(told))
    }
}

const LATE: &str = "was not answered in time";

enum Begun {
    Known(Answer),
    UnderWay(watch::Receiver<Option<Answer>>),
}

impl Owners for Asked<'_> {
    async fn look_up(&self, question: Question<'_>) -> Result<String, String> {
        let answer = timeout_at(self.until, self.answer(&question)).await;
        let answer = answer.unwrap_or_else(|_| Err(LATE.into()));
        let found = match answer {
            Ok(body) => question.field.find(&body).map_err(|why| match why {
                NoValue::NoJson => "was answered with no JSON".to_owned(),
                NoValue::Absent => format!("was answered without `{}`", question.field),
                NoValue::Other => {
                    let field = question.field;
                    format!("was answered with neither text nor a whole number at `{field}`")
                }
            }),
            Err(why) => Err(why.to_string()),
        };
        found.map_err(|why| format!("GET {} {why}", question.target))
    }
}

/// All that decides what the answer is. No host has a space in it.
fn key(question: &Question<'_>) -> Box<str> {
    let host = question.host.map_or(&b""[..], HeaderValue::as_bytes);
    let host = String::from_utf8_lossy(host);
    format!("{} {host} {}", question.upstream, question.target).into()
}

async fn fetch(
    pools: &Balanced,
    upstream: &Upstream,
    host: Option<&HeaderValue>,
    target: PathAndQuery,
) -> Answer {
    let response = exchange::ask(pools, upstream, host, target, PATIENCE).await;
    let response = response.map_err(|refusal| {
        let cause = refusal.cause().unwrap_or(refusal.code().as_str());
        Arc::from(format!("failed: {cause}"))
    })?;
    if response.status() != StatusCode::OK {
        let status = response.status().as_u16();
        return Err(format!("was answered with {status}").into());
    }
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| Arc::from(format!("was not answered whole: {error}")))?;
    Ok(body.to_bytes())
}

impl LookUps {
    pub fn of(config: &Config) -> Self {
        let queue = |_| Queue {
            under_way: Mutex::default(),
            turns: Semaphore::new(RUNNING),
        };
        LookUps {
            known: Cache::with_weighter(MEMORY_ENTRIES, MEMORY_BYTES, ByBytes),
            queues: config.upstreams.iter().map(queue).collect(),
        }
    }

    fn remembered(&self, key: &str) -> Option<Answer> {
        let known = self.known.get(key)?;
        (Instant::now() < known.until).then_some(known.answer)
    }

    fn remember(&self, key: &str, answer: &Answer) {
        let span = match answer {
            Ok(_) => REMEMBERED,
            Err(_) => FAILURE_REMEMBERED,
        };
        let known = Known {
            answer: answer.clone(),
            until: Instant::now() + span,
        };
        self.known.insert(key.into(), known);
    }
}

impl Queue {
    // A panic while the lock is held leaves a map that is still a map.
    fn under_way(&self) -> MutexGuard<'_, HashMap<Arc<str>, watch::Receiver<Option<Answer>>>> {
        self.under_way.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A look-up's place among those under way; free again however the look-up ends.
struct UnderWay {
    look_ups: Arc<LookUps>,
    /// Of the upstream.
    index: usize,
    key: Arc<str>,
}

impl UnderWay {
    fn queue(&self) -> Option<&Queue> {
        self.look_ups.queues.get(self.index)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(queue) = self.queue() {
            queue.under_way().remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
