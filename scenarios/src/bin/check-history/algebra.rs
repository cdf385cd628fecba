//! The one rule by which tokens and sessions are judged, written down once more from its wording:
//! revoked iff for one of its targets always, or position > its position, or time > its time.

use serde_json::Value;

use crate::history::{Position, Token};

/// Claims that can be revoked by in a recorded history.
const CLAIM: &str = "tenant";

/// How far back an entry reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cutoff {
    Always,
    /// The entry's own position.
    Now(Position),
    /// Unix seconds.
    Before(u64),
}

impl Cutoff {
    /// The cutoff of an entry at `position`, as an answer shows it.
    pub(crate) fn shown(value: &Value, position: Position) -> Option<Self> {
        match value.as_str() {
            Some("always") => Some(Self::Always),
            Some("now") => Some(Self::Now(position)),
            _ => Some(Self::Before(value.get("before")?.as_u64()?)),
        }
    }

    /// Whether it reaches something of that position and time.
    pub(crate) fn reaches(self, position: Position, time: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Now(entry) => entry > position,
            Self::Before(cutoff) => cutoff > time,
        }
    }
}

/// What names a session, and with its key and id a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names<'a> {
    pub(crate) subject: Option<&'a str>,
    pub(crate) device: Option<&'a str>,
    pub(crate) client: Option<&'a str>,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) sid: Option<&'a str>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(token: &'a Token) -> Self {
        let claim = |name: &str| token.claims.get(name).and_then(Value::as_str);
        Self {
            subject: claim("sub"),
            device: claim("device_id"),
            client: claim("client_id"),
            tenant: claim(CLAIM),
            sid: claim("sid"),
        }
    }

    /// The targets, as text.
    pub(crate) fn targets(&self) -> Vec<String> {
        let mut targets = vec!["issuer".to_owned()];
        targets.extend(self.sid.map(|sid| format!("session:{sid}")));
        targets.extend(self.subject.map(|subject| format!("subject:{subject}")));
        targets.extend(self.client.map(|client| format!("client:{client}")));
        targets.extend(self.tenant.map(|tenant| format!("claim:{CLAIM}={tenant}")));
        let of_subject = |kind: &str, name: Option<&str>| Some(format!("{kind}:{}/{}", self.subject?, name?));
        targets.extend(of_subject("device", self.device));
        targets.extend(of_subject("subject_client", self.client));
        targets
    }
}

impl Token {
    /// Everything that names the token.
    pub(crate) fn targets(&self) -> Vec<String> {
        let mut targets = Names::of(self).targets();
        targets.push(format!("key:{}", self.kid));
        targets.push(format!("token:{}", self.jti()));
        targets
    }

    pub(crate) fn jti(&self) -> &str {
        self.claims.get("jti").and_then(Value::as_str).unwrap_or_default()
    }

    /// The position it carries; the first of all when it carries none.
    pub(crate) fn position(&self) -> Position {
        self.claims.get("lpos").and_then(|lpos| serde_json::from_value(lpos.clone()).ok()).unwrap_or_default()
    }

    /// When its user logged in.
    pub(crate) fn time(&self) -> u64 {
        let time = |name: &str| self.claims.get(name).and_then(Value::as_u64);
        time("auth_time").or_else(|| time("iat")).unwrap_or_default()
    }
}
