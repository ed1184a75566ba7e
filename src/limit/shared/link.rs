//! The connection to Redis, and what is said over it.

use std::iter;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo as _, Pipeline, RedisError,
    RedisResult, cmd,
};

use super::signed;

/// How long a connection may take, with all that is exchanged at its beginning.
const CONNECT: Duration = Duration::from_secs(1);
/// Requests that may wait to be written.
const BUFFERED: usize = 1024;
const REPLICAS: &str = "portcullis:replicas";
/// When Redis first heard of gateways, which it forgets when it forgets their counters.
const SINCE: &str = "portcullis:since";
/// How long a Redis that has just heard of gateways is only told what was used up before: all of them do so meanwhile.
/// Longer than the pause between two heartbeats, and between two tries to reach it.
pub(super) const GRACE: Duration = Duration::from_secs(4);
/// How long it is not believed to know what is used up: all of them tell it meanwhile what they let through since,
/// from their first heartbeat after the grace on.
const TRUST: Duration = Duration::from_millis(5500);

/// Counters that one call of the script tells of: Redis does nothing else meanwhile.
const PAGE: usize = 32;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("no answer in time")]
    Late,
    #[error("it has lost what was used up")]
    IsNew,
    #[error(transparent)]
    Redis(#[from] RedisError),
}

/// One connection, which all that is said goes over as it comes.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    scripts: std::sync::Arc<Scripts>,
}

/// What the server calls them.
struct Scripts {
    ask: String,
    settle: String,
    beat: String,
    recover: String,
}

/// What Redis says to a heartbeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    /// Gateways that live.
    pub(super) living: u32,
    /// Those that said so lately.
    pub(super) awake: u32,
    /// When it first heard of any, in milliseconds since 1970 by its own clock.
    pub(super) since: i64,
    /// What time it is by that clock, in microseconds.
    pub(super) now: i64,
    /// How long the answer took.
    pub(super) took: Duration,
}

/// How far a Redis may be believed that may have lost what was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It is being told what was used up before.
    New,
    /// It is told what is let through, and does not know it of all gateways yet.
    Told,
    /// It knows all.
    Trusted,
}

impl Beat {
    pub(super) fn phase(&self) -> Phase {
        let age = (self.now / 1000).saturating_sub(self.since);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        match age {
            _ if age < GRACE => Phase::New,
            _ if age < TRUST => Phase::Told,
            _ => Phase::Trusted,
        }
    }
}

/// What a call goes by beside its counters.
pub(super) struct Call<'a> {
    /// The gateway.
    pub(super) id: &'a str,
    /// See [`Beat::since`], as far as this gateway has heard.
    pub(super) since: i64,
    /// After which nothing is done, in microseconds since 1970 by the clock of Redis.
    pub(super) until: i64,
}

/// What Redis says to a request that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Whether all was charged, and what each counter owes then, in nanoseconds.
    Counted(bool, Vec<u64>),
    /// Nothing was done.
    Not(Hindrance),
}

/// Why Redis does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// It has lost what was used up, and this gateway has not heard of that yet.
    IsNew,
    /// It was told too late.
    IsLate,
}

impl Hindrance {
    fn of(answer: &[i64]) -> Option<Hindrance> {
        match answer {
            [-1] => Some(Hindrance::IsNew),
            [-2] => Some(Hindrance::IsLate),
            _ => None,
        }
    }
}

impl From<Hindrance> for LinkError {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::IsNew => LinkError::IsNew,
            Hindrance::IsLate => LinkError::Late,
        }
    }
}

/// A counter that is told of. Times are in nanoseconds.
pub(super) struct Told {
    pub(super) name: String,
    /// What was let through, which may be less than nothing.
    pub(super) used: i64,
    /// What was used up before, as far as is known here.
    pub(super) believed: u64,
    /// What there is in all.
    pub(super) whole: u64,
    /// More than that is never owed.
    pub(super) most: u64,
    /// Other counters, of whose debt a part is taken over where this one is not known yet.
    pub(super) kin: Vec<(String, f64)>,
}

/// A counter that is to be charged. Times are in nanoseconds.
pub(super) struct Asked {
    pub(super) told: Told,
    /// What a request takes.
    pub(super) amount: u64,
    /// What there is in all for this request, which counters of about as much share.
    pub(super) whole: u64,
}

/// How a counter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stands {
    /// Nanoseconds until it is full.
    pub(super) owed: u64,
    /// How many gateways are at it; `None` when that is not known yet.
    pub(super) share: Option<u32>,
}

impl Stands {
    fn of(pair: &[i64]) -> Self {
        Stands {
            owed: nanos(pair[0]),
            share: u32::try_from(pair[1]).ok().filter(|share| *share > 0),
        }
    }
}

/// What Redis says to a telling.
#[derive(Debug)]
pub(super) struct Settled {
    /// Of each counter; `None` where nothing was done.
    pub(super) stands: Vec<Option<Stands>>,
    /// Why nothing was done of some.
    pub(super) fault: Option<LinkError>,
}

impl Settled {
    /// Of so many counters, by the answers page by page. `None` for answers of another form.
    fn of(counters: usize, pages: Vec<RedisResult<Vec<i64>>>) -> Option<Settled> {
        let mut settled = Settled {
            stands: Vec::with_capacity(counters),
            fault: None,
        };
        for page in pages {
            let asked = PAGE.min(counters - settled.stands.len());
            let fault = match page {
                Ok(answer) if answer.len() == 2 * asked => {
                    let stands = answer.chunks_exact(2).map(|pair| Some(Stands::of(pair)));
                    settled.stands.extend(stands);
                    continue;
                }
                Ok(answer) => Hindrance::of(&answer)?.into(),
                Err(error) => LinkError::Redis(error),
            };
            settled.stands.extend(iter::repeat_n(None, asked));
            settled.fault = Some(fault);
        }
        (settled.stands.len() == counters).then_some(settled)
    }
}

/// Who connects to this address.
pub(super) fn client(url: &str) -> Result<Client, RedisError> {
    let whole = url.into_connection_info()?;
    // What the library calls itself is one more command that Redis would have to allow.
    let settings = whole.redis_settings().clone().set_skip_set_lib_name();
    Client::open(whole.set_redis_settings(settings))
}

impl Link {
    /// Connects, and brings the scripts.
    pub(super) async fn open(client: &Client) -> Result<Link, LinkError> {
        let opened = async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT))
                // Every call has a deadline of its own.
                .set_response_timeout(None)
                .set_pipeline_buffer_size(BUFFERED);
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let mut load = async |of_counters: bool, script: &str| {
                let shared = include_str!("counter.lua");
                let shared = if of_counters { shared } else { "" };
                let mut load = cmd("SCRIPT");
                load.arg("LOAD").arg(format!("{shared}{script}"));
                load.query_async::<String>(&mut connection).await
            };
            let scripts = Scripts {
                ask: load(true, include_str!("ask.lua")).await?,
                settle: load(true, include_str!("settle.lua")).await?,
                beat: load(false, include_str!("beat.lua")).await?,
                recover: load(true, include_str!("recover.lua")).await?,
            };
            Ok(Link {
                connection,
                scripts: scripts.into(),
            })
        };
        within(CONNECT, opened).await
    }

    /// Tells of the counters, and charges all of them what a request takes or none: whether it did, and what
    /// each owes then.
    pub(super) async fn ask(
        &self,
        about: Call<'_>,
        counters: &[Asked],
        charge: bool,
    ) -> Result<Answer, RedisError> {
        let told = counters.iter().map(|asked| &asked.told);
        let mut call = about.begin(&self.scripts.ask, told);
        call.arg(u8::from(charge));
        for asked in counters {
            asked.told.write(&mut call);
            call.arg(micros(signed(asked.amount)));
            call.arg(micros(signed(asked.whole)));
        }
        let mut answer: Vec<i64> = self.call(call).await?;
        if let Some(hindrance) = Hindrance::of(&answer) {
            return Ok(Answer::Not(hindrance));
        }
        if answer.len() != counters.len() + 1 {
            return Err(unexpected());
        }
        let charged = answer.remove(0) == 1;
        let owed = answer.into_iter().map(nanos);
        Ok(Answer::Counted(charged, owed.collect()))
    }

    /// Tells what was let through, and hears how each counter stands then.
    pub(super) async fn settle(
        &self,
        about: &Call<'_>,
        counters: &[Told],
    ) -> Result<Settled, RedisError> {
        let mut calls = Pipeline::new();
        // Of one that fails the others are done all the same.
        calls.ignore_errors();
        for page in counters.chunks(PAGE) {
            let mut call = about.begin(&self.scripts.settle, page.iter());
            for counter in page {
                counter.write(&mut call);
            }
            calls.add_command(call);
        }
        let mut connection = self.connection.clone();
        let answers: Vec<RedisResult<Vec<i64>>> = calls.query_async(&mut connection).await?;
        Settled::of(counters.len(), answers).ok_or_else(unexpected)
    }

    /// Tells what is used up of counters, in nanoseconds, to a Redis that may have lost them.
    pub(super) async fn recover(&self, counters: &[(String, u64)]) -> Result<(), RedisError> {
        let mut calls = Pipeline::new();
        for page in counters.chunks(PAGE) {
            let mut call = cmd("EVALSHA");
            call.arg(&self.scripts.recover).arg(page.len());
            for (name, _) in page {
                call.arg(name);
            }
            for (_, owed) in page {
                call.arg(micros(signed(*owed)));
            }
            calls.add_command(call);
        }
        let mut connection = self.connection.clone();
        let _: Vec<i64> = calls.query_async(&mut connection).await?;
        Ok(())
    }

    /// Says that this gateway lives.
    pub(super) async fn beat(&self, id: &str) -> Result<Beat, RedisError> {
        let mut call = cmd("EVALSHA");
        call.arg(&self.scripts.beat);
        call.arg(2).arg(REPLICAS).arg(SINCE).arg(id);
        let asked = Instant::now();
        let (living, awake, since, now) = self.call(call).await?;
        Ok(Beat {
            living,
            awake,
            since,
            now,
            took: asked.elapsed(),
        })
    }

    /// Says that this gateway lives no more.
    pub(super) async fn leave(&self, id: &str) -> Result<(), RedisError> {
        let mut call = cmd("ZREM");
        call.arg(REPLICAS).arg(id);
        self.call::<i64>(call).await.map(drop)
    }

    async fn call<T: redis::FromRedisValue>(&self, call: Cmd) -> Result<T, RedisError> {
        call.query_async(&mut self.connection.clone()).await
    }
}

/// What takes longer is an error like any other.
pub(super) async fn within<T>(
    time: Duration,
    what: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, LinkError> {
    match tokio::time::timeout(time, what).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(LinkError::Late),
    }
}

impl Told {
    fn write_keys(&self, call: &mut Cmd) {
        call.arg(&self.name);
        for (name, _) in &self.kin {
            call.arg(name);
        }
    }

    fn write(&self, call: &mut Cmd) {
        call.arg(micros(self.used));
        for nanos in [self.believed, self.whole, self.most] {
            call.arg(micros(signed(nanos)));
        }
        call.arg(self.kin.len());
        for (_, part) in &self.kin {
            call.arg(format!("{part:.12}"));
        }
    }
}

impl Call<'_> {
    /// A call of a script that tells of these counters, as far as all such scripts are alike.
    fn begin<'t>(&self, script: &str, counters: impl Iterator<Item = &'t Told> + Clone) -> Cmd {
        let keys: usize = counters.clone().map(|told| 1 + told.kin.len()).sum();
        let mut call = cmd("EVALSHA");
        call.arg(script).arg(1 + keys).arg(SINCE);
        for told in counters {
            told.write_keys(&mut call);
        }
        call.arg(self.since).arg(self.until).arg(self.id);
        call
    }
}

/// Microseconds with three decimals: Lua's numbers hold times since 1970 in those, and not in nanoseconds.
fn micros(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    format!("{sign}{}.{:03}", nanos / 1000, nanos % 1000)
}

fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
}

fn unexpected() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "an answer of another form").into()
}

#[cfg(test)]
mod tests;
