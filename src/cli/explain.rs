//! `portcullis explain`: what would become of a request, and why.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::output::{GOOD, REFUSED, bad_usage, fail, once_printed, print, print_json};
use crate::accounts::KeyRing;
use crate::authn::{ApiKeys, Authenticator, Changes, Found, LookUpFuture, VerifyingKeys, id_of};
use crate::boot;
use crate::config::Config;
use crate::policy::{Asked, Caller, Explanation, Stages, parse_caller, principal};

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// GET, POST, …
    method: String,
    /// A path, or a URL whose host counts
    url: String,
    /// A header of the request: `Name: value`
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// An access token, which is checked; whether its session has ended only a running gateway knows
    #[arg(long, conflicts_with = "caller")]
    token: Option<String>,
    /// The caller as stated: user=alice,tier=pro,roles=a+b,scopes=x,superuser,id=…,key=api, or anonymous
    #[arg(long = "as", value_name = "CALLER")]
    caller: Option<String>,
    /// The client's address
    #[arg(long)]
    ip: Option<IpAddr>,
    /// What a look-up of an owner finds, as no upstream is asked: `/created_by_user_id=7`
    #[arg(long = "lookup", value_name = "FIELD=VALUE")]
    look_ups: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Returns 0 when the request would be served, 3 when it would be refused.
pub fn run(config: Config, args: &ExplainArgs) -> i32 {
    let mut asked = match Asked::new(&args.method, &args.url, &args.headers, args.ip) {
        Ok(asked) => asked,
        Err(error) => return bad_usage(error),
    };
    for found in &args.look_ups {
        if let Err(error) = asked.state(found) {
            return bad_usage(error);
        }
    }
    if let Some(token) = &args.token {
        match HeaderValue::from_str(&format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                asked.headers.push((AUTHORIZATION, value));
            }
            Err(_) => return bad_usage("no token has such characters"),
        }
    }
    let presented = Presented::of(&asked, &config);
    if args.caller.is_none() && presented.is_looked_up() {
        return bad_usage(
            "an API key is looked up by a running gateway: state its account with `--as user=…,key=api`",
        );
    }
    let explanation = if args.caller.is_none() && presented.is_any() {
        let authenticator = match authenticator(&config, &presented) {
            Ok(authenticator) => authenticator,
            Err(error) => return fail(&*error),
        };
        explain(config, &asked, &Caller::Presented(&authenticator))
    } else {
        let stated = parse_caller(args.caller.as_deref().unwrap_or_default())
            .and_then(|caller| principal(caller.as_ref(), &config));
        match stated {
            Ok(principal) => explain(config, &asked, &Caller::Stated(principal)),
            Err(error) => return bad_usage(error),
        }
    };
    let printed = match args.json {
        true => print_json(&explanation.to_json()),
        false => print(&explanation.to_string()),
    };
    let code = match explanation.is_refused() {
        true => REFUSED,
        false => GOOD,
    };
    once_printed(printed, code)
}

/// What a request carries of what callers are known by.
struct Presented {
    has_authorization: bool,
    /// The values of the header for API keys, where these are read.
    keys: Vec<HeaderValue>,
}

impl Presented {
    fn of(asked: &Asked, config: &Config) -> Presented {
        let values = |name: &HeaderName| {
            let named = asked.headers.iter().filter(|(known, _)| known == name);
            named.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let api_keys = &config.auth.api_keys;
        Presented {
            has_authorization: !values(&AUTHORIZATION).is_empty(),
            keys: match api_keys.enabled {
                true => values(&api_keys.header),
                false => Vec::new(),
            },
        }
    }

    fn is_any(&self) -> bool {
        self.has_authorization || !self.keys.is_empty()
    }

    /// Whether a gateway would ask its store: of one key alone that may be one. All else is refused, or counts for
    /// nothing, by what it looks like.
    fn is_looked_up(&self) -> bool {
        let [key] = self.keys.as_slice() else {
            return false;
        };
        !self.has_authorization && key.to_str().is_ok_and(|key| id_of(key).is_some())
    }
}

fn explain(config: Config, asked: &Asked, caller: &Caller<'_>) -> Explanation {
    let endpoints = boot::endpoints(&config.auth);
    let stages = Stages::build(config, endpoints).asking(boot::ask_auth_api);
    stages.explain(asked, caller)
}

fn authenticator(
    config: &Config,
    presented: &Presented,
) -> Result<Authenticator, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let keys = runtime.block_on(async {
        // Without a token none is needed, and there may be none yet.
        if !presented.has_authorization {
            return Ok(VerifyingKeys::new(Vec::new()));
        }
        let ring = KeyRing::open_to_read(config).await?;
        Ok::<_, Box<dyn std::error::Error>>(ring.verifying().await?)
    })?;
    let changes = Arc::<Changes>::default();
    let authenticator = Authenticator::new(&config.auth, keys, Arc::clone(&changes));
    if presented.keys.is_empty() {
        return Ok(authenticator);
    }
    // Nothing is left to be looked up.
    let look_up = Arc::new(|_| -> LookUpFuture { Box::pin(async { Ok(Found::Unknown) }) });
    let used = Arc::new(|_| {});
    let header = config.auth.api_keys.header.clone();
    let control = runtime.handle().clone();
    Ok(authenticator.with_api_keys(ApiKeys::new(header, changes, look_up, used, control)))
}
