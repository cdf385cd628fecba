//! A client: it does one thing after another at random, and writes down each.

use std::sync::Arc;

use reqwest::Method;
use scenarios::Dice;
use serde_json::{Value, json};

use crate::notebook::{Came, Notebook, Sent};
use crate::shared::{Address, Held, Shared, locked, readable};

/// Few enough names that clients meet.
const SUBJECTS: u64 = 24;
const DEVICES: u64 = 2;
const TENANTS: u64 = 3;
/// Tokens that are shown to a verifier one after another.
const BURST: u64 = 6;

/// One client.
pub(crate) struct Client {
    shared: Arc<Shared>,
    notes: Notebook,
    dice: Dice,
    accounts: u64,
}

/// What becomes of an account in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    There,
    Removed,
}

/// A revoking call: what is sent, and what else belongs on its line.
struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
    about: Value,
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>, notes: Notebook, dice: Dice) -> Self {
        Self { shared, notes, dice, accounts: 0 }
    }

    /// Works until it is told that all is over.
    pub(crate) async fn work(mut self) {
        while !self.shared.is_over() {
            self.shared.up().await;
            // Of a thousand steps; the rest of them are checks, as with any service.
            match self.dice.below(1000) {
                0..160 => drop(self.open().await),
                160..280 => self.next().await,
                280..330 => self.revoke_targets(json!("now"), "both").await,
                330..345 => self.revoke_targets(json!("now"), "sessions").await,
                345..360 => self.revoke_targets(json!("now"), "access").await,
                360..375 => self.revoke_before().await,
                375..395 => self.revoke_token().await,
                395..425 => self.end_session().await,
                425..440 => self.keep_one().await,
                440..455 => self.log_out().await,
                455..460 => self.log_out_everyone().await,
                460..470 => self.revoke_claim_and_lift().await,
                470..495 => self.lift().await,
                495..505 => self.block_and_unblock().await,
                505..520 => self.revoke_and_wait().await,
                520..526 => self.change_key().await,
                526..529 => self.keep_account(Afterwards::Removed).await,
                529..532 => self.keep_account(Afterwards::There).await,
                _ => self.check_some().await,
            }
        }
    }

    /// Each thing once, undisturbed, so that every history has a case of it.
    pub(crate) async fn do_each(&mut self) {
        for _ in 0..SUBJECTS {
            let _ = self.open().await;
        }
        self.log_out_everyone().await;
        self.revoke_targets(json!("now"), "both").await;
        self.revoke_targets(json!("now"), "sessions").await;
        self.end_session().await;
        self.keep_one().await;
        self.revoke_claim_and_lift().await;
        self.block_and_unblock().await;
        self.revoke_and_wait().await;
        self.kill_a_key().await;
        self.keep_account(Afterwards::Removed).await;
        self.keep_account(Afterwards::There).await;
    }

    /// A token by a key that signs before every verifier can have heard of it, for both keys that were heard of
    /// are killed.
    pub(crate) async fn outrun_the_keys(&mut self) -> Held {
        for _ in 0..2 {
            let held = self.open_for_someone().await.expect("not everybody is shut out");
            self.kill_key_of(&held).await;
        }
        self.open_for_someone().await.expect("not everybody is shut out")
    }

    /// Everything once more when nothing is broken any more: whatever holds then has to hold.
    pub(crate) async fn go_over(mut self) {
        for _ in 0..SUBJECTS {
            let _ = self.open().await;
        }
        let _ = self.open_for_someone().await;
        for held in self.shared.all_held() {
            self.take_next(&held).await;
            self.check_everywhere(&held).await;
        }
    }

    fn subject(&mut self) -> String {
        format!("user-{}", self.dice.below(SUBJECTS))
    }

    async fn open(&mut self) -> Option<Held> {
        let subject = self.subject();
        self.open_for(&subject).await
    }

    async fn open_for(&mut self, subject: &str) -> Option<Held> {
        let device = format!("device-{}", self.dice.below(DEVICES));
        let tenant = format!("tenant-{}", self.dice.below(TENANTS));
        let body = json!({"subject": subject, "device": {"id": &device}, "claims": {"tenant": &tenant}});
        self.open_with(body, json!({"how": "open", "subject": subject, "device": device, "tenant": tenant})).await
    }

    /// For somebody of no tenant. A kill between a block, or the revocation of a claim, and what takes it back
    /// leaves subjects and tenants shut out.
    async fn open_for_someone(&mut self) -> Option<Held> {
        for _ in 0..SUBJECTS {
            let subject = self.subject();
            let body = json!({"subject": subject});
            if let Some(held) = self.open_with(body, json!({"how": "open", "subject": subject})).await {
                return Some(held);
            }
        }
        None
    }

    async fn open_with(&mut self, body: Value, about: Value) -> Option<Held> {
        let (id, sent) = (self.notes.next_id(), self.notes.now());
        let came = self.shared.ask(Method::POST, "/v1/sessions", Some(body), None).await;
        self.note_issue(&id, sent, &came, about)
    }

    async fn next(&mut self) {
        if let Some(held) = self.shared.any_held(&mut self.dice) {
            self.take_next(&held).await;
        }
    }

    async fn take_next(&mut self, held: &Held) {
        let (id, sent) = (self.notes.next_id(), self.notes.now());
        let came =
            self.shared.ask(Method::POST, &format!("/v1/sessions/{}/token", held.sid), Some(json!({})), None).await;
        self.note_issue(&id, sent, &came, json!({"how": "next", "subject": held.subject, "sid": held.sid}));
    }

    /// Writes an issue down and remembers the token, if one came.
    fn note_issue(&mut self, id: &str, sent: Sent, came: &Came, mut about: Value) -> Option<Held> {
        let token = came.text("access_token").filter(|_| came.is_done());
        if let Some(token) = &token {
            about["token"] = readable(token);
            about["position"] = about["token"]["claims"]["lpos"].clone();
            about["sid"] = about["token"]["claims"]["sid"].clone();
        }
        if let Some(position) = came.text("position").filter(|_| came.is_done() && about["how"] != "keep") {
            about["position"] = json!(position);
        }
        self.notes.note("issue", id, sent, came, about.clone());
        let claim = |name: &str| about["token"]["claims"][name].as_str().unwrap_or_default().to_owned();
        let held = Held { token: token?, sid: claim("sid"), subject: claim("sub"), jti: claim("jti") };
        self.shared.hold(held.clone());
        Some(held)
    }

    /// A revoking call, repeated under the same key until it is answered.
    async fn revoke(&mut self, verb: &str, reason: &str, call: Call) -> Came {
        let key = self.notes.next_id();
        loop {
            let (id, sent) = (self.notes.next_id(), self.notes.now());
            let came = self.shared.ask(call.method.clone(), &call.path, call.body.clone(), Some(&key)).await;
            self.note_revoke(verb, &id, Some(reason), sent, &came, &call.about);
            if came.status.is_some() || self.shared.is_over() {
                return came;
            }
            self.shared.up().await;
        }
    }

    fn note_revoke(&mut self, verb: &str, id: &str, reason: Option<&str>, sent: Sent, came: &Came, about: &Value) {
        let mut line = json!({"verb": verb, "reason": reason, "position": came.body.get("position")});
        line.as_object_mut().expect("an object").extend(about.as_object().cloned().unwrap_or_default());
        if came.is_done() {
            line["entries"] = came.body["revocations"].clone();
            line["kept"] = came.body.get("kept").cloned().unwrap_or_default();
            let confirmation = &came.body["confirmation"];
            let names = confirmation["verifiers"].as_array().into_iter().flatten().map(|verifier| &verifier["name"]);
            if confirmation["confirmed"] == true {
                line["confirmed"] = names.cloned().collect();
            }
            for entry in came.body["revocations"].as_array().into_iter().flatten() {
                self.shared.revoked(entry["position"].as_str().unwrap_or_default().to_owned());
            }
        } else {
            // An error may name the position of what stands in the way; it acknowledges none.
            line["position"] = Value::Null;
        }
        self.notes.note("revoke", id, sent, came, line);
    }

    fn reason(&mut self) -> String {
        format!("because-{}", self.notes.next_id())
    }

    async fn revoke_with(&mut self, mut body: Value, about: Value) -> Came {
        let reason = self.reason();
        body["reason"] = json!(reason);
        let call = Call { method: Method::POST, path: "/v1/revocations".to_owned(), body: Some(body), about };
        self.revoke("revoke", &reason, call).await
    }

    async fn revoke_targets(&mut self, cutoff: Value, reach: &str) {
        let (subject, device) = (self.subject(), self.dice.below(DEVICES));
        let targets = match self.dice.below(6) {
            0..3 => json!([format!("subject:{subject}")]),
            3 => json!([format!("device:{subject}/device-{device}")]),
            4 => json!([format!("subject_client:{subject}/admin")]),
            _ => json!([
                format!("device:{subject}/device-{device}"),
                format!("claim:tenant=tenant-{}", self.dice.below(TENANTS))
            ]),
        };
        self.revoke_with(json!({"targets": targets, "cutoff": cutoff, "reach": reach}), json!({})).await;
        let _ = self.open_for(&subject).await;
    }

    async fn revoke_before(&mut self) {
        let subject = self.subject();
        let body = json!({"targets": [format!("subject:{subject}")], "cutoff": {"before": scenarios::now()}});
        self.revoke_with(body, json!({})).await;
    }

    async fn revoke_token(&mut self) {
        if let Some(held) = self.shared.any_held(&mut self.dice) {
            self.revoke_with(json!({"token": held.token}), json!({})).await;
            let verifier = self.verifier();
            self.check(verifier, &held).await;
        }
    }

    async fn end_session(&mut self) {
        let Some(held) = self.shared.any_held(&mut self.dice) else { return };
        let reason = self.reason();
        let path = format!("/v1/sessions/{}?reason={reason}", held.sid);
        let call = Call { method: Method::DELETE, path, body: None, about: json!({"sid": held.sid}) };
        self.revoke("end", &reason, call).await;
        self.take_next(&held).await;
        let verifier = self.verifier();
        self.check(verifier, &held).await;
    }

    async fn keep_one(&mut self) {
        let Some(held) = self.shared.any_held(&mut self.dice) else { return };
        let body = json!({"targets": [format!("subject:{}", held.subject)], "keep": held.sid});
        let sent = self.notes.now();
        let came = self.revoke_with(body, json!({"keep": held.sid})).await;
        if came.text("access_token").is_some() {
            let id = self.notes.next_id();
            self.note_issue(&id, sent, &came, json!({"how": "keep", "subject": held.subject, "sid": held.sid}));
        }
        self.take_next(&held).await;
    }

    /// Logs out with the token itself. It takes no reason and no key, so it is not repeated.
    async fn log_out(&mut self) {
        let Some(held) = self.shared.any_held(&mut self.dice) else { return };
        let scope = *self.dice.one_of(&["local", "others", "global"]).expect("there are three");
        let (id, sent) = (self.notes.next_id(), self.notes.now());
        let url = format!("{}/v1/logout", self.shared.authority());
        let came = self.shared.bear(&url, &held.token, Some(json!({"scope": scope}))).await;
        let (verb, about) = match scope {
            "local" => ("end", json!({"sid": held.sid})),
            "others" => ("log_out", json!({"keep": held.sid})),
            _ => ("log_out", json!({})),
        };
        self.note_revoke(verb, &id, None, sent, &came, &about);
        if came.text("access_token").is_some() {
            let id = self.notes.next_id();
            self.note_issue(&id, sent, &came, json!({"how": "keep", "subject": held.subject, "sid": held.sid}));
        }
    }

    /// "Log out everyone", and a login right after it.
    async fn log_out_everyone(&mut self) {
        self.revoke_with(json!({"targets": ["issuer"]}), json!({})).await;
        if let Some(held) = self.open_for_someone().await {
            self.check_everywhere(&held).await;
        }
    }

    async fn revoke_claim_and_lift(&mut self) {
        let target = format!("claim:tenant=tenant-{}", self.dice.below(TENANTS));
        let came = self.revoke_with(json!({"targets": [target], "cutoff": "always"}), json!({})).await;
        let _ = self.open().await;
        if let Some(position) = came.text("position").filter(|_| came.is_done()) {
            self.lift_at(position).await;
        }
    }

    async fn lift(&mut self) {
        if let Some(position) = self.shared.any_revocation(&mut self.dice) {
            self.lift_at(position).await;
        }
    }

    async fn lift_at(&mut self, position: String) {
        let (id, sent) = (self.notes.next_id(), self.notes.now());
        let body = json!({"positions": [position], "reason": id});
        let came = self.shared.ask(Method::POST, "/v1/revocations/lift", Some(body), None).await;
        let at = came.body.get("position").filter(|_| came.is_done());
        self.notes.note("lift", &id, sent, &came, json!({"positions": [position], "position": at}));
    }

    async fn block_and_unblock(&mut self) {
        let subject = self.subject();
        let (block, unblock) = (self.reason(), self.reason());
        let path = format!("/v1/subjects/{subject}/block");
        let about = json!({"subject": subject});
        let call = Call {
            method: Method::POST,
            path: path.clone(),
            body: Some(json!({"reason": block})),
            about: about.clone(),
        };
        self.revoke("block", &block, call).await;
        let _ = self.open_for(&subject).await;
        let call = Call { method: Method::DELETE, path: format!("{path}?reason={unblock}"), body: None, about };
        self.revoke("unblock", &unblock, call).await;
        let _ = self.open_for(&subject).await;
    }

    /// A revocation whose answer waits for the verifiers; after it they have to know.
    async fn revoke_and_wait(&mut self) {
        let Some(held) = self.open_for_someone().await else { return };
        self.check_everywhere(&held).await;
        let body = json!({"targets": [format!("session:{}", held.sid)], "wait": "3s"});
        self.revoke_with(body, json!({"sid": held.sid})).await;
        self.check_everywhere(&held).await;
    }

    async fn change_key(&mut self) {
        let (id, sent) = (self.notes.next_id(), self.notes.now());
        let came = self.shared.ask(Method::POST, "/v1/keys/rotate", Some(json!({"reason": id})), None).await;
        let of = |name: &str| came.body.get(name).filter(|_| came.is_done());
        self.notes.note("rotate", &id, sent, &came, json!({"active": of("active"), "position": of("position")}));
        if self.dice.below(2) == 0 {
            self.kill_a_key().await;
        }
    }

    async fn kill_a_key(&mut self) {
        if let Some(held) = self.shared.any_held(&mut self.dice) {
            self.kill_key_of(&held).await;
            let _ = self.open().await;
        }
    }

    async fn kill_key_of(&mut self, held: &Held) {
        let kid = readable(&held.token)["kid"].as_str().unwrap_or_default().to_owned();
        let reason = self.reason();
        let path = format!("/v1/keys/{kid}/kill");
        let call = Call { method: Method::POST, path, body: Some(json!({"reason": reason})), about: json!({}) };
        self.revoke("kill_key", &reason, call).await;
    }

    /// The life of an account: made, its password changed, and perhaps removed.
    async fn keep_account(&mut self, afterwards: Afterwards) {
        self.accounts += 1;
        let username = format!("holder-{}-{}", self.notes.next_id(), self.accounts);
        let password = |generation: u64| format!("{username} has password {generation}");
        for generation in [1, 2] {
            locked(&self.shared.secrets).add("a password", password(generation));
        }
        let make = json!({"username": username, "password": password(1)});
        self.set_password(Method::POST, "/v1/accounts".to_owned(), Some(make), &username, Some(1)).await;
        self.log_in(&username, &password(1), 1).await;
        let path = format!("/v1/accounts/{username}");
        let change = json!({"password": password(2)});
        self.set_password(Method::PUT, format!("{path}/password"), Some(change), &username, Some(2)).await;
        self.log_in(&username, &password(1), 1).await;
        self.log_in(&username, &password(2), 2).await;
        if afterwards == Afterwards::Removed {
            self.set_password(Method::DELETE, path, None, &username, None).await;
            self.log_in(&username, &password(2), 2).await;
        }
    }

    async fn set_password(
        &mut self,
        method: Method,
        path: String,
        body: Option<Value>,
        username: &str,
        generation: Option<u64>,
    ) {
        let (id, sent) = (self.notes.next_id(), self.notes.now());
        let came = self.shared.ask(method, &path, body, None).await;
        self.notes.note("password", &id, sent, &came, json!({"username": username, "generation": generation}));
        if came.body.get("revocations").is_some() {
            let id = self.notes.next_id();
            self.note_revoke("password", &id, None, sent, &came, &json!({}));
        }
        self.shared.up().await;
    }

    async fn log_in(&mut self, username: &str, password: &str, generation: u64) {
        let (id, sent) = (self.notes.next_id(), self.notes.now());
        let body = json!({"username": username, "password": password});
        let came = self.shared.ask(Method::POST, "/v1/login", Some(body), None).await;
        self.notes.note("login", &id, sent, &came, json!({"username": username, "generation": generation}));
        if came.is_done() {
            let id = self.notes.next_id();
            self.note_issue(&id, sent, &came, json!({"how": "login", "subject": username}));
        }
        self.shared.up().await;
    }

    fn verifier(&mut self) -> usize {
        let count = u64::try_from(self.shared.verifiers.len()).expect("there are few");
        usize::try_from(self.dice.below(count)).expect("there are few")
    }

    async fn check_some(&mut self) {
        let verifier = self.verifier();
        for _ in 0..=self.dice.below(BURST) {
            let Some(held) = self.shared.any_held(&mut self.dice) else { return };
            self.check(verifier, &held).await;
        }
    }

    pub(crate) async fn check_everywhere(&mut self, held: &Held) {
        for verifier in 0..self.shared.verifiers.len() {
            self.check(verifier, held).await;
        }
    }

    async fn check(&mut self, verifier: usize, held: &Held) {
        let shared = Arc::clone(&self.shared);
        let Address { name, path, .. } = &shared.verifiers[verifier];
        let url = format!("{}{path}", shared.verifiers[verifier].url());
        let (id, sent) = (self.notes.next_id(), self.notes.now());
        let came = shared.bear(&url, &held.token, None).await;
        // Nothing was seen when the line broke.
        if came.status.is_some() {
            self.notes.note("check", &id, sent, &came, json!({"verifier": name, "jti": held.jti}));
        }
    }
}
