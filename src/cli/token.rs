//! `portcullis token`: what a token says, and tokens for testing.

use std::fmt::Write as _;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use serde_json::{Value, json};

use super::told::Told;
use super::user::UserError;
use crate::accounts::{Accounts, KeyRing, MintError, timestamp};
use crate::authn::{Changes, Expiry, Further, JwtError, STANDARD_CLAIMS, User, Verifier};
use crate::config::text::visible;
use crate::config::{Config, parse_duration};

/// No token is this long; whatever else stands on standard input is not kept.
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// What a token says and whether this gateway's keys and settings accept it
    Inspect {
        /// From standard input when it is left out, which keeps it out of the shell's history
        token: Option<String>,
    },
    /// An access token of an account, for testing: it is in a session of its own that can be ended
    Mint {
        #[arg(long, value_name = "USERNAME")]
        user: String,
        /// How long it lives: 30s, 5m, 2h
        #[arg(long, default_value = "5m", value_parser = lifetime)]
        ttl: Duration,
        /// A further claim; VALUE is JSON, or else text as it is. May be given more than once
        #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
        claims: Vec<(String, Value)>,
    },
}

/// Does what was asked and gives what to print.
pub async fn run(config: &Config, command: TokenCommand) -> Result<Told, UserError> {
    match command {
        TokenCommand::Inspect { token } => {
            let text = match token {
                Some(token) => token,
                None => read()?,
            };
            inspect(config, text.trim()).await
        }
        TokenCommand::Mint { user, ttl, claims } => {
            let further = Further::new(claims.into_iter().collect());
            mint(config, &user, ttl, further).await
        }
    }
}

async fn mint(
    config: &Config,
    user: &str,
    ttl: Duration,
    further: Further,
) -> Result<Told, UserError> {
    let accounts = Accounts::open(config, Arc::<Changes>::default()).await?;
    let minted = accounts.mint(user, ttl, further).await;
    let minted = minted.map_err(|error| match error {
        MintError::Accounts(error) => UserError::of(error, user),
        error => error.into(),
    })?;
    let json = json!({
        "access_token": minted.access_token,
        "token_type": "bearer",
        "expires_in": minted.expires_in,
        "session": minted.session,
    });
    Ok(Told::new(format!("{}\n", minted.access_token), json))
}

async fn inspect(config: &Config, token: &str) -> Result<Told, UserError> {
    let keys = KeyRing::open(config).await?.verifying().await?;
    let auth = &config.auth;
    let leeway = auth.leeway.as_secs();
    let verifier = Verifier::new(keys, &auth.issuer, &auth.audience, leeway);
    let why = match verifier.verify(token, Expiry::Enforced) {
        Err(error) => Some(reason(&error)),
        Ok(claims) => User::new(claims).err().map(|error| error.to_string()),
    };
    let mut parts = token.split('.');
    let header = parts.next().and_then(decoded);
    let claims = parts.next().and_then(decoded);
    let mut text = String::new();
    for (title, part) in [("header", &header), ("claims", &claims)] {
        match part {
            Some(part) => {
                let _ = writeln!(text, "{title}: {part:#}");
            }
            None => {
                let _ = writeln!(text, "{title}: not JSON in base64url");
            }
        }
    }
    for name in ["iat", "nbf", "exp"] {
        let seconds = claims.as_ref().and_then(|claims| claims[name].as_i64());
        let millis = seconds.and_then(|seconds| seconds.checked_mul(1000));
        if let Some(time) = millis.and_then(timestamp) {
            let _ = writeln!(text, "{name}: {time}");
        }
    }
    match &why {
        None => text.push_str(
            "accepted, unless its session has ended or its account may no longer sign in\n",
        ),
        Some(why) => {
            let _ = writeln!(text, "refused: {why}");
        }
    }
    let json = json!({
        "header": header,
        "claims": claims,
        "accepted": why.is_none(),
        "reason": why,
    });
    Ok(Told {
        is_failure: why.is_some(),
        ..Told::new(visible(&text), json)
    })
}

fn reason(error: &JwtError) -> String {
    let JwtError::Invalid(inner) = error else {
        return error.to_string();
    };
    match inner.kind() {
        ErrorKind::InvalidSignature => "the signature is not one of the key that it names".into(),
        ErrorKind::InvalidIssuer => "the issuer is not `auth.issuer`".into(),
        ErrorKind::InvalidAudience => "the audience is none of `auth.audience`".into(),
        ErrorKind::ImmatureSignature => "it is not valid yet".into(),
        ErrorKind::Json(_) => "the claims are not those of an access token".into(),
        _ => error.to_string(),
    }
}

/// Tokens count in whole seconds.
fn lifetime(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        ttl if ttl < Duration::from_secs(1) => Err("expected at least `1s`".to_owned()),
        ttl => Ok(ttl),
    }
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err("expected a name and a value such as `org=acme`".to_owned());
    };
    if STANDARD_CLAIMS.contains(&name) {
        return Err(format!(
            "`{name}` says what the account and the settings say"
        ));
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

fn decoded(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn read() -> Result<String, UserError> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(UserError::StdinToken)?;
    Ok(text)
}
