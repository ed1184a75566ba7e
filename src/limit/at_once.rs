//! The stage for whoever asks what it would do, without a runtime.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::request::{Code, Refusal};

/// The outcome of a step that waits for nobody, as those of the stage do where no other gateway charges its
/// counters.
///
/// # Errors
///
/// Those of the step; `internal` for one that would wait.
pub fn at_once<T>(step: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    match pin!(step).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Refusal::new(Code::Internal, "The gateway failed.")
            .because("a stage that had to decide at once waits for an answer")),
    }
}
