//! Where upstreams listen. Names are looked up by the control plane; workers read the last answer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::{checked, is_own};

const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// How often names are looked up again.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(5);

/// One address of an upstream, the same object across reloads.
pub struct Target {
    /// `host:port`, for logs.
    pub name: Box<str>,
    host: Box<str>,
    port: u16,
    addresses: ArcSwap<Vec<SocketAddr>>,
}

impl Target {
    fn new(target: &checked::Target) -> Self {
        let known = target.host.parse::<IpAddr>().ok();
        let addresses = known.map(|ip| SocketAddr::new(ip, target.port));
        Target {
            name: match known {
                Some(IpAddr::V6(ip)) => format!("[{ip}]:{}", target.port).into(),
                _ => format!("{}:{}", target.host, target.port).into(),
            },
            host: target.host.as_str().into(),
            port: target.port,
            addresses: ArcSwap::from_pointee(addresses.into_iter().collect()),
        }
    }

    /// Empty while a name has never been found.
    pub fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.addresses.load_full()
    }

    fn needs_lookup(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    /// `own` are the gateway's addresses: a name that leads there would let the public in where
    /// administration is served, or the gateway ask itself.
    async fn look_up(&self, own: &[SocketAddr]) {
        match tokio::net::lookup_host((&*self.host, self.port)).await {
            Ok(found) => {
                let (own, found): (Vec<SocketAddr>, Vec<SocketAddr>) =
                    found.partition(|found| own.iter().any(|own| is_own(*found, *own)));
                if !own.is_empty() {
                    tracing::error!(target = %self.name, ?own, "an upstream's name leads to this gateway itself, and is not used there");
                    if found.is_empty() {
                        self.addresses.store(Arc::default());
                    }
                }
                // An empty answer is kept out like a failed one: the last good one serves on.
                if !found.is_empty() && found != **self.addresses.load() {
                    self.addresses.store(Arc::new(found));
                }
            }
            Err(error) => {
                tracing::warn!(target = %self.name, %error, "upstream name not found");
            }
        }
    }
}

/// Every target of the process by host and port.
#[derive(Default)]
pub struct Directory {
    targets: Mutex<HashMap<(String, u16), Arc<Target>>>,
    /// Where the gateway itself listens.
    own: Vec<SocketAddr>,
}

impl Directory {
    /// For a gateway that listens at `own`.
    pub fn of(own: Vec<SocketAddr>) -> Self {
        Directory {
            own,
            ..Directory::default()
        }
    }

    /// The targets of an upstream. Known ones are handed out again, so that their pools live on.
    pub fn targets(&self, upstream: &checked::Upstream) -> Vec<Arc<Target>> {
        let mut known = self.lock();
        upstream
            .targets
            .iter()
            .map(|target| {
                let key = (target.host.clone(), target.port);
                Arc::clone(
                    known
                        .entry(key)
                        .or_insert_with(|| Arc::new(Target::new(target))),
                )
            })
            .collect()
    }

    /// Looks every name up once.
    pub async fn look_up(&self) {
        let named: Vec<Arc<Target>> = {
            let mut known = self.lock();
            // What no configuration and no pool uses any more is only here.
            known.retain(|_, target| Arc::strong_count(target) > 1);
            known
                .values()
                .filter(|target| target.needs_lookup())
                .cloned()
                .collect()
        };
        let mut under_way = JoinSet::new();
        for target in named {
            let own = self.own.clone();
            under_way.spawn(async move {
                // Whoever waits for this also waits to reload or to start.
                if timeout(LOOKUP_TIMEOUT, target.look_up(&own)).await.is_err() {
                    tracing::warn!(target = %target.name, "looking up an upstream's name took too long");
                }
            });
        }
        under_way.join_all().await;
    }

    /// Looks names up for as long as it is polled.
    pub async fn keep_looking_up(&self) {
        loop {
            tokio::time::sleep(LOOKUP_INTERVAL).await;
            self.look_up().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, u16), Arc<Target>>> {
        self.targets.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_the_gateway_itself_is_not_used() {
        let target = |port| checked::Target {
            host: "localhost".to_owned(),
            port,
        };
        let upstream = checked::Upstream {
            name: "app".to_owned(),
            targets: vec![target(9901), target(9902)],
            connect_timeout: LOOKUP_TIMEOUT,
            response_timeout: LOOKUP_TIMEOUT,
            idle_timeout: LOOKUP_TIMEOUT,
        };
        let own = ["127.0.0.1:9901", "[::]:9901"].map(|own| own.parse().unwrap());
        let directory = Directory::of(own.into());
        let targets = directory.targets(&upstream);
        directory.look_up().await;
        assert!(targets[0].addresses().is_empty());
        assert!(!targets[1].addresses().is_empty());
    }
}
