//! Signing keys in `auth.keys_dir`, by their names: `eddsa.pem` signs, `eddsa-next.pem` is the one
//! that signs after the next rotation, and `eddsa-KID.pem` has signed before. All of them verify,
//! whatever the algorithm.

use std::path::Path;

use super::KeysError;
use super::files;
use super::ring::State::{Next, Signs, Verifies};
use super::ring::{Held, State, retirable};
use crate::config::checked::{KeyAlgorithm, PrivateKey};

/// Makes the key that signs when it is missing.
pub fn ensure(folder: &Path, algorithm: KeyAlgorithm) -> Result<(), KeysError> {
    files::ensure_folder(folder)?;
    make(&folder.join(name(algorithm, "")), algorithm)
}

/// All keys of the folder, the one that signs first.
pub fn find(folder: &Path, algorithm: KeyAlgorithm) -> Result<Vec<Held>, KeysError> {
    let mut all: Vec<Held> = Vec::new();
    let mut names: Vec<(KeyAlgorithm, State, String)> = files::names(folder)?
        .into_iter()
        .filter_map(|name| {
            let (of, state) = meaning(&name, algorithm)?;
            Some((of, state, name))
        })
        .collect();
    names.sort_by_key(|(_, state, name)| (*state != Signs, *state != Next, name.clone()));
    for (of, state, name) in names {
        let path = folder.join(name);
        let Some(pem) = files::load_if_there(&path)? else {
            continue;
        };
        let place = path.display().to_string();
        let key = PrivateKey::from_pem(&pem).map_err(|fault| KeysError::NotAKey {
            path: place.clone(),
            fault,
        })?;
        if key.algorithm() != of {
            return Err(KeysError::Misnamed {
                path: place,
                found: key.algorithm().as_str(),
                named: of.as_str(),
            });
        }
        let kid = key.thumbprint();
        // For a moment of its rotation a key has two names.
        if all.iter().all(|held| held.kid != kid) {
            all.push(Held {
                kid,
                key,
                place,
                state,
            });
        }
    }
    Ok(all)
}

/// Each step can be done again after an interruption, and at each moment one key signs.
pub fn rotate(folder: &Path, algorithm: KeyAlgorithm, staged: bool) -> Result<Held, KeysError> {
    ensure(folder, algorithm)?;
    let next = folder.join(name(algorithm, "-next"));
    make(&next, algorithm)?;
    if !staged {
        let current = folder.join(name(algorithm, ""));
        let held = find(folder, algorithm)?;
        let signs = held.into_iter().find(|held| held.state == Signs);
        let signs = signs.ok_or(KeysError::Generation)?;
        let former = folder.join(name(algorithm, &format!("-{}", signs.kid)));
        files::replace(&current, &former, &next)?;
    }
    let state = if staged { Next } else { Signs };
    let held = find(folder, algorithm)?;
    let made = held.into_iter().find(|held| held.state == state);
    made.ok_or(KeysError::Generation)
}

pub fn retire(folder: &Path, algorithm: KeyAlgorithm, kid: &str) -> Result<Held, KeysError> {
    let held = retirable(find(folder, algorithm)?, kid)?;
    files::remove(Path::new(&held.place))?;
    Ok(held)
}

fn make(path: &Path, algorithm: KeyAlgorithm) -> Result<(), KeysError> {
    files::load_or_create(path, || {
        Ok::<_, KeysError>(PrivateKey::generate(algorithm)?.to_pem())
    })
    .map(drop)
}

fn stem(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::EdDsa => "eddsa",
        KeyAlgorithm::Es256 => "es256",
        KeyAlgorithm::Rs256 => "rs256",
    }
}

fn name(algorithm: KeyAlgorithm, behind: &str) -> String {
    format!("{}{behind}.pem", stem(algorithm))
}

/// What a file is by its name; `None` for what others keep there.
fn meaning(name: &str, signs: KeyAlgorithm) -> Option<(KeyAlgorithm, State)> {
    let name = name.strip_suffix(".pem")?;
    let (of, behind) = KeyAlgorithm::ALL
        .into_iter()
        .find_map(|of| Some((of, name.strip_prefix(stem(of))?)))?;
    match behind {
        "" if of == signs => Some((of, Signs)),
        "-next" if of == signs => Some((of, Next)),
        // Of another algorithm, from before it was changed in gateway.yaml.
        "" | "-next" => Some((of, Verifies)),
        // A thumbprint: 32 bytes in base64url.
        _ => (behind.len() == 44 && behind.starts_with('-')).then_some((of, Verifies)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(folder: &Path, algorithm: KeyAlgorithm) -> Vec<(String, State)> {
        let held = find(folder, algorithm).unwrap();
        held.into_iter()
            .map(|held| (held.kid, held.state))
            .collect()
    }

    #[test]
    fn a_rotated_key_verifies_until_it_is_retired() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let eddsa = KeyAlgorithm::EdDsa;
        ensure(folder, eddsa).unwrap();
        let first = kids(folder, eddsa)[0].0.clone();
        assert_eq!(kids(folder, eddsa), [(first.clone(), Signs)]);

        let staged = rotate(folder, eddsa, true).unwrap().kid;
        let both = [(first.clone(), Signs), (staged.clone(), Next)];
        assert_eq!(kids(folder, eddsa), both);
        // A second time makes no third key.
        assert_eq!(rotate(folder, eddsa, true).unwrap().kid, staged);

        assert_eq!(rotate(folder, eddsa, false).unwrap().kid, staged);
        let both = [(staged.clone(), Signs), (first.clone(), Verifies)];
        assert_eq!(kids(folder, eddsa), both);

        let third = rotate(folder, eddsa, false).unwrap().kid;
        assert_eq!(kids(folder, eddsa).len(), 3);
        assert_eq!(kids(folder, eddsa)[0], (third.clone(), Signs));

        assert!(matches!(
            retire(folder, eddsa, &third),
            Err(KeysError::Signs(_))
        ));
        assert!(matches!(
            retire(folder, eddsa, "k9"),
            Err(KeysError::NoSuchKey(_))
        ));
        retire(folder, eddsa, &first).unwrap();
        retire(folder, eddsa, &staged).unwrap();
        assert_eq!(kids(folder, eddsa), [(third, Signs)]);
    }

    #[test]
    fn a_key_of_the_algorithm_of_before_goes_on_verifying() {
        let folder = tempfile::tempdir().unwrap();
        ensure(folder.path(), KeyAlgorithm::EdDsa).unwrap();
        let before = kids(folder.path(), KeyAlgorithm::EdDsa)[0].0.clone();
        ensure(folder.path(), KeyAlgorithm::Es256).unwrap();
        let now = kids(folder.path(), KeyAlgorithm::Es256);
        assert_eq!(now.len(), 2);
        assert_eq!(now[1], (before.clone(), Verifies));
        retire(folder.path(), KeyAlgorithm::Es256, &before).unwrap();
        assert_eq!(kids(folder.path(), KeyAlgorithm::Es256).len(), 1);
    }

    #[test]
    fn what_others_keep_there_is_left_alone_and_what_is_misnamed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        ensure(folder, KeyAlgorithm::EdDsa).unwrap();
        for name in ["k1.pem", "eddsa.txt", "eddsa-old.pem", "refresh.key"] {
            std::fs::write(folder.join(name), "something else").unwrap();
        }
        assert_eq!(kids(folder, KeyAlgorithm::EdDsa).len(), 1);
        std::fs::copy(folder.join("eddsa.pem"), folder.join("es256.pem")).unwrap();
        let error = find(folder, KeyAlgorithm::EdDsa).err().unwrap().to_string();
        assert!(error.contains("es256.pem holds a key for EdDSA"), "{error}");
    }

    /// As it is when the power fails between the two steps.
    #[test]
    fn a_key_under_two_names_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let eddsa = KeyAlgorithm::EdDsa;
        let next = rotate(folder, eddsa, true).unwrap().kid;
        let first = kids(folder, eddsa)[0].0.clone();
        let former = folder.join(name(eddsa, &format!("-{first}")));
        std::fs::hard_link(folder.join("eddsa.pem"), &former).unwrap();
        assert_eq!(kids(folder, eddsa).len(), 2);
        assert_eq!(rotate(folder, eddsa, false).unwrap().kid, next);
        assert_eq!(kids(folder, eddsa), [(next, Signs), (first, Verifies)]);
    }
}
