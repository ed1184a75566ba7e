//! The snapshot in force, which a reload replaces, and in which a change of tiers or limit rules
//! replaces what goes by them.

use std::sync::{Arc, Mutex, MutexGuard};

use super::parts::Parts;
use crate::config::Config;
use crate::forward::Upstreams;
use crate::gateway::{Snapshot, Snapshots};

pub struct InForce {
    pub parts: Parts,
    pub snapshots: Arc<Snapshots>,
    /// Held while one snapshot is made of another: of two changes at once neither is lost.
    replacing: Mutex<()>,
}

impl InForce {
    pub fn new(parts: Parts, first: Snapshot) -> InForce {
        InForce {
            parts,
            snapshots: Arc::new(Snapshots::from_pointee(first)),
            replacing: Mutex::new(()),
        }
    }

    /// Serves by another configuration from the next request on, with the tiers and rules of now.
    pub fn replace(&self, config: Config, upstreams: Upstreams) {
        let _turn = self.turn();
        let before = self.snapshots.load();
        let next = self.parts.snapshot(config, upstreams, Some(&before));
        self.snapshots.store(Arc::new(next));
    }

    /// Takes the tiers and limit rules that the store has now.
    pub fn take_plans(&self) {
        let _turn = self.turn();
        let next = self.parts.with_plans(&self.snapshots.load());
        self.snapshots.store(Arc::new(next));
    }

    // What it guards is nothing that a panic could leave half done.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.replacing.lock().unwrap_or_else(|e| e.into_inner())
    }
}
