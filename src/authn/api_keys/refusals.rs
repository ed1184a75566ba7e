//! Why a key lets nobody in.

use crate::request::{Code, Refusal};
use crate::single_flight::Lost;

#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    Unknown,
    Revoked,
}

pub(super) fn refusal(reason: Reason) -> Refusal {
    match reason {
        Reason::Unknown => Refusal::new(Code::TokenInvalid, "The API key is not valid here."),
        Reason::Revoked => Refusal::new(
            Code::TokenRevoked,
            "The API key was revoked, or its account is disabled.",
        ),
    }
}

pub(super) fn lost(lost: Lost) -> Refusal {
    unavailable().because(match lost {
        Lost::Full => "too many API keys to look up",
        Lost::BrokeOff => "the look-up broke off",
    })
}

pub(super) fn unavailable() -> Refusal {
    Refusal::new(
        Code::Unavailable,
        "The API key can't be looked up now; try again.",
    )
    .retry_after(1)
    .for_now()
}
