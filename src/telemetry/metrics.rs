//! The metrics of the process, in the OpenMetrics text format.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::shard::{BOUNDS, Counts, Histogram, Label, LimitDecision, Shard};

/// Counters by one label's value.
type ByResult = Family<[(&'static str, &'static str); 1], Counter>;

/// All metrics. Workers count in [`Shard`]s of their own; a scrape adds those up.
pub struct Metrics {
    registry: Registry,
    workers: Arc<Workers>,
    logins: ByResult,
    reloads: ByResult,
    store_up: Gauge,
    /// Without a series where accounts are the gateway's own.
    users_up: Family<[(&'static str, &'static str); 0], Gauge>,
    dropped_log_entries: Counter,
    /// These three without a series where there is no Redis.
    redis_up: Family<[(&'static str, &'static str); 0], Gauge>,
    replicas: Family<[(&'static str, &'static str); 0], Gauge>,
    redis_missed: Family<[(&'static str, &'static str); 0], Counter>,
}

#[derive(Debug)]
struct Workers {
    shards: Mutex<Vec<Arc<Shard>>>,
    /// A label's text at its number.
    labels: Mutex<Vec<Arc<str>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let workers = Arc::new(Workers {
            shards: Mutex::default(),
            labels: Mutex::new(vec!["".into()]),
        });
        let mut registry = Registry::with_prefix("portcullis");
        registry.register_collector(Box::new(Arc::clone(&workers)));
        let logins = ByResult::default();
        let reloads = ByResult::default();
        let store_up = Gauge::default();
        let users_up = Family::default();
        let dropped_log_entries = Counter::default();
        let redis_up = Family::default();
        let replicas = Family::default();
        let redis_missed = Family::default();
        registry.register("logins", "Logins by result", logins.clone());
        registry.register(
            "config_reloads",
            "Reloads of the configuration by result",
            reloads.clone(),
        );
        registry.register("store_up", "1 while the store answers", store_up.clone());
        registry.register(
            "users_up",
            "1 while the database of auth.users answers",
            users_up.clone(),
        );
        registry.register(
            "access_log_dropped",
            "Access log entries lost because the log's reader was too slow",
            dropped_log_entries.clone(),
        );
        registry.register(
            "redis_up",
            "1 while Redis answers in time",
            redis_up.clone(),
        );
        registry.register(
            "replicas",
            "Gateways that hold limits together, this one with them",
            replicas.clone(),
        );
        registry.register(
            "redis_missed",
            "Requests that asked Redis for a limit and got no answer in time",
            redis_missed.clone(),
        );
        // From the start, so that the first one is an increase.
        for result in ["success", "failure"] {
            let _ = reloads.get_or_create(&[("result", result)]);
        }
        for result in ["success", "credentials-invalid", "too-many-attempts"] {
            let _ = logins.get_or_create(&[("result", result)]);
        }
        Metrics {
            registry,
            workers,
            logins,
            reloads,
            store_up,
            users_up,
            dropped_log_entries,
            redis_up,
            replicas,
            redis_missed,
        }
    }
}

impl Metrics {
    /// Counts for one more worker.
    pub fn shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::default());
        lock(&self.workers.shards).push(Arc::clone(&shard));
        shard
    }

    /// The number of a route's name; the same for the same name as long as the process lives.
    pub fn label(&self, text: &str) -> Label {
        let mut labels = lock(&self.workers.labels);
        let known = labels.iter().position(|label| **label == *text);
        let index = known.unwrap_or_else(|| {
            labels.push(text.into());
            labels.len() - 1
        });
        Label(u32::try_from(index).unwrap_or(0))
    }

    pub fn login(&self, result: &'static str) {
        self.logins.get_or_create(&[("result", result)]).inc();
    }

    pub fn reload(&self, result: &'static str) {
        self.reloads.get_or_create(&[("result", result)]).inc();
    }

    pub fn store_is_up(&self, up: bool) {
        self.store_up.set(i64::from(up));
    }

    pub fn users_are_up(&self, up: bool) {
        self.users_up.get_or_create(&[]).set(i64::from(up));
    }

    pub fn redis_is_up(&self, up: bool) {
        self.redis_up.get_or_create(&[]).set(i64::from(up));
    }

    pub fn replicas_are(&self, living: u32) {
        self.replicas.get_or_create(&[]).set(i64::from(living));
    }

    /// Notes that there is a Redis that may be missed.
    pub fn redis_is_asked(&self) {
        let _ = self.redis_missed.get_or_create(&[]);
    }

    pub fn redis_missed(&self) {
        self.redis_missed.get_or_create(&[]).inc();
    }

    pub fn log_entry_dropped(&self) {
        self.dropped_log_entries.inc();
    }

    /// Everything, in the OpenMetrics text format 1.0.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Workers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (mut in_flight, mut connections) = (0, 0);
        let mut counts = Counts::default();
        for shard in lock(&self.shards).iter() {
            in_flight += shard.in_flight.load(Ordering::Relaxed);
            connections += shard.connections.load(Ordering::Relaxed);
            counts.merge(&shard.lock());
        }
        let labels = lock(&self.labels).clone();
        let name = |label: Label| labels.get(label.0 as usize).map_or("", |text| &**text);

        let mut family = encoder.encode_descriptor(
            "http_requests",
            "Requests by route, method and status code",
            None,
            MetricType::Counter,
        )?;
        for ((route, method, code), count) in &counts.requests {
            let code = code.to_string();
            let labels = [("route", name(*route)), ("method", method), ("code", &code)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "auth",
            "Identify stages by result, reason and method",
            None,
            MetricType::Counter,
        )?;
        for ([result, reason, method], count) in &counts.auth {
            let labels = [("result", *result), ("reason", reason), ("method", method)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "limit_decisions",
            "Decisions of limits by policy, tier and decision",
            None,
            MetricType::Counter,
        )?;
        for (policy, tiers) in &counts.limits {
            for (tier, decisions) in tiers {
                for (decision, name) in LimitDecision::ALL {
                    let count = decisions.0[decision as usize];
                    // Most limits are never in shadow: that would be a series of zeros for each.
                    if decision == LimitDecision::WouldRefuse && count == 0 {
                        continue;
                    }
                    let labels = [("policy", &**policy), ("tier", tier), ("decision", name)];
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        let mut family = encoder.encode_descriptor(
            "would_refuse",
            "Requests that a guard in shadow would have refused, by route and guard",
            None,
            MetricType::Counter,
        )?;
        for ((route, part), count) in &counts.would_refuse {
            let labels = [("route", name(*route)), ("part", part)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let mut histograms = |metric: &str, help: &str, of: &[(&Label, &Histogram)]| {
            let mut family = encoder.encode_descriptor(
                metric,
                help,
                Some(&Unit::Seconds),
                MetricType::Histogram,
            )?;
            for (route, histogram) in of {
                let mut bounds = BOUNDS.to_vec();
                bounds.push(f64::INFINITY);
                let buckets: Vec<(f64, u64)> = bounds.into_iter().zip(histogram.buckets).collect();
                family
                    .encode_family(&[("route", name(**route))])?
                    .encode_histogram::<NoLabelSet>(
                        histogram.sum.as_secs_f64(),
                        histogram.buckets.iter().sum(),
                        &buckets,
                        None,
                    )?;
            }
            Ok(())
        };
        histograms(
            "http_request_duration",
            "From a request's head to the end of its response, or to the 101 of a WebSocket",
            &counts.durations.iter().collect::<Vec<_>>(),
        )?;
        histograms(
            "upstream_duration",
            "From a request's start toward the upstream to the head of its response",
            &counts.upstream.iter().collect::<Vec<_>>(),
        )?;
        let gauge = encoder.encode_descriptor(
            "http_requests_in_flight",
            "Requests that are being served",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(in_flight).encode(gauge)?;
        let gauge = encoder.encode_descriptor(
            "connections",
            "Connections of clients",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(connections).encode(gauge)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;

    #[test]
    fn a_scrape_adds_up_what_the_workers_counted() {
        let metrics = Metrics::default();
        let route = metrics.label("a \"route\"");
        assert_eq!(metrics.label("a \"route\""), route);
        let odd = Method::from_bytes(b"BREW").unwrap();
        for shard in [metrics.shard(), metrics.shard()] {
            shard.connection_opened();
            shard.request_begun();
            shard.request_begun();
            shard.request_ended(route, &Method::GET, 200, Duration::from_millis(3), None);
            shard.request_begun();
            let upstream = Some(Duration::from_secs(60));
            shard.request_ended(route, &odd, 502, Duration::from_secs(61), upstream);
            shard.authenticated("refused", "token-expired", "jwt");
            shard.limited("writes", "pro", LimitDecision::Refused);
            shard.limited("writes", "pro", LimitDecision::Allowed);
            shard.limited("tried", "", LimitDecision::WouldRefuse);
            shard.would_refuse(route, "limits");
        }
        metrics.login("success");
        metrics.reload("failure");
        metrics.store_is_up(true);
        let text = metrics.render().unwrap();
        for line in [
            r#"portcullis_http_requests_total{route="a \"route\"",method="GET",code="200"} 2"#,
            r#"portcullis_http_requests_total{route="a \"route\"",method="other",code="502"} 2"#,
            r#"portcullis_http_request_duration_seconds_bucket{le="0.005",route="a \"route\""} 2"#,
            r#"portcullis_http_request_duration_seconds_bucket{le="+Inf",route="a \"route\""} 4"#,
            r#"portcullis_upstream_duration_seconds_bucket{le="30.0",route="a \"route\""} 0"#,
            r#"portcullis_upstream_duration_seconds_sum{route="a \"route\""} 120.0"#,
            r#"portcullis_auth_total{result="refused",reason="token-expired",method="jwt"} 2"#,
            r#"portcullis_limit_decisions_total{policy="writes",tier="pro",decision="refused"} 2"#,
            r#"portcullis_limit_decisions_total{policy="tried",tier="",decision="would_refuse"} 2"#,
            r#"portcullis_would_refuse_total{route="a \"route\"",part="limits"} 2"#,
            "portcullis_http_requests_in_flight 2",
            "portcullis_connections 2",
            r#"portcullis_logins_total{result="success"} 1"#,
            r#"portcullis_config_reloads_total{result="failure"} 1"#,
            "portcullis_store_up 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_counter_is_there_before_it_counts() {
        let metrics = Metrics::default();
        let has = |line: &str| metrics.render().unwrap().lines().any(|have| have == line);
        for line in [
            r#"portcullis_logins_total{result="credentials-invalid"} 0"#,
            r#"portcullis_config_reloads_total{result="success"} 0"#,
            r#"portcullis_config_reloads_total{result="failure"} 0"#,
            "portcullis_access_log_dropped_total 0",
        ] {
            assert!(has(line), "{line}");
        }
        let missed = || {
            let text = metrics.render().unwrap();
            let mut lines = text.lines();
            lines.any(|line| {
                line.starts_with("portcullis_redis_missed_total") && line.ends_with(" 0")
            })
        };
        assert!(!missed());
        metrics.redis_is_asked();
        assert!(missed());
    }
}
