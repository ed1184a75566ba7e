//! Refresh tokens: derived from the session and a counter, never stored, and judged when they come back.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::keys::RefreshKeys;
use super::store::{Account, Millis, Session, Step};

/// Keeps this use of the key apart from every other.
const LABEL: &[u8] = b"portcullis refresh token\0";

/// Rotations remembered per session. A client that refreshes more often than this within the grace
/// and then repeats its oldest token is treated as a replay.
const REMEMBERED: usize = 16;

/// What an authentic refresh token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshToken {
    pub session: Uuid,
    pub counter: u64,
}

impl RefreshToken {
    /// base64url(session ‖ counter ‖ HMAC-SHA256(label ‖ session ‖ counter)).
    pub fn encode(self, key: &hmac::Key) -> String {
        let mut bytes = Vec::with_capacity(56);
        bytes.extend_from_slice(self.session.as_bytes());
        bytes.extend_from_slice(&self.counter.to_be_bytes());
        let tag = hmac::sign(key, &[LABEL, &bytes].concat());
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` unless it was made with one of these keys; compared in constant time.
    pub fn decode(text: &str, keys: &RefreshKeys) -> Option<RefreshToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (counter, tag) = rest.split_first_chunk::<8>()?;
        let said = [LABEL, session, counter].concat();
        let mut keys = keys.iter();
        keys.find(|key| hmac::verify(key, &said, tag).is_ok())?;
        Some(RefreshToken {
            session: Uuid::from_bytes(*session),
            counter: u64::from_be_bytes(*counter),
        })
    }
}

/// What to do with an authentic token of `session`. `grace` and `ttl` in milliseconds.
///
/// A token that was used before is either a second tab or a retry, within the grace, or else a
/// stolen one: then nobody can tell the thief from the owner, and the session ends (RFC 9700,
/// section 4.14.2).
pub fn judge(
    presented: u64,
    session: &Session,
    account: &Account,
    now: Millis,
    grace: Millis,
    ttl: Millis,
) -> Step {
    if session.has_ended || session.expires_at <= now {
        return Step::Leave;
    }
    if !account.may_sign_in() {
        return Step::End;
    }
    if presented == session.counter {
        let mut rotations = session.rotations.clone();
        rotations.retain(|used| used.saturating_add(grace) >= now);
        rotations.push(now);
        let excess = rotations.len().saturating_sub(REMEMBERED);
        rotations.drain(..excess);
        return Step::Rotate {
            rotations,
            expires_at: now.saturating_add(ttl),
        };
    }
    match used_at(presented, session) {
        Some(used) if used.saturating_add(grace) >= now => Step::Repeat,
        _ => Step::End,
    }
}

/// When an earlier token was used, if that is remembered.
fn used_at(presented: u64, session: &Session) -> Option<Millis> {
    let back = session.counter.checked_sub(presented)?;
    let back = usize::try_from(back).ok()?;
    let index = session.rotations.len().checked_sub(back)?;
    session.rotations.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Millis = 10_000;
    const TTL: Millis = 1_000_000;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn only(byte: u8) -> RefreshKeys {
        RefreshKeys::new(key(byte), Vec::new())
    }

    fn session(counter: u64, rotations: &[Millis]) -> Session {
        Session {
            id: Uuid::from_u128(7),
            counter,
            rotations: rotations.to_vec(),
            expires_at: TTL,
            has_ended: false,
        }
    }

    fn account() -> Account {
        Account {
            id: Uuid::from_u128(1),
            external_id: None,
            username: "ann".into(),
            name: "Ann".into(),
            email: "ann@example.com".into(),
            profile_image_url: None,
            tier: "free".into(),
            roles: vec![],
            is_superuser: false,
            is_active: true,
            version: 1,
            created_at: 0,
            updated_at: None,
            deleted_at: None,
        }
    }

    fn judged(presented: u64, session: &Session, now: Millis) -> Step {
        judge(presented, session, &account(), now, GRACE, TTL)
    }

    #[test]
    fn a_token_reads_back_and_no_other_bytes_do() {
        let token = RefreshToken {
            session: Uuid::from_u128(42),
            counter: 3,
        };
        let text = token.encode(&key(1));
        assert_eq!(RefreshToken::decode(&text, &only(1)), Some(token));
        assert_eq!(RefreshToken::decode(&text, &only(2)), None);
        let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            let forged = URL_SAFE_NO_PAD.encode(&bytes);
            assert_eq!(
                RefreshToken::decode(&forged, &only(1)),
                None,
                "byte {index}"
            );
            bytes[index] ^= 1;
        }
        for text in ["", "x", "====", &text[..60], &format!("{text}AAAA")] {
            assert_eq!(RefreshToken::decode(text, &only(1)), None, "{text}");
        }
    }

    #[test]
    fn a_token_of_an_older_key_is_read_and_none_is_made_with_it() {
        let token = RefreshToken {
            session: Uuid::from_u128(42),
            counter: 3,
        };
        let keys = RefreshKeys::new(key(2), vec![key(1), key(3)]);
        for made_with in 1..=3 {
            let text = token.encode(&key(made_with));
            assert_eq!(RefreshToken::decode(&text, &keys), Some(token));
        }
        assert_eq!(RefreshToken::decode(&token.encode(&key(4)), &keys), None);
        let text = token.encode(keys.first());
        assert_eq!(RefreshToken::decode(&text, &only(2)), Some(token));
    }

    #[test]
    fn the_current_token_rotates_and_the_session_slides() {
        match judged(5, &session(5, &[1, 90_000]), 95_000) {
            Step::Rotate {
                rotations,
                expires_at,
            } => {
                assert_eq!(
                    rotations,
                    [90_000, 95_000],
                    "what is past the grace is forgotten"
                );
                assert_eq!(expires_at, 95_000 + TTL);
            }
            _ => panic!("expected a rotation"),
        }
    }

    #[test]
    fn a_used_token_repeats_within_the_grace_and_then_ends_the_session() {
        let session = session(2, &[1_000, 4_000]);
        assert!(matches!(judged(1, &session, 14_000), Step::Repeat));
        assert!(matches!(judged(1, &session, 14_001), Step::End));
        assert!(matches!(judged(0, &session, 11_000), Step::Repeat));
        assert!(matches!(judged(0, &session, 11_001), Step::End));
    }

    #[test]
    fn a_token_too_old_to_be_remembered_or_from_the_future_ends_the_session() {
        assert!(matches!(judged(0, &session(40, &[9; 16]), 10), Step::End));
        assert!(matches!(judged(3, &session(2, &[9, 9]), 10), Step::End));
    }

    #[test]
    fn the_memory_of_rotations_is_bounded() {
        match judged(50, &session(50, &[10; REMEMBERED]), 10) {
            Step::Rotate { rotations, .. } => assert_eq!(rotations.len(), REMEMBERED),
            _ => panic!("expected a rotation"),
        }
    }

    #[test]
    fn nothing_comes_of_a_session_that_is_over_or_an_account_that_is_disabled() {
        assert!(matches!(judged(0, &session(0, &[]), TTL), Step::Leave));
        let ended = Session {
            has_ended: true,
            ..session(0, &[])
        };
        assert!(matches!(judged(0, &ended, 1), Step::Leave));
        let disabled = Account {
            is_active: false,
            ..account()
        };
        let step = judge(0, &session(0, &[]), &disabled, 1, GRACE, TTL);
        assert!(matches!(step, Step::End));
    }
}
