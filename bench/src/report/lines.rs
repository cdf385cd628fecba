//! The figures to reach: each a ratio in one run, with the bar that must hold and the star that the
//! project is after.

use super::results::Results;
use super::spread::{Spread, number, quantity};
use crate::measure::Unit;

/// One line.
pub(super) struct Line {
    /// Its name in `bench/notes.toml`.
    pub(super) id: &'static str,
    /// What is measured.
    pub(super) what: &'static str,
    /// Where, and beside what.
    pub(super) test: Test,
    /// What must hold.
    pub(super) bar: f64,
    /// What the project is after.
    pub(super) star: f64,
}

/// How a line is judged. Names are those of series.
pub(super) enum Test {
    /// The peer's time over ours: at least.
    Faster { subject: &'static str, ours: &'static str, peers: &'static [&'static str] },
    /// Our rate over the peer's: at least.
    Rate { subject: &'static str, ours: &'static str, peer: &'static str },
    /// Our time over the peer's: at most.
    Times { subject: &'static str, ours: &'static str, peer: &'static str },
    /// Our figure alone: at most. A peer's is only shown.
    AtMost { subject: &'static str, ours: &'static str, shown: Option<(&'static str, &'static str)> },
    /// Our rate over one that others published and nobody measured here: at least.
    Published { subject: &'static str, ours: &'static str, peer: &'static str, per_second: f64 },
    /// Cannot be measured yet.
    NotYet { because: &'static str },
}

/// What came of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Star,
    Bar,
    Missed,
    NotMeasured,
    NotYet,
}

/// A line with its figures, ready to be written.
pub(super) struct Judged {
    pub(super) line: &'static Line,
    pub(super) verdict: Verdict,
    /// Our figure and the peer's, as text; empty where there is none.
    pub(super) ours: String,
    pub(super) peer: String,
    pub(super) ratio: Option<Spread>,
}

impl Judged {
    /// How many times the bar was reached: more than one is met, whichever way the line looks.
    pub(super) fn times_the_bar(&self) -> Option<f64> {
        let median = self.ratio?.median;
        Some(if self.line.test.wants_more() { median / self.line.bar } else { self.line.bar / median })
    }

    /// The same of the star.
    pub(super) fn star_in_bars(&self) -> f64 {
        let Line { bar, star, .. } = self.line;
        if self.line.test.wants_more() { star / bar } else { bar / star }
    }
}

impl Test {
    const fn wants_more(&self) -> bool {
        matches!(self, Self::Faster { .. } | Self::Rate { .. } | Self::Published { .. })
    }
}

impl Line {
    /// The line as these results answer it.
    pub(super) fn judge(&'static self, results: &Results) -> Judged {
        let (subject, ours, peer) = match &self.test {
            Test::NotYet { .. } => return self.without(Verdict::NotYet),
            Test::Faster { subject, ours, peers } => (*subject, *ours, best(results, subject, peers)),
            Test::Rate { subject, ours, peer } | Test::Times { subject, ours, peer } => (*subject, *ours, Some(*peer)),
            Test::AtMost { subject, ours, shown } => return self.alone(results, subject, ours, *shown),
            Test::Published { subject, ours, peer, per_second } => {
                return self.beside_published(results, (subject, ours), peer, *per_second);
            }
        };
        let ratio = peer.and_then(|peer| match self.test {
            Test::Faster { .. } => results.ratio(subject, peer, ours),
            _ => results.ratio(subject, ours, peer),
        });
        let Some((ratio, peer)) = ratio.zip(peer) else { return self.without(Verdict::NotMeasured) };
        Judged {
            line: self,
            verdict: self.verdict(ratio.median),
            ours: figure(results, subject, ours),
            peer: format!("{}: {}", peer, figure(results, subject, peer)),
            ratio: Some(ratio),
        }
    }

    fn alone(&'static self, results: &Results, subject: &str, ours: &str, shown: Option<(&str, &str)>) -> Judged {
        let spread = results.series(subject, ours).and_then(|series| Spread::of(&series.rounds));
        let Some(spread) = spread else { return self.without(Verdict::NotMeasured) };
        Judged {
            line: self,
            verdict: self.verdict(spread.median),
            ours: figure(results, subject, ours),
            peer: shown.map_or_else(String::new, |(of, name)| format!("{name}: {}", figure(results, of, name))),
            ratio: Some(spread),
        }
    }

    fn beside_published(&'static self, results: &Results, ours: (&str, &str), peer: &str, per_second: f64) -> Judged {
        let (subject, ours) = ours;
        let ratio = results
            .series(subject, ours)
            .and_then(|series| Spread::of(&series.rounds.iter().map(|figure| figure / per_second).collect::<Vec<_>>()));
        let Some(ratio) = ratio else { return self.without(Verdict::NotMeasured) };
        Judged {
            line: self,
            verdict: self.verdict(ratio.median),
            ours: figure(results, subject, ours),
            peer: format!("{peer}: {}, not measured here", quantity(per_second, Unit::PerSecond)),
            ratio: Some(ratio),
        }
    }

    fn without(&'static self, verdict: Verdict) -> Judged {
        Judged { line: self, verdict, ours: String::new(), peer: String::new(), ratio: None }
    }

    fn verdict(&self, figure: f64) -> Verdict {
        let reached = |goal: f64| if self.test.wants_more() { figure >= goal } else { figure <= goal };
        match (reached(self.star), reached(self.bar)) {
            (true, _) => Verdict::Star,
            (false, true) => Verdict::Bar,
            (false, false) => Verdict::Missed,
        }
    }

    /// Bar and star as they stand in the table.
    pub(super) fn goal(&self, value: f64) -> String {
        let value = number(value);
        let value = if value.contains('.') { value.trim_end_matches('0').trim_end_matches('.') } else { &value };
        match self.test {
            Test::AtMost { .. } => format!("≤ {value}"),
            Test::Times { .. } => format!("≤ {value}x"),
            _ => format!("{value}x"),
        }
    }
}

/// The peer with the lowest median.
fn best(results: &Results, subject: &str, peers: &'static [&'static str]) -> Option<&'static str> {
    let median = |name: &&str| results.series(subject, name).and_then(|series| Spread::of(&series.rounds));
    let known = peers.iter().filter_map(|name| Some((*name, median(name)?.median)));
    known.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(name, _)| name)
}

fn figure(results: &Results, subject: &str, name: &str) -> String {
    let series = results.series(subject, name);
    let spread = series.and_then(|series| Some((series.unit, Spread::of(&series.rounds)?)));
    spread.map_or_else(String::new, |(unit, spread)| quantity(spread.median, unit))
}

/// Refreshes per second that Keycloak's guide on sizing (Concepts for sizing CPU and memory resources)
/// reckons with for each vCPU of the cluster, tested by its authors up to 435 per second.
const KEYCLOAK: f64 = 120.0;

const MAPS: &[&str] = &["papaya, miss", "dashmap, miss", "scc, miss", "RwLock of hashbrown, miss"];

/// A line about tokens beside `jsonwebtoken`.
macro_rules! beside_jsonwebtoken {
    ($id:literal, $what:literal, $ours:literal, $peer:literal, $bar:literal, $star:literal) => {
        Line {
            id: $id,
            what: $what,
            test: Test::Faster { subject: "tokens", ours: $ours, peers: &[$peer] },
            bar: $bar,
            star: $star,
        }
    };
}

/// A line about time beside one peer of a subject.
macro_rules! faster {
    ($id:literal, $what:literal, $subject:literal, $ours:literal, $peer:literal, $bar:literal, $star:literal) => {
        Line {
            id: $id,
            what: $what,
            test: Test::Faster { subject: $subject, ours: $ours, peers: &[$peer] },
            bar: $bar,
            star: $star,
        }
    };
}

/// All lines, in the order of the page.
pub(super) const LINES: &[Line] = &[
    beside_jsonwebtoken!(
        "seen_before_eddsa",
        "seen-before token, verify + live check, 1k live, beside `jsonwebtoken` decode without revocation: EdDSA",
        "annul, 1k live, EdDSA",
        "jsonwebtoken, EdDSA",
        200.0,
        400.0
    ),
    beside_jsonwebtoken!(
        "seen_before_rs256",
        "the same: RS256",
        "annul, 1k live, RS256",
        "jsonwebtoken, RS256",
        120.0,
        220.0
    ),
    beside_jsonwebtoken!(
        "seen_before_es256",
        "the same: ES256",
        "annul, 1k live, ES256",
        "jsonwebtoken, ES256",
        300.0,
        650.0
    ),
    beside_jsonwebtoken!(
        "seen_before_hs256",
        "the same: HS256",
        "annul, 1k live, HS256",
        "jsonwebtoken, HS256",
        15.0,
        30.0
    ),
    beside_jsonwebtoken!(
        "seen_100k_eddsa",
        "the same with 100k live tokens drawn uniformly: EdDSA",
        "annul, 100k live, EdDSA",
        "jsonwebtoken, EdDSA",
        30.0,
        80.0
    ),
    beside_jsonwebtoken!(
        "seen_100k_hs256",
        "the same with 100k live tokens drawn uniformly: HS256",
        "annul, 100k live, HS256",
        "jsonwebtoken, HS256",
        2.5,
        6.0
    ),
    beside_jsonwebtoken!(
        "first_seen_hs256",
        "first-seen token, verify + check + insert, beside `jsonwebtoken` decode without revocation: HS256",
        "annul, first seen, HS256",
        "jsonwebtoken, first seen, HS256",
        1.5,
        2.0
    ),
    beside_jsonwebtoken!(
        "first_seen_eddsa",
        "the same: EdDSA",
        "annul, first seen, EdDSA",
        "jsonwebtoken, first seen, EdDSA",
        1.0,
        1.03
    ),
    beside_jsonwebtoken!(
        "first_seen_rs256",
        "the same: RS256",
        "annul, first seen, RS256",
        "jsonwebtoken, first seen, RS256",
        1.1,
        1.2
    ),
    faster!(
        "redis_eddsa",
        "seen-before token beside `jsonwebtoken` + Redis EXISTS, both ends on one core: EdDSA",
        "redis",
        "annul, 1k live, EdDSA",
        "jsonwebtoken and Redis, one core, EdDSA",
        200.0,
        500.0
    ),
    faster!(
        "redis_rs256",
        "the same: RS256",
        "redis",
        "annul, 1k live, RS256",
        "jsonwebtoken and Redis, one core, RS256",
        150.0,
        300.0
    ),
    faster!(
        "redis_hs256",
        "the same: HS256",
        "redis",
        "annul, 1k live, HS256",
        "jsonwebtoken and Redis, one core, HS256",
        60.0,
        120.0
    ),
    faster!(
        "fast_jwt_eddsa",
        "seen-before token beside fast-jwt's cache hit (Node, no revocation): EdDSA",
        "runtimes",
        "annul, 1k live, EdDSA",
        "fast-jwt, cache hit, EdDSA",
        10.0,
        30.0
    ),
    faster!(
        "fast_jwt_rs256",
        "the same: RS256",
        "runtimes",
        "annul, 1k live, RS256",
        "fast-jwt, cache hit, RS256",
        10.0,
        30.0
    ),
    faster!(
        "fast_jwt_es256",
        "the same: ES256",
        "runtimes",
        "annul, 1k live, ES256",
        "fast-jwt, cache hit, ES256",
        10.0,
        30.0
    ),
    faster!(
        "fast_jwt_hs256",
        "the same: HS256",
        "runtimes",
        "annul, 1k live, HS256",
        "fast-jwt, cache hit, HS256",
        10.0,
        30.0
    ),
    Line {
        id: "node_binding",
        what: "through the Node binding, beside fast-jwt's cache hit",
        test: Test::NotYet { because: "comes with the Node binding" },
        bar: 2.0,
        star: 4.0,
    },
    faster!(
        "check_alone",
        "check alone, 8 targets, beside one Redis EXISTS on one core",
        "redis",
        "annul, check of 8 targets",
        "Redis EXISTS, one core",
        50.0,
        300.0
    ),
    Line {
        id: "view_miss",
        what: "view miss, 2 readers, beside the best general concurrent map",
        test: Test::Faster { subject: "views", ours: "view, miss", peers: MAPS },
        bar: 3.0,
        star: 5.0,
    },
    Line {
        id: "readers_under_writes",
        what: "readers while 100,000 entries/s are applied, beside readers alone",
        test: Test::Times {
            subject: "writes",
            ours: "reader, 100k entries/s applied",
            peer: "reader, nothing written",
        },
        bar: 1.15,
        star: 1.05,
    },
    Line {
        id: "bytes_1m",
        what: "bytes per live revocation in memory, exact, 1M entries",
        test: Test::AtMost {
            subject: "bytes",
            ours: "view, bytes per entry, 1M entries",
            shown: Some(("redis", "Redis, bytes per key")),
        },
        bar: 48.0,
        star: 32.0,
    },
    Line {
        id: "bytes_10m",
        what: "the same, 10M entries",
        test: Test::AtMost {
            subject: "bytes",
            ours: "view, bytes per entry, 10M entries",
            shown: Some(("redis", "Redis, bytes per key")),
        },
        bar: 48.0,
        star: 32.0,
    },
    Line {
        id: "durable_one",
        what: "durable revoke over HTTP, one caller, beside the bare fdatasync rate",
        test: Test::Rate { subject: "durable", ours: "annul revoke, 1 caller", peer: "fdatasync of 8 kB" },
        bar: 0.7,
        star: 0.85,
    },
    Line {
        id: "durable_many",
        what: "durable revoke, 256 callers over HTTP, beside PostgreSQL one-row commits",
        test: Test::Rate {
            subject: "durable",
            ours: "annul revoke, 256 callers",
            peer: "PostgreSQL, one row per commit, 256 clients",
        },
        bar: 3.0,
        star: 5.0,
    },
    faster!(
        "introspection_get",
        "introspection at the gateway, full answer, seen-before token, server CPU beside an empty axum GET",
        "introspection",
        "annul, introspection at the gateway",
        "axum, empty GET",
        0.55,
        0.62
    ),
    faster!(
        "introspection_post",
        "the same beside an axum form POST stub",
        "introspection",
        "annul, introspection at the gateway",
        "axum, form POST",
        0.85,
        0.93
    ),
    faster!(
        "introspection_authority_get",
        "introspection at the authority beside an empty axum GET",
        "introspection",
        "annul, introspection at the authority",
        "axum, empty GET",
        0.55,
        0.62
    ),
    faster!(
        "introspection_authority_post",
        "the same beside an axum form POST stub",
        "introspection",
        "annul, introspection at the authority",
        "axum, form POST",
        0.85,
        0.93
    ),
    Line {
        id: "ext_authz",
        what: "ext_authz Check beside an empty tonic unary",
        test: Test::NotYet { because: "comes with the Envoy adapter" },
        bar: 0.9,
        star: 0.97,
    },
    Line {
        id: "fanout",
        what: "durable revoke to last of 1,000 followers, beside minimal axum SSE without a commit",
        test: Test::Times {
            subject: "fanout",
            ours: "annul, durable revoke to last",
            peer: "axum Sse, publish to last",
        },
        bar: 1.0,
        star: 0.65,
    },
    Line {
        id: "effect",
        what: "durable revoke to effective in a local verifier, p50, beside fdatasync + ping-pong",
        test: Test::Times { subject: "effect", ours: "annul, revoke to effective", peer: "fdatasync and ping-pong" },
        bar: 3.0,
        star: 1.5,
    },
    Line {
        id: "cold_file",
        what: "cold start, 10M entries, from the verifier's file, seconds",
        test: Test::AtMost { subject: "cold", ours: "verifier, from its file", shown: None },
        bar: 1.5,
        star: 1.0,
    },
    Line {
        id: "cold_http",
        what: "cold start, 10M entries, over loopback HTTP, seconds",
        test: Test::AtMost { subject: "cold", ours: "verifier, over loopback HTTP", shown: None },
        bar: 2.0,
        star: 1.1,
    },
    Line {
        id: "cold_bytes",
        what: "bytes per entry on the wire, 10M entries",
        test: Test::AtMost { subject: "cold", ours: "snapshot, bytes per entry", shown: None },
        bar: 22.0,
        star: 17.5,
    },
    faster!(
        "signing_eddsa",
        "signing an access token beside `jsonwebtoken` encode: EdDSA",
        "signing",
        "annul, EdDSA",
        "jsonwebtoken, EdDSA",
        1.3,
        1.6
    ),
    faster!("signing_rs256", "the same: RS256", "signing", "annul, RS256", "jsonwebtoken, RS256", 2.0, 2.2),
    faster!("signing_es256", "the same: ES256", "signing", "annul, ES256", "jsonwebtoken, ES256", 1.3, 1.5),
    Line {
        id: "login",
        what: "login beside the bare argon2 rate",
        test: Test::Rate { subject: "login", ours: "annul login, 2 callers", peer: "argon2id, 2 threads" },
        bar: 0.9,
        star: 0.97,
    },
    Line {
        id: "refresh",
        what: "refresh, durable, 256 callers, per core of two that server and callers share, beside Keycloak's published rate per vCPU",
        test: Test::Published {
            subject: "refresh",
            ours: "annul, 256 callers, per core",
            peer: "Keycloak, published",
            per_second: KEYCLOAK,
        },
        bar: 20.0,
        star: 50.0,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_name_of_its_own_and_a_star_beyond_its_bar() {
        let names: std::collections::BTreeSet<&str> = LINES.iter().map(|line| line.id).collect();
        assert_eq!(names.len(), LINES.len());
        for line in LINES {
            let wants_more = line.test.wants_more() || matches!(line.test, Test::NotYet { .. });
            assert_eq!(line.star > line.bar, wants_more, "{}", line.id);
        }
    }
}
