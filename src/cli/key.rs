//! `portcullis key`: the keys that sign access tokens.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::told::{self, Told};
use super::user::UserError;
use crate::accounts::{Held, KeyRing, KeyState, KeysError, write_new_secret};
use crate::config::{Config, KeyAlgorithm, PrivateKey};

#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// The keys there are, and which of them signs
    List,
    /// Make a new key that signs from the next start or reload on; the older go on verifying
    Rotate {
        /// Make it and let it only verify; the next `key rotate` lets it sign
        #[arg(long)]
        stage: bool,
    },
    /// Remove a key that no longer signs: its tokens are refused from the next start or reload on
    Retire {
        /// As `key list` tells it
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    #[arg(long, value_enum, default_value = "EdDSA", ignore_case = true)]
    algorithm: Algorithm,
    /// Where to write it; never over a file that is there [default: ALGORITHM-KID.pem]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Algorithm {
    #[value(name = "EdDSA")]
    EdDsa,
    #[value(name = "ES256")]
    Es256,
    #[value(name = "RS256")]
    Rs256,
}

/// Makes a private key for `auth.signing.keys`.
pub fn generate(args: GenerateArgs) -> Result<Told, UserError> {
    let algorithm = match args.algorithm {
        Algorithm::EdDsa => KeyAlgorithm::EdDsa,
        Algorithm::Es256 => KeyAlgorithm::Es256,
        Algorithm::Rs256 => KeyAlgorithm::Rs256,
    };
    let key = PrivateKey::generate(algorithm).map_err(KeysError::from)?;
    let kid = key.thumbprint();
    let path = args.out.unwrap_or_else(|| {
        let algorithm = algorithm.as_str().to_lowercase();
        PathBuf::from(format!("{algorithm}-{kid}.pem"))
    });
    write_new_secret(&path, &key.to_pem()).map_err(UserError::KeyFile)?;
    let jwk = key.to_jwk(&kid);
    let text = format!(
        "{} holds a private key for {}.\nkid: {kid}\npublic JWK: {jwk}\n",
        path.display(),
        algorithm.as_str(),
    );
    let json = json!({ "file": path.display().to_string(), "kid": kid, "jwk": jwk });
    Ok(Told::new(text, json))
}

/// Does what was asked and gives what to print.
pub async fn run(config: &Config, command: KeyCommand) -> Result<Told, UserError> {
    let ring = KeyRing::open(config).await?;
    match command {
        KeyCommand::List => Ok(list(&ring.keys().await?)),
        KeyCommand::Rotate { stage } => {
            let held = ring.rotate(stage).await?;
            let does = match held.state {
                KeyState::Signs => "signs from the next start or reload on",
                _ => "verifies from the next start or reload on, and signs after `key rotate`",
            };
            Ok(Told::new(format!("{} {does}.\n", held.kid), to_json(&held)))
        }
        KeyCommand::Retire { kid } => {
            let held = ring.retire(&kid).await?;
            let text = format!(
                "{kid} is gone: its tokens are refused from the next start or reload on.\n"
            );
            Ok(Told::new(text, to_json(&held)))
        }
    }
}

fn list(keys: &[Held]) -> Told {
    let header = ["KID", "ALGORITHM", "STATE", "WHERE"].map(str::to_owned);
    let rows = keys.iter().map(|held| {
        [
            held.kid.clone(),
            held.key.algorithm().as_str().to_owned(),
            held.state.as_str().to_owned(),
            held.place.clone(),
        ]
    });
    let mut text = told::table(std::iter::once(header).chain(rows).collect());
    if keys.is_empty() {
        text = "There are no keys: a shared secret signs, or the first start makes one.\n".into();
    }
    let data: Vec<Value> = keys.iter().map(to_json).collect();
    Told::new(text, json!({ "data": data }))
}

fn to_json(held: &Held) -> Value {
    json!({
        "kid": held.kid,
        "algorithm": held.key.algorithm().as_str(),
        "state": held.state.as_str(),
        "where": held.place,
        "jwk": held.key.to_jwk(&held.kid),
    })
}
