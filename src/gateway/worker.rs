//! What one thread of the data plane owns.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;
use rand::Rng;
use rand::rngs::SmallRng;
use uuid::Builder;

use super::snapshot::{Snapshot, Snapshots};
use crate::forward::WorkerPools;
use crate::telemetry::{Metrics, Shard};

pub struct Worker {
    snapshots: Arc<Snapshots>,
    current: RefCell<Rc<Current>>,
    random: RefCell<SmallRng>,
    pub(super) metrics: Arc<Metrics>,
    pub shard: Arc<Shard>,
}

/// A snapshot and this worker's upstream connections for it.
pub struct Current {
    pub snapshot: Arc<Snapshot>,
    pub pools: WorkerPools,
}

impl Worker {
    pub fn new(snapshots: Arc<Snapshots>, metrics: Arc<Metrics>) -> Rc<Self> {
        let snapshot = snapshots.load_full();
        let pools = WorkerPools::build(&snapshot.upstreams, None);
        Rc::new(Worker {
            snapshots,
            current: RefCell::new(Rc::new(Current { snapshot, pools })),
            // Request ids have to be distinct, not secret.
            random: RefCell::new(rand::make_rng()),
            shard: metrics.shard(),
            metrics,
        })
    }

    /// The snapshot in force. A request keeps the one that it began with.
    pub fn current(&self) -> Rc<Current> {
        let newest = self.snapshots.load();
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(&newest, &current.snapshot) {
            *current = Rc::new(Current {
                pools: WorkerPools::build(&newest.upstreams, Some(&current.pools)),
                snapshot: Arc::clone(&newest),
            });
        }
        Rc::clone(&current)
    }

    /// Closes upstream connections that were not used for their upstream's `idle_timeout`.
    pub fn close_idle(&self) {
        self.current().pools.close_idle();
    }

    /// A UUIDv7 (RFC 9562, section 5.7).
    pub(super) fn new_request_id(&self) -> HeaderValue {
        let milliseconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_millis() as u64);
        let mut random = [0; 10];
        self.random.borrow_mut().fill_bytes(&mut random);
        let id = Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut text);
        // Hexadecimal digits are always a valid header value.
        HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text.as_bytes()))
            .unwrap_or(HeaderValue::from_static(""))
    }
}
