//! The connection to Redis.

mod messages;

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo as _, Pipeline, RedisError, RedisResult,
    cmd,
};

use super::run::PATIENCE;
use super::signed;
use messages::{micros, nanos, unexpected};

pub(super) use messages::{
    Answer, Asked, Beat, Call, GRACE, Hindrance, Phase, Settled, Stands, Told,
};

/// How long a connection may take, with all that is exchanged at its beginning.
const CONNECT: Duration = Duration::from_secs(1);
/// Requests that may wait to be written.
const BUFFERED: usize = 1024;
const REPLICAS: &str = "portcullis:replicas";
/// When Redis first heard of gateways, which it forgets when it forgets their counters.
const SINCE: &str = "portcullis:since";
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
            Ok::<_, RedisError>(Link {
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

    /// Says that this gateway lives, at a time in microseconds by the clock of Redis, unless that is late; or only asks
    /// what it would hear. Those are counted as back that have said so since `back_at`, in milliseconds. Redis
    /// remembers how many there are, or how many the gateway has `counted` if those are more.
    pub(super) async fn beat(
        &self,
        id: &str,
        at: Option<i64>,
        back_at: i64,
        counted: u32,
    ) -> Result<Beat, LinkError> {
        let said = at.unwrap_or(0);
        let until = said.saturating_add(PATIENCE.as_micros() as i64);
        let mut call = cmd("EVALSHA");
        call.arg(&self.scripts.beat);
        call.arg(2).arg(REPLICAS).arg(SINCE).arg(id);
        call.arg(said).arg(until).arg(back_at).arg(counted);
        let asked = Instant::now();
        let (living, back, before, since, now) = self.call(call).await?;
        if at.is_some() && now > until {
            // Nobody has heard of it, then.
            return Err(LinkError::Late);
        }
        Ok(Beat {
            living,
            back,
            before,
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
pub(super) async fn within<T, E: Into<LinkError>>(
    time: Duration,
    what: impl Future<Output = Result<T, E>>,
) -> Result<T, LinkError> {
    let outcome = tokio::time::timeout(time, what).await;
    outcome.map_or(Err(LinkError::Late), |outcome| outcome.map_err(E::into))
}

#[cfg(test)]
mod tests;
