//! The suite that every store passes whole. A claim is a function over a [`Bench`];
//! [`store_conformance!`](crate::store_conformance) makes a test of each.
//!
//! Claims about a promise of the design carry its id: I2 durable, I3 dense, I6 snapshot and replay,
//! I8 no false refusal, I9 no issue past a revocation, I14 no use after one.

#![allow(clippy::unwrap_used, reason = "these are tests: what is unwrapped is what is claimed")]

mod credentials;
mod devices;
mod entries;
mod families;
mod groups;
mod lifts;
mod log;
mod lookup_ids;
mod names;
mod once;
mod races;
mod refresh;
mod schedules;
mod sessions;
mod subjects;
mod until;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use annul_core::algebra::{Cutoff, Reach};
use annul_core::settings::{ClaimNames, IssuerRecord, Settings};
use annul_core::target::{HashKey, Target};
use annul_core::time::{UnixMillis, UnixSeconds};
use serde_json::{Value, json};

pub use self::{
    credentials::*, devices::*, entries::*, families::*, groups::*, lifts::*, log::*, lookup_ids::*, names::*, once::*,
    races::*, refresh::*, schedules::*, sessions::*, subjects::*, until::*,
};
use super::{Appended, Genesis, Issuing, Limits, LogState, Opened, Refused, Revoke, Store, StoreError};
use crate::clock::{Clock, ManualClock};
use crate::model::{
    Act, Ancestor, Claims, ClientMetadata, ClientRecord, Descent, Device, IssuerConfig, KeyRecord, KeySource, KeyState,
    Login, NewRevocation, NewSession, Origin, ProofKey, SessionStatus, TokenFormat,
};

/// The log's issuer in the suite.
pub const OWN: &str = "https://auth.example";
/// A foreign issuer in the suite; [`Bench::with_foreign`] configures it.
pub const FOREIGN: &str = "https://idp.example";
/// When the suite begins: on a whole second.
pub const START: UnixMillis = UnixMillis(1_700_000_000_000);
/// The life of own tokens in the suite.
pub const LIFE: u64 = 900;
/// Leeway and skew in the suite.
pub const MARGIN: u64 = 60 + 5;

/// A store under test and the clock it reads.
pub struct Bench {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    _kept: Box<dyn Any + Send + Sync>,
}

impl Bench {
    /// An empty store; `kept` is dropped after it, such as the directory it lives in.
    pub fn new<S: Store + 'static, K: Any + Send + Sync>(make: impl FnOnce(Limits, Clock) -> (S, K)) -> Self {
        let clock = ManualClock::at(START);
        let limits = Limits { longest_session: 86_400, keep_lines: 3600, most_without_until: 3, ..Limits::default() };
        let (store, kept) = make(limits, Clock::from_source(clock.clone()));
        Self { store: Arc::new(store), clock, _kept: Box::new(kept) }
    }

    /// The same with a log.
    pub async fn with_log(self) -> Self {
        self.store.bootstrap(genesis()).await.unwrap();
        self
    }

    /// The same with a foreign issuer.
    pub async fn with_foreign(self) -> Self {
        self.store.put_issuer(act(), foreign_issuer(LIFE)).await.unwrap();
        self
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The wall clock.
    pub fn now(&self) -> UnixSeconds {
        use crate::clock::TimeSource as _;
        self.clock.wall().floor()
    }

    pub(super) async fn open(&self, sid: &str, subject: &str) -> Opened {
        self.store.open_session(act(), self.login(sid, subject)).await.unwrap()
    }

    /// A login at this moment: client `web`, device `phone`, role `reader`.
    pub(super) fn login(&self, sid: &str, subject: &str) -> NewSession {
        NewSession {
            sid: sid.to_owned(),
            subject: subject.to_owned(),
            client_id: Some("web".to_owned()),
            audience: vec!["api".to_owned()],
            scope: None,
            device: Some(Device { id: "phone".to_owned(), ..Device::default() }),
            auth_time: self.now(),
            life: 3600,
            idle_limit: None,
            claims: roles(&["reader"]),
            confirmation: None,
            format: TokenFormat::default(),
            origin: Origin::Login(Login::default()),
        }
    }

    /// A session that descends from these, judged at this moment.
    pub(super) async fn descendant(&self, sid: &str, subject: &str, ancestors: Vec<Ancestor>) -> NewSession {
        let judged = self.log().await.head.at;
        NewSession { origin: Origin::Descent(Descent::new(judged, ancestors)), ..self.login(sid, subject) }
    }

    pub(super) async fn revoke(&self, target: &str, cutoff: Cutoff, reach: Reach) -> Appended {
        self.try_revoke(target, cutoff, reach).await.unwrap()
    }

    pub(super) async fn try_revoke(&self, target: &str, cutoff: Cutoff, reach: Reach) -> Result<Appended, StoreError> {
        self.store.revoke(act(), revoke(vec![entry(target, cutoff, reach)])).await
    }

    pub(super) async fn status(&self, sid: &str) -> SessionStatus {
        self.store.session(sid).await.unwrap().unwrap().status
    }

    pub(super) async fn log(&self) -> LogState {
        self.store.log().await.unwrap()
    }
}

/// Makes a test of each claim, over the benches that an expression makes.
#[macro_export]
macro_rules! store_conformance {
    ($bench:expr) => {
        $crate::store_conformance! { $bench =>
            a_store_without_a_log_says_so
            a_log_begins_once
            i3_positions_are_dense_and_in_commit_order_under_eight_writers
            i3_what_was_told_as_committed_can_be_read
            i2_a_commit_is_told_before_it_is_answered
            i6_a_snapshot_is_what_replaying_the_lines_gives
            i8_a_login_right_after_log_out_everywhere_lives
            i9_no_snapshot_issues_past_a_concurrent_revocation
            i14_a_session_is_dead_once_its_revocation_is_acknowledged
            an_issuing_snapshot_gives_the_cells_its_plan_asks_for
            a_judging_snapshot_gives_cells_and_session_at_one_head
            lines_follow_from_the_position_asked_for
            a_follower_that_was_away_too_long_finds_no_base
            what_reaches_sessions_only_is_a_bare_noop
            a_failed_verb_leaves_no_trace
            the_audit_resolves_a_position
            the_audit_shows_the_newest_events_and_pages_from_the_first
            replicas_are_remembered_and_forgotten
            a_removed_account_and_a_removed_client_are_revoked_in_the_same_transaction
            a_session_carries_the_head_it_was_opened_at
            a_replaced_session_is_ended_by_an_entry_that_dates_the_new_one
            a_session_of_another_subject_cannot_be_replaced
            a_session_is_refused_where_it_could_not_be_used
            a_session_is_bounded_in_life_login_and_targets
            an_ended_session_is_found_by_nothing_and_ends_once
            a_session_expires_without_an_entry
            uses_are_noted_and_never_go_back
            now_reaches_what_was_there_before
            before_reaches_an_old_login_however_young_its_session
            each_target_of_a_session_reaches_it
            an_ancestors_revocation_reaches_the_session
            tx_5_what_reaches_an_ancestor_reaches_all_that_descends_from_it
            i9_a_session_is_dated_where_the_token_it_comes_from_was_judged
            access_and_sessions_are_held_apart
            a_kept_session_is_dated_at_the_entry
            keeping_a_revoked_session_ends_it_instead
            keeping_works_with_now_only
            claims_are_set_with_the_entry_that_ends_the_old_ones
            setting_claims_ends_what_was_revoked_before
            claims_are_set_in_each_of_many_sessions
            a_count_passes_over_what_is_over
            a_claim_reaches_sessions_by_when_their_claims_were_set
            a_claim_that_tokens_get_at_their_issue_reaches_access_only
            a_session_leaves_room_for_what_its_tokens_get
            a_subjects_claims_are_those_of_its_next_session
            a_blocked_subject_opens_no_session_and_unblocking_revives_nothing
            a_foreign_block_ends_in_a_now_and_a_lift
            a_version_is_set_with_the_entry_that_refuses_what_was_before
            a_repeated_change_of_a_subject_is_answered_and_not_repeated
            a_records_change_refuses_what_was_before_it_in_the_same_second
            a_session_stays_through_a_change_only_if_it_was_usable
            a_session_ends_with_a_change_once
            a_device_ends_with_a_change
            a_changed_credential_is_a_change_of_the_record
            a_login_is_dated_at_the_change_it_makes
            i9_no_snapshot_carries_a_version_past_its_change
            a_rehearsal_answers_as_the_real_run_and_changes_nothing
            what_cannot_be_meant_is_refused_by_name
            a_repetition_is_answered_and_not_repeated
            a_lift_revives_what_only_it_held_down
            a_lift_leaves_what_other_entries_hold
            a_lift_computes_access_and_sessions_apart
            a_lift_is_whole_or_not_at_all
            killed_keys_ended_sessions_and_states_entries_are_not_lifted
            until_outlasts_every_token_that_matches
            until_outlasts_tokens_from_when_lives_were_longer
            until_is_the_callers_only_where_it_is_longer
            what_only_a_lift_ends_is_counted_and_capped
            a_foreign_session_lapses_only_where_its_length_is_known
            clean_up_changes_no_answer
            a_killed_key_is_erased_and_unpublished
            keys_move_one_way
            issuers_are_published_replaced_and_removed
            settings_move_by_one_revision
            sessions_are_found_by_claims_that_became_targets
            accounts_and_clients_share_one_name_space
            a_removed_accounts_name_passes_on_nothing_of_its_user
            a_client_and_a_user_are_never_one_subject
            a_client_changes_in_all_but_its_id_secret_and_scopes
            a_scheduled_step_is_done_once_and_not_before_its_time
            a_refused_step_leaves_no_trace_and_is_not_tried_again
            a_cancelled_schedule_does_nothing_more
            schedules_are_listed_by_their_time_and_forgotten_when_over
            slices_part_the_live_sessions_by_their_logins
            slices_of_a_foreign_issuer_are_even_in_time
            what_bounded_the_verifiers_is_kept_as_it_changes
            a_changed_credential_leaves_the_kept_session_only
            a_session_of_somebody_else_is_not_kept
            a_kept_session_that_was_revoked_before_ends
            a_change_by_its_user_needs_the_credential_of_now
            a_login_needs_the_credential_of_now_and_carries_its_fingerprint
            i9_no_login_with_a_changed_password_outlives_the_change
            a_retired_id_finds_nobody_again
            a_lookup_id_is_changed_once_for_each_attempt
            a_new_lookup_id_is_no_way_out_of_a_block_or_a_ban
            a_new_lookup_id_is_no_way_out_of_a_schedule
            a_new_lookup_id_was_nobodys
            devices_tell_their_last_login_and_logout
            a_device_is_logged_out_when_its_last_session_ends
            an_entry_about_one_user_stays_and_its_groups_watermark_goes_out
            everything_else_travels_as_it_would_without_groups
            groups_begin_when_every_token_names_its_group
            groups_that_end_leave_their_claim_until_no_watermark_counts
            keys_of_subjects_change_with_the_entry_that_says_so
            an_id_is_used_once_in_its_realm
            of_two_who_use_an_id_at_once_one_is_first
            a_used_id_is_forgotten_only_when_nothing_with_it_can_be_accepted
            rt_1_a_credential_is_redeemed_once_and_moves_the_family_on
            rt_2_a_repetition_in_the_grace_gets_the_same_successor
            rt_2_a_repetition_is_by_the_same_asker_or_a_reuse
            rt_4_what_would_issue_nothing_changes_nothing
            rt_4_a_repetition_is_judged_again
            dp_5_a_redemption_binds_a_session_that_is_bound_to_no_key
            te_5_refusals_that_end_nothing
            rt_1_a_reuse_ends_the_session_and_no_other
            rt_6_a_reuse_of_an_expired_credential_is_told
            rt_2_a_repetition_from_elsewhere_is_an_alarm
            rt_3_without_a_grace_the_second_use_ends_the_session
            rt_2_a_sealed_successor_is_forgotten_when_its_grace_ends
            a_credential_is_redeemed_within_its_window_only
            an_access_token_is_exchanged_once
            a_repeated_opening_replaces_a_refresh_token_that_was_not_used
            rt_4_revoke_racing_refresh_ends_with_no_live_token
            rt_3_fifty_at_once_have_one_successor
        }
    };
    ($bench:expr => $($claim:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                $crate::store::conformance::$claim($bench).await;
            }
        )+
    };
}

pub(crate) fn genesis() -> Genesis {
    let hash_key = HashKey::from_bytes([7; 32]);
    Genesis {
        log: "log-under-test".to_owned(),
        settings: Settings {
            revision: 1,
            issuer: OWN.to_owned(),
            longest_life: LIFE,
            max_leeway: 60,
            clock_skew: 5,
            claims: vec!["roles".to_owned(), "scope".to_owned()],
            ask_on: Vec::new(),
            hash_key: hash_key.id(),
        },
        hash_key,
        sealed_feed_key: vec![1, 2, 3],
        groups: None,
        keys: vec![key("k1", KeyState::Active), key("k2", KeyState::Reserve)],
        clients: vec![client("admin")],
    }
}

pub(super) fn key(kid: &str, state: KeyState) -> KeyRecord {
    KeyRecord {
        kid: kid.to_owned(),
        thumbprint: format!("print-{kid}"),
        algorithm: "ES256".to_owned(),
        public: json!({"kty": "EC", "kid": kid}),
        sealed: vec![9; 4],
        state,
        created: START,
        published: None,
        changed: START,
    }
}

pub(super) fn client(client_id: &str) -> ClientRecord {
    ClientRecord {
        client_id: client_id.to_owned(),
        secret_hash: vec![5; 32],
        scopes: vec!["annul.admin".to_owned()],
        created: START,
        metadata: ClientMetadata::default(),
    }
}

pub(super) fn foreign_issuer(longest_life: u64) -> IssuerConfig {
    IssuerConfig {
        record: IssuerRecord {
            issuer: FOREIGN.to_owned(),
            keys: vec![json!({"kty": "EC", "kid": "f1"})],
            longest_life,
            skew: 0,
            requires_jti: false,
            claims: ClaimNames::default(),
            keys_due: None,
            removed: false,
        },
        source: KeySource::Given,
        longest_session: None,
        subjects: None,
    }
}

pub(super) fn act() -> Act {
    Act::new("tester", "test")
}

pub(super) fn target(text: &str) -> Target {
    Target::parse(text, OWN).unwrap()
}

pub(super) fn foreign(subject: &str) -> Target {
    Target::one(FOREIGN, annul_core::target::TargetKind::Subject, subject).unwrap()
}

pub(super) fn entry(text: &str, cutoff: Cutoff, reach: Reach) -> NewRevocation {
    NewRevocation { target: target(text), cutoff, reach, exp: None, until: None, reason: None }
}

pub(super) fn revoke(revocations: Vec<NewRevocation>) -> Revoke {
    Revoke { revocations, keep: None }
}

pub(super) fn roles(roles: &[&str]) -> Claims {
    let mut claims = Claims::new();
    claims.insert("roles".to_owned(), Value::from(roles.to_vec()));
    claims
}

#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Refused {
    match answer.unwrap_err() {
        StoreError::Refused(refused) => refused,
        other => panic!("not a refusal: {other}"),
    }
}

#[track_caller]
pub(super) fn assert_revoked(status: SessionStatus) {
    assert!(matches!(status, SessionStatus::Revoked(_)), "{status:?}");
}
