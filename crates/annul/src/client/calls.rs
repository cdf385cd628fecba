//! One method per call. What each promises is the authority's to keep; here it is only named.

use std::time::Duration;

use annul_core::position::Position;
use http::Method;
use reqwest::Url;
use serde_json::{Value, json};

use super::revocation::{
    DryRun, Lift, LiftAnswer, RevocationAnswer, RevocationInfo, RevocationList, RevocationQuery, Revoke,
};
use super::types::{
    AddIssuer, AuditQuery, ChangePassword, CheckAnswer, CheckToken, ClientCredential, CredentialChanged, DeviceInfo,
    DeviceList, Introspection, KillKey, Login, Logout, LogoutScope, LookupIdAnswer, MachineToken, OpenSession, Reason,
    SessionInfo, SessionList, SetClaims, TokenAnswer,
};
use super::{AuthorityClient, Call, ClientError};
use crate::error::ConfigError;

/// How much longer than its own `wait` a confirmed call may take before it counts as unanswered.
const BEYOND_WAIT: Duration = Duration::from_secs(10);

/// Sessions and tokens.
impl AuthorityClient {
    /// Opens a session for a user whom the caller has authenticated.
    pub async fn open_session(&self, session: &OpenSession) -> Result<TokenAnswer, ClientError> {
        self.call(Call::new(Method::POST, "v1/sessions").json(session).once()).await
    }

    /// The session's next access token, with the claims as they are now. 403 `session_revoked` once
    /// the session is revoked.
    pub async fn next_token(&self, sid: &str) -> Result<TokenAnswer, ClientError> {
        let call = Call::new(Method::POST, path(&["v1", "sessions", sid, "token"])?).json(&json!({}));
        self.call(call.harmless()).await
    }

    /// A user's sessions.
    pub async fn sessions(&self, subject: &str) -> Result<Vec<SessionInfo>, ClientError> {
        let list: SessionList =
            self.call(Call::new(Method::GET, query("v1/sessions", &[("subject", subject)]))).await?;
        Ok(list.sessions)
    }

    /// One session.
    pub async fn session(&self, sid: &str) -> Result<SessionInfo, ClientError> {
        self.call(Call::new(Method::GET, path(&["v1", "sessions", sid])?)).await
    }

    /// Ends a session and revokes its tokens.
    pub async fn end_session(&self, sid: &str, because: &Reason) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::DELETE, reasoned(&path(&["v1", "sessions", sid])?, because));
        self.patient(because.wait).call(call.once()).await
    }

    /// Sets the claims of a user's sessions. Their tokens so far are revoked, the sessions live on.
    pub async fn set_claims(&self, subject: &str, claims: &SetClaims) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::PUT, path(&["v1", "subjects", subject, "claims"])?).json(claims);
        self.patient(claims.because.wait).call(call.once()).await
    }

    /// Blocks a user: logged out everywhere, and no login until unblocked.
    pub async fn block(&self, subject: &str, because: &Reason) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::POST, path(&["v1", "subjects", subject, "block"])?).json(because);
        self.patient(because.wait).call(call.once()).await
    }

    /// Lets a blocked user log in again. Revives nothing.
    pub async fn unblock(&self, subject: &str, because: &Reason) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, reasoned(&path(&["v1", "subjects", subject, "block"])?, because));
        self.patient(because.wait).call_without_answer(call.once()).await
    }

    /// Gives a user a new key, where tokens are signed with keys of their subjects: the signatures of the
    /// user's tokens fail, its sessions live on.
    pub async fn change_subject_key(&self, subject: &str, because: &Reason) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::POST, path(&["v1", "subjects", subject, "key"])?).json(because);
        self.patient(because.wait).call(call.once()).await
    }

    /// Makes a new secret for the keys of all users: every signature by the last one's keys fails.
    pub async fn change_subject_secret(&self, because: &Reason) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::POST, "v1/keys/subject-secret").json(because);
        self.patient(because.wait).call(call.once()).await
    }

    /// What the authority itself says of a token, computed after this question came in.
    pub async fn check_token(&self, check: &CheckToken) -> Result<CheckAnswer, ClientError> {
        self.call(Call::new(Method::POST, "v1/tokens/check").json(check).harmless()).await
    }

    /// RFC 7662 introspection.
    pub async fn introspect(&self, token: &str) -> Result<Introspection, ClientError> {
        self.call(Call::new(Method::POST, "oauth2/introspect").form(&[("token", token)]).harmless()).await
    }

    /// An access token for this client itself.
    pub async fn client_token(&self, scope: Option<&str>) -> Result<MachineToken, ClientError> {
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(scope.map(|scope| ("scope", scope)));
        self.call(Call::new(Method::POST, "oauth2/token").form(&fields).harmless()).await
    }

    /// Opens a session by the password of a built-in account. Needs no client credential. Where the answer is
    /// lost it is not sent again: each login that succeeds is a session.
    pub async fn login(&self, login: &Login) -> Result<TokenAnswer, ClientError> {
        self.call(Call::new(Method::POST, "v1/login").json(login)).await
    }

    /// Ends sessions by the user's own access token. Where the answer is lost only the end of the token's own
    /// session is asked for again: the others refuse the token that they have ended.
    pub async fn logout(&self, access_token: &str, logout: &Logout) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::POST, "v1/logout").json(logout).bearer(access_token)?;
        let call = if logout.scope == LogoutScope::Local { call.harmless() } else { call };
        self.patient(logout.wait).call(call).await
    }
}

/// Revocations.
impl AuthorityClient {
    /// Revokes. `Ok` means durable; `enforced_by` says from when it holds everywhere.
    pub async fn revoke(&self, revoke: &Revoke) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::POST, "v1/revocations").json(revoke);
        self.patient(revoke.because.wait).call(call.once()).await
    }

    /// What [`revoke`](Self::revoke) would do, by the same selection. Changes nothing.
    pub async fn dry_run(&self, revoke: &Revoke) -> Result<DryRun, ClientError> {
        let mut body = serde_json::to_value(revoke).map_err(|error| ClientError::Malformed(error.to_string()))?;
        body.as_object_mut().map(|body| body.insert("dry_run".to_owned(), Value::Bool(true)));
        self.call(Call::new(Method::POST, "v1/revocations").json(&body).harmless()).await
    }

    /// Lists revocations.
    pub async fn revocations(&self, wanted: &RevocationQuery) -> Result<Vec<RevocationInfo>, ClientError> {
        let (after, limit) = (text(wanted.after), text(wanted.limit));
        let fields = [("target", wanted.target.as_deref()), ("after", after.as_deref()), ("limit", limit.as_deref())];
        let list: RevocationList = self.call(Call::new(Method::GET, query_of("v1/revocations", &fields))).await?;
        Ok(list.revocations)
    }

    /// One revocation.
    pub async fn revocation(&self, position: Position) -> Result<RevocationInfo, ClientError> {
        self.call(Call::new(Method::GET, path(&["v1", "revocations", &position.to_string()])?)).await
    }

    /// Undoes revocations.
    pub async fn lift(&self, lift: &Lift) -> Result<LiftAnswer, ClientError> {
        let call = Call::new(Method::POST, "v1/revocations/lift").json(lift);
        self.patient(lift.because.wait).call(call.once()).await
    }
}

/// Keys, issuers, clients, accounts and the rest of administration.
impl AuthorityClient {
    /// The signing keys and their states.
    pub async fn keys(&self) -> Result<Value, ClientError> {
        self.get_json("v1/keys").await
    }

    /// Begins to sign with the next key; the present one stays valid for what it signed.
    pub async fn rotate_key(&self, algorithm: Option<&str>) -> Result<Value, ClientError> {
        let body = algorithm.map_or_else(|| json!({}), |algorithm| json!({ "algorithm": algorithm }));
        self.call(Call::new(Method::POST, "v1/keys/rotate").json(&body).once()).await
    }

    /// Kills a key: nothing it signed is accepted any more, also not what it signs later.
    pub async fn kill_key(&self, kid: &str, kill: &KillKey) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::POST, path(&["v1", "keys", kid, "kill"])?).json(kill);
        self.patient(kill.because.wait).call(call.once()).await
    }

    /// The accepted issuers.
    pub async fn issuers(&self) -> Result<Value, ClientError> {
        self.get_json("v1/issuers").await
    }

    /// Accepts another issuer, or replaces how it is accepted.
    pub async fn add_issuer(&self, issuer: &AddIssuer) -> Result<Value, ClientError> {
        self.call(Call::new(Method::POST, "v1/issuers").json(issuer).once()).await
    }

    /// Stops accepting an issuer.
    pub async fn remove_issuer(&self, issuer: &str) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, query("v1/issuers", &[("issuer", issuer)]));
        self.call_without_answer(call.once()).await
    }

    /// The clients, without their secrets.
    pub async fn clients(&self) -> Result<Value, ClientError> {
        self.get_json("v1/clients").await
    }

    /// Adds a client. Its secret is in this answer and nowhere else, so where the answer is lost the call is not
    /// sent again: remove the client and add it anew.
    pub async fn add_client(&self, id: &str, scopes: &[&str]) -> Result<ClientCredential, ClientError> {
        let body = json!({ "client_id": id, "scopes": scopes });
        self.call(Call::new(Method::POST, "v1/clients").json(&body)).await
    }

    /// Removes a client.
    pub async fn remove_client(&self, id: &str) -> Result<(), ClientError> {
        self.call_without_answer(Call::new(Method::DELETE, path(&["v1", "clients", id])?).once()).await
    }

    /// Adds a built-in account.
    pub async fn add_account(&self, username: &str, password: &str) -> Result<Value, ClientError> {
        let body = json!({ "username": username, "password": password });
        self.call(Call::new(Method::POST, "v1/accounts").json(&body).once()).await
    }

    /// A built-in account.
    pub async fn account(&self, username: &str) -> Result<Value, ClientError> {
        self.get_json(&path(&["v1", "accounts", username])?).await
    }

    /// Removes a built-in account.
    pub async fn remove_account(&self, username: &str) -> Result<(), ClientError> {
        self.call_without_answer(Call::new(Method::DELETE, path(&["v1", "accounts", username])?).once()).await
    }

    /// Sets an account's password and logs the account out everywhere.
    pub async fn set_password(&self, username: &str, password: &str) -> Result<(), ClientError> {
        let call = Call::new(Method::PUT, path(&["v1", "accounts", username, "password"])?);
        self.call_without_answer(call.json(&json!({ "password": password })).once()).await
    }

    /// Changes an account's password for its user, who proves the present one, and logs the account out
    /// everywhere but on the session `keep`, whose next token is in the answer. Needs no credential.
    pub async fn change_password(
        &self,
        username: &str,
        change: &ChangePassword,
    ) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::POST, path(&["v1", "accounts", username, "password"])?).json(change);
        self.patient(change.wait).call(call.once()).await
    }

    /// Says that the credential of a user changed whom the caller authenticates: logged out everywhere
    /// but on the session `keep`, whose next token is in the answer; later tokens carry another `cfp`.
    pub async fn credential_changed(
        &self,
        subject: &str,
        change: &CredentialChanged,
    ) -> Result<RevocationAnswer, ClientError> {
        let call = Call::new(Method::POST, path(&["v1", "subjects", subject, "credential-changed"])?).json(change);
        self.patient(change.because.wait).call(call.once()).await
    }

    /// Gives a user another id and retires the old one for good; the new one is in the answer.
    pub async fn change_lookup_id(&self, subject: &str, because: &Reason) -> Result<LookupIdAnswer, ClientError> {
        let call = Call::new(Method::POST, path(&["v1", "subjects", subject, "lookup-id"])?).json(because);
        self.patient(because.wait).call(call.once()).await
    }

    /// A user's devices with their last login and logout, the newest login first.
    pub async fn devices(&self, subject: &str) -> Result<Vec<DeviceInfo>, ClientError> {
        let list: DeviceList =
            self.call(Call::new(Method::GET, path(&["v1", "subjects", subject, "devices"])?)).await?;
        Ok(list.devices)
    }

    /// Events of the audit log, the newest of them last.
    pub async fn audit(&self, wanted: &AuditQuery) -> Result<Value, ClientError> {
        let (after, limit, position) = (text(wanted.after), text(wanted.limit), text(wanted.position));
        let fields = [
            ("after", after.as_deref()),
            ("limit", limit.as_deref()),
            ("position", position.as_deref()),
            ("target", wanted.target.as_deref()),
        ];
        self.get_json(&query_of("v1/audit", &fields)).await
    }

    /// The settings of the log.
    pub async fn settings(&self) -> Result<Value, ClientError> {
        self.get_json("v1/settings").await
    }

    /// Replaces the settings of the log.
    pub async fn set_settings(&self, settings: &Value) -> Result<Value, ClientError> {
        self.call(Call::new(Method::PUT, "v1/settings").json(settings).once()).await
    }

    /// Has every connected verifier judge a canary token before and after it is revoked.
    pub async fn doctor(&self, wait: Duration) -> Result<Value, ClientError> {
        let because = Reason { reason: None, wait: Some(wait) };
        self.patient(Some(wait)).call(Call::new(Method::POST, "v1/doctor").json(&because)).await
    }

    /// This client with a deadline that outlasts what the call itself is asked to wait for.
    fn patient(&self, wait: Option<Duration>) -> Self {
        let needed = wait.map_or(Duration::ZERO, |wait| wait + BEYOND_WAIT);
        self.within(self.within.max(needed))
    }
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// A path of segments, each percent-encoded: a subject may hold slashes.
fn path(segments: &[&str]) -> Result<String, ClientError> {
    // URLs drop dot segments even when they are encoded: the call would reach another resource.
    if let Some(segment) = segments.iter().find(|segment| matches!(**segment, "" | "." | "..")) {
        return Err(ConfigError::Address((*segment).to_owned()).into());
    }
    let mut url = Url::parse("http://path").expect("a constant URL");
    url.path_segments_mut().expect("an http URL has segments").extend(segments);
    Ok(url.path().trim_start_matches('/').to_owned())
}

fn query(path: &str, fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://query").expect("a constant URL");
    url.query_pairs_mut().extend_pairs(fields);
    format!("{path}?{}", url.query().unwrap_or_default())
}

fn query_of(path: &str, fields: &[(&str, Option<&str>)]) -> String {
    let given: Vec<_> = fields.iter().filter_map(|(name, value)| value.map(|value| (*name, value))).collect();
    if given.is_empty() { path.to_owned() } else { query(path, &given) }
}

fn reasoned(path: &str, because: &Reason) -> String {
    let wait = because.wait.map(|wait| format!("{}ms", wait.as_millis()));
    query_of(path, &[("reason", because.reason.as_deref()), ("wait", wait.as_deref())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_cannot_leave_its_path_segment() {
        assert_eq!(path(&["v1", "subjects", "a/../b?c#d", "block"]).unwrap(), "v1/subjects/a%2F..%2Fb%3Fc%23d/block");
        assert!([".", "..", ""].iter().all(|subject| path(&["v1", "subjects", subject, "block"]).is_err()));
        assert_eq!(query("v1/sessions", &[("subject", "a&b=c")]), "v1/sessions?subject=a%26b%3Dc");
        assert_eq!(query_of("v1/audit", &[("after", None)]), "v1/audit");
    }
}
