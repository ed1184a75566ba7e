//! A tunnel between two ends that are in memory.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// Long enough that no test waits for it.
const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(20);

fn patience(idle: Duration, half_open: Duration) -> Patience {
    Patience {
        idle,
        half_open,
        last: Instant::now(),
        is_half_open: false,
    }
}

/// Runs a tunnel while `ends` has its two outer ends, and gives how it ended and what it carried.
async fn tunnel<F: Future>(
    patience: Patience,
    first: &'static [u8],
    ends: impl FnOnce(DuplexStream, DuplexStream) -> F,
) -> (Result<(), Broken>, [usize; 2]) {
    // Small, so that nothing is written in one go.
    let (client, near) = duplex(7);
    let (far, upstream) = duplex(5);
    let mut bytes = [0; 2];
    let carried = |way, n| match way {
        Way::ToUpstream => bytes[0] += n,
        Way::ToClient => bytes[1] += n,
    };
    let running = carry_with(patience, near, Bytes::from_static(first), far, carried);
    let (outcome, _) = tokio::join!(running, ends(client, upstream));
    (outcome, bytes)
}

#[tokio::test]
async fn bytes_go_both_ways_in_order_and_a_side_that_ends_is_told() {
    let long: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let expected = [b"first".as_slice(), &long].concat();
    let (outcome, bytes) = tunnel(patience(NEVER, NEVER), b"first", |client, upstream| {
        let (long, expected) = (&long, &expected);
        let (mut from_upstream, mut to_upstream) = tokio::io::split(client);
        let (mut from_client, mut to_client) = tokio::io::split(upstream);
        async move {
            let client = async {
                to_upstream.write_all(long).await.unwrap();
                to_upstream.shutdown().await.unwrap();
            };
            let upstream = async {
                let mut read = Vec::new();
                from_client.read_to_end(&mut read).await.unwrap();
                assert!(read == *expected);
                // The client says no more and goes on to listen.
                to_client.write_all(long).await.unwrap();
                to_client.shutdown().await.unwrap();
            };
            let listening = async {
                let mut read = Vec::new();
                from_upstream.read_to_end(&mut read).await.unwrap();
                assert!(read == *long);
            };
            tokio::join!(client, upstream, listening);
        }
    })
    .await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(bytes, [expected.len(), long.len()]);
}

#[tokio::test]
async fn silence_ends_it() {
    let silent = |client, upstream| async move {
        let ends = (client, upstream);
        std::future::pending::<()>().await;
        drop(ends);
    };
    let (client, near) = duplex(1);
    let (far, upstream) = duplex(1);
    let running = carry_with(patience(SOON, NEVER), near, Bytes::new(), far, |_, _| {});
    let outcome = tokio::select! {
        outcome = running => outcome,
        () = silent(client, upstream) => Ok(()),
    };
    assert!(matches!(outcome, Err(Broken::Idle(SOON))), "{outcome:?}");
}

#[tokio::test]
async fn an_end_that_is_not_answered_ends_it_sooner() {
    for is_the_client in [true, false] {
        let (outcome, _) = tunnel(
            patience(NEVER, SOON),
            b"",
            |mut client, mut upstream| async move {
                let (ending, other) = match is_the_client {
                    true => (&mut client, &mut upstream),
                    false => (&mut upstream, &mut client),
                };
                ending.shutdown().await.unwrap();
                let mut read = Vec::new();
                assert_eq!(other.read_to_end(&mut read).await.unwrap(), 0);
                // Once the tunnel is gone this end cannot be reached any more.
                assert_eq!(ending.read_to_end(&mut read).await.unwrap(), 0);
            },
        )
        .await;
        assert!(matches!(outcome, Err(Broken::Idle(SOON))), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_side_that_is_gone_ends_it() {
    let (outcome, _) = tunnel(
        patience(NEVER, NEVER),
        b"",
        |mut client, upstream| async move {
            drop(upstream);
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.unwrap();
            // It takes no more than what is on the way already.
            while client.write_all(b"more").await.is_ok() {}
        },
    )
    .await;
    assert!(matches!(outcome, Err(Broken::Upstream(_))), "{outcome:?}");
}

#[test]
fn patience_begins_anew_with_each_byte_and_is_shorter_with_one_side() {
    let start = Instant::now();
    let mut patience = patience(IDLE, HALF_OPEN);
    patience.last = start;
    assert!(patience.left(start + IDLE / 2).is_ok());
    assert!(patience.left(start + IDLE).is_err());
    patience.last = start + IDLE / 2;
    assert!(patience.left(start + IDLE).is_ok());
    patience.is_half_open = true;
    assert!(patience.left(patience.last + HALF_OPEN).is_err());
    assert_eq!(patience.until(), start + IDLE / 2 + HALF_OPEN);
}
