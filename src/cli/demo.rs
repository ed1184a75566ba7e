//! `portcullis demo`: a gateway, a backend and users with no set-up at all.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use axum::extract::Request;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::output::{FAILED, GOOD, fail, log_at, say};
use crate::accounts::{Accounts, AccountsError, By, NewUser, random_password};
use crate::boot::{self, BootError, Origin, Serving};
use crate::config;

/// Addresses that the demo takes when they are free.
const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9901;

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Where to listen [default: 8080, or any free port when it is taken]
    #[arg(long)]
    port: Option<u16>,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("setting up the demo: {0}")]
    Io(#[from] io::Error),
    #[error("the demo's own configuration is wrong:\n{0}")]
    Config(String),
    #[error(transparent)]
    Boot(#[from] BootError),
}

struct DemoUser {
    name: &'static str,
    tier: &'static str,
    is_superuser: bool,
}

const USERS: [DemoUser; 4] = [
    DemoUser {
        name: "alice",
        tier: "free",
        is_superuser: false,
    },
    DemoUser {
        name: "bob",
        tier: "pro",
        is_superuser: false,
    },
    DemoUser {
        name: "carol",
        tier: "enterprise",
        is_superuser: false,
    },
    DemoUser {
        name: "admin",
        tier: "enterprise",
        is_superuser: true,
    },
];

/// Runs the demo until a signal ends it; returns the exit code.
pub fn run(args: &DemoArgs) -> i32 {
    log_at("warn");
    match demo(args) {
        Ok(()) => GOOD,
        Err(DemoError::Config(text)) => {
            say(&text);
            FAILED
        }
        Err(error) => fail(&error),
    }
}

fn demo(args: &DemoArgs) -> Result<(), DemoError> {
    let folder = tempfile::Builder::new()
        .prefix("portcullis-demo-")
        .tempdir()?;
    let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = match args.port {
        Some(port) => port,
        None => free_port(PORT)?,
    };
    let text = gateway_yaml(port, free_port(ADMIN_PORT)?, backend.local_addr()?);
    let path = folder.path().join("gateway.yaml");
    std::fs::write(&path, &text)?;
    let loaded = config::load(&path).map_err(|report| DemoError::Config(report.render(false)))?;
    let (config, digest) = (loaded.config, loaded.digest);
    let policy = config.auth.password.clone();
    boot::serve(
        config,
        Some(Origin { path, digest }),
        async |serving: Serving<'_>| {
            backend.set_nonblocking(true)?;
            let backend = tokio::net::TcpListener::from_std(backend)?;
            serving.control.spawn(async move {
                if let Err(error) = axum::serve(backend, Router::new().fallback(echo)).await {
                    tracing::error!(%error, "the sample backend ended");
                }
            });
            let mut introduction = format!(
                "A gateway with a sample backend, until Ctrl-C. Everything is in {}.\n\n",
                folder.path().display()
            );
            let mut passwords = Vec::new();
            for user in &USERS {
                let password = random_password(&policy);
                let _ = writeln!(
                    introduction,
                    "  {:<6} {:<11} password {}",
                    user.name,
                    if user.is_superuser {
                        "superuser"
                    } else {
                        user.tier
                    },
                    password.expose()
                );
                add(serving.accounts, user, password.clone()).await?;
                passwords.push(password);
            }
            let address = serving.listen.first().copied();
            let address = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let alice = passwords.first().map_or("", |password| password.expose());
            introduction.push_str(&commands(address, alice));
            if let Some(admin) = serving.admin {
                let _ = writeln!(introduction, "  curl -s http://{admin}/metrics");
            }
            // One write, so that it stands together whatever else is printed.
            io::Write::write_all(&mut io::stdout(), introduction.as_bytes())?;
            Ok(())
        },
    )?;
    Ok(())
}

async fn add(
    accounts: &Accounts,
    user: &DemoUser,
    password: config::Secret,
) -> Result<(), io::Error> {
    let new = NewUser {
        name: format!("Demo {}", user.name),
        username: user.name.to_owned(),
        email: format!("{}@example.com", user.name),
        password,
        tier: Some(user.tier.to_owned()),
        is_superuser: user.is_superuser,
    };
    let added: Result<_, AccountsError> = accounts.add_user(new, &By::command_line()).await;
    added.map(drop).map_err(io::Error::other)
}

fn commands(address: SocketAddr, password: &str) -> String {
    format!(
        r#"
Paste these:

  # the backend's public page, without signing in
  curl -i http://{address}/public/hello

  # anything else needs a token: sign in and keep it
  TOKEN=$(curl -s http://{address}/api/v1/login -d username=alice --data-urlencode 'password={password}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

  # the backend is told who calls
  curl -i http://{address}/hello -H "Authorization: Bearer $TOKEN"

  # alice may write her own posts, and nobody else's
  curl -i -X PATCH http://{address}/users/alice/posts/1 -H "Authorization: Bearer $TOKEN"
  curl -i -X PATCH http://{address}/users/bob/posts/1 -H "Authorization: Bearer $TOKEN"

  # the free tier is limited to 10 requests a minute
  for i in $(seq 12); do curl -s -o /dev/null -w '%{{http_code}}\n' http://{address}/hello -H "Authorization: Bearer $TOKEN"; done

"#
    )
}

fn gateway_yaml(port: u16, admin_port: u16, backend: SocketAddr) -> String {
    format!(
        r#"version: 1
listen: [{{ address: "127.0.0.1:{port}" }}]
admin: {{ address: "127.0.0.1:{admin_port}" }}
store: sqlite:portcullis.db
auth:
  issuer: http://127.0.0.1:{port}
  cookie: {{ secure: false }}
tiers:
  free: {{ rank: 0, rate: 10/min }}
  pro: {{ rank: 1, rate: 100/min }}
  enterprise: {{ rank: 2 }}
anonymous: {{ rate: 60/min }}
log: {{ access: text }}
upstreams:
  sample: {{ targets: ["http://{backend}"] }}
routes:
  - name: public
    prefix: /public
    auth: none
    upstream: sample
  - name: own-posts
    path: /users/{{username}}/posts/{{id}}
    path_options: {{ trailing_slash: ignore }}
    methods: [PUT, PATCH, DELETE]
    auth: required
    allow:
      - superuser: true
      - owner: "{{username}}"
    upstream: sample
  - name: everything-else
    prefix: /
    auth: required
    upstream: sample
"#
    )
}

/// The sample backend: tells what it was sent.
async fn echo(request: Request) -> Json<Value> {
    let headers: serde_json::Map<String, Value> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), Value::String(value))
        })
        .collect();
    Json(json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "headers": headers,
    }))
}

/// The wanted port, or any other when somebody has it.
fn free_port(wanted: u16) -> io::Result<u16> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(bound.local_addr()?.port())
}
