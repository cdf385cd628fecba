//! What the authority counts, in the form Prometheus reads.
//!
//! Each server has a recorder of its own: two authorities in one process, as in tests, do not mix.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// The metrics of one server.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    rate_limited: Counter,
    /// By route. There are as many as the router has, and known methods and statuses for each.
    routes: RwLock<HashMap<String, RouteMetrics>>,
}

/// The metrics of one route, so that a request need not find them by their labels.
struct RouteMetrics {
    seconds: Histogram,
    /// By method and status.
    answers: HashMap<(&'static str, u16), Counter>,
}

/// Every metric: its name, what it counts.
const DESCRIPTIONS: [(&str, &str); 14] = [
    ("annul_http_requests_total", "Requests answered, by route, method and status"),
    ("annul_http_request_seconds", "Time until an answer begins, what it waits for included"),
    ("annul_http_rate_limited_total", "Requests refused because a lane was full"),
    ("annul_credentials_refused_total", "Requests with a missing or wrong client credential"),
    ("annul_tokens_issued_total", "Access tokens issued, by what asked for them"),
    ("annul_refresh_total", "Refresh credentials presented, by what became of them"),
    ("annul_revocations_total", "Revocations acknowledged"),
    ("annul_feed_head_sequence", "Sequence of the log's head"),
    ("annul_feed_head_epoch", "Epoch of the log's head"),
    ("annul_feed_streams", "Open streams"),
    ("annul_feed_snapshots_total", "Snapshots served"),
    ("annul_feed_replicas", "Replicas heard from, by state"),
    ("annul_feed_replicas_behind", "Replicas that have not applied the head"),
    ("annul_entries_without_until", "Entries in force that only a lift ends"),
];

const METADATA: Metadata<'static> = Metadata::new("annul", Level::INFO, None);

impl Metrics {
    /// A recorder with nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let recorder =
            PrometheusBuilder::new().set_buckets(&SECONDS).expect("the buckets are not empty").build_recorder();
        for (name, text) in DESCRIPTIONS {
            let name = KeyName::from_const_str(name);
            if name.as_str().ends_with("_total") {
                recorder.describe_counter(name, Some(Unit::Count), text.into());
            } else if name.as_str().ends_with("_seconds") {
                recorder.describe_histogram(name, Some(Unit::Seconds), text.into());
            } else {
                recorder.describe_gauge(name, Some(Unit::Count), text.into());
            }
        }
        let rate_limited = recorder.register_counter(&Key::from_name("annul_http_rate_limited_total"), &METADATA);
        Self { handle: recorder.handle(), recorder, rate_limited, routes: RwLock::default() }
    }

    /// A request was answered. `route` is the pattern, never the path: paths hold names.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let kind = (known_method(method), status);
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        match known.get(route).and_then(|route| Some((route, route.answers.get(&kind)?))) {
            Some((route, answers)) => {
                answers.increment(1);
                route.seconds.record(took.as_secs_f64());
            }
            None => {
                drop(known);
                self.first_request(kind, route, took);
            }
        }
        if status == 429 {
            self.rate_limited.increment(1);
        }
    }

    /// The first answer of its kind, whose metrics are looked up in the recorder and held from here on.
    fn first_request(&self, kind: (&'static str, u16), route: &str, took: Duration) {
        let (method, status) = kind;
        let labels = vec![
            Label::new("method", method),
            Label::new("route", route.to_owned()),
            Label::new("status", status.to_string()),
        ];
        let answers = self.counter("annul_http_requests_total", labels);
        answers.increment(1);
        let key = Key::from_parts("annul_http_request_seconds", vec![Label::new("route", route.to_owned())]);
        let seconds = self.recorder.register_histogram(&key, &METADATA);
        seconds.record(took.as_secs_f64());
        let mut known = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let route = known.entry(route.to_owned()).or_insert_with(|| RouteMetrics { seconds, answers: HashMap::new() });
        route.answers.insert(kind, answers);
    }

    /// Folds what was measured since into the histograms. Without it, and without anyone who scrapes,
    /// every single measurement would be kept.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// A client credential was missing or wrong.
    pub fn refused_credential(&self) {
        self.counter("annul_credentials_refused_total", Vec::new()).increment(1);
    }

    /// A token was issued.
    pub fn issued(&self, by: &'static str) {
        self.counter("annul_tokens_issued_total", vec![Label::new("by", by)]).increment(1);
    }

    /// A refresh credential was presented: `rotated`, `repeated`, `reused` or `refused`.
    pub fn refreshed(&self, outcome: &'static str) {
        self.counter("annul_refresh_total", vec![Label::new("outcome", outcome)]).increment(1);
    }

    /// Revocations were acknowledged.
    pub fn revoked(&self, entries: u64) {
        self.counter("annul_revocations_total", Vec::new()).increment(entries);
    }

    /// A snapshot was served.
    pub fn snapshot(&self) {
        self.counter("annul_feed_snapshots_total", Vec::new()).increment(1);
    }

    /// Sets a gauge as it is when somebody looks.
    pub fn set(&self, name: &'static str, labels: &[(&'static str, &'static str)], value: f64) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| Label::new(*name, *value)).collect();
        self.gauge(name, labels).set(value);
    }

    /// Everything, as text.
    #[must_use]
    pub fn render(&self) -> String {
        self.upkeep();
        self.handle.render()
    }

    fn counter(&self, name: &'static str, labels: Vec<Label>) -> Counter {
        self.recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: Vec<Label>) -> Gauge {
        self.recorder.register_gauge(&Key::from_parts(name, labels), &METADATA)
    }
}

/// A caller may make up as many methods as it likes, and each label is kept for good.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// From a read in memory to a password that waits its turn.
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counted_thing_is_rendered_under_its_name() {
        let metrics = Metrics::new();
        metrics.request("GET", "/v1/keys", 200, Duration::from_millis(3));
        metrics.request("GET", "/v1/keys", 429, Duration::from_millis(1));
        metrics.refused_credential();
        metrics.issued("session");
        metrics.revoked(2);
        metrics.refreshed("reused");
        metrics.snapshot();
        metrics.set("annul_feed_replicas", &[("state", "live")], 3.0);
        metrics.request("BREW1", "none", 405, Duration::from_millis(1));
        metrics.request("BREW2", "none", 405, Duration::from_millis(1));
        let text = metrics.render();
        assert!(!text.contains("BREW"), "callers choose no labels");
        for line in [
            "annul_http_requests_total{method=\"GET\",route=\"/v1/keys\",status=\"200\"} 1",
            "annul_http_requests_total{method=\"other\",route=\"none\",status=\"405\"} 2",
            "annul_http_rate_limited_total 1",
            "annul_revocations_total 2",
            "annul_refresh_total{outcome=\"reused\"} 1",
            "annul_feed_replicas{state=\"live\"} 3",
            "# TYPE annul_http_request_seconds histogram",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
