//! A client's connection once it speaks no HTTP any more. Its end closes the request's ledger.

use bytes::Bytes;
use hyper::rt::{Read, Write};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::ledger::Ledger;
use crate::forward::{self, Way};

/// What a request has become whose response switched protocols.
pub struct Tunnel {
    upstream: OnUpgrade,
    ledger: Ledger,
}

impl Tunnel {
    pub(super) fn new(upstream: OnUpgrade, ledger: Ledger) -> Self {
        Tunnel { upstream, ledger }
    }

    /// Runs until either side has had enough. `first` is what the client sent right behind its request.
    pub async fn run(self, client: impl Read + Write + Unpin, first: Bytes) {
        let Tunnel {
            upstream,
            mut ledger,
        } = self;
        // What came behind the response is kept with the connection.
        let upstream = match upstream.await {
            Ok(upstream) => TokioIo::new(upstream),
            Err(error) => return ledger.broken(&error),
        };
        let carried = |way, bytes| match way {
            Way::ToUpstream => ledger.received(bytes),
            Way::ToClient => ledger.sent(bytes),
        };
        let ended = forward::carry(TokioIo::new(client), first, upstream, carried).await;
        if let Err(broken) = ended {
            ledger.broken(&broken);
        }
    }
}
