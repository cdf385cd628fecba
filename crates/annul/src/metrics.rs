//! The names under which a verifier counts, for whatever recorder the process installs.
//!
//! | name | kind | labels | meaning |
//! |---|---|---|---|
//! | `annul_view_age_seconds` | gauge | | how old the view may be, as proven by the last round trip; absent before the first |
//! | `annul_view_entries` | gauge | | targets with something in force |
//! | `annul_view_sequence` | gauge | | the sequence of the applied position |
//! | `annul_view_live` | gauge | | 1 while within `max_staleness`, else 0 |
//! | `annul_decisions_total` | counter | `decision` (allow, deny, ask), `code` | what routes decided |
//! | `annul_cache_hits_total`, `annul_cache_misses_total` | counter | | facts found, and verified anew |
//! | `annul_cache_entries`, `annul_cache_bytes` | gauge | | what the facts take |
//! | `annul_resyncs_total` | counter | | snapshots asked for |
//! | `annul_asks_total` | counter | `answer` | questions to the authority, and those not asked for want of budget |
//! | `annul_feed_failures_total` | counter | `request` | requests of the feed without an answer |
//! | `annul_state_write_failures_total` | counter | | states that could not be stored |

// What nearly every request counts has labels that the compiler knows, so nothing is allocated for them.

pub(crate) fn allowed() {
    metrics::counter!("annul_decisions_total", "decision" => "allow", "code" => "ok").increment(1);
}

pub(crate) fn asked_about() {
    metrics::counter!("annul_decisions_total", "decision" => "ask", "code" => "asked").increment(1);
}

pub(crate) fn denied(code: &'static str) {
    metrics::counter!("annul_decisions_total", "decision" => "deny", "code" => code).increment(1);
}

pub(crate) fn cache_hit() {
    metrics::counter!("annul_cache_hits_total").increment(1);
}

pub(crate) fn cache_miss() {
    metrics::counter!("annul_cache_misses_total").increment(1);
}

pub(crate) fn resynchronised() {
    metrics::counter!("annul_resyncs_total").increment(1);
}

pub(crate) fn asked(answer: &'static str) {
    metrics::counter!("annul_asks_total", "answer" => answer).increment(1);
}

pub(crate) fn feed_failed(request: &'static str) {
    metrics::counter!("annul_feed_failures_total", "request" => request).increment(1);
}

pub(crate) fn state_not_written() {
    metrics::counter!("annul_state_write_failures_total").increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts stay far below 2^52")]
pub(crate) fn gauges(status: &crate::verifier::Status) {
    if let Some(age_ms) = status.age_ms {
        metrics::gauge!("annul_view_age_seconds").set(age_ms as f64 / 1000.0);
    }
    metrics::gauge!("annul_view_entries").set(status.entries as f64);
    metrics::gauge!("annul_view_sequence").set(status.position.map_or(0.0, |position| position.seq as f64));
    metrics::gauge!("annul_view_live").set(f64::from(u8::from(status.is_live())));
    metrics::gauge!("annul_cache_entries").set(status.cache_entries as f64);
    metrics::gauge!("annul_cache_bytes").set(status.cache_bytes as f64);
}
