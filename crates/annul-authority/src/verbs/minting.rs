//! From a grant to a signed access token (RFC 9068).
//!
//! The one place that knows what stands in a token. Whoever mints has judged before, in the same
//! snapshot that the token's position comes from.

use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::target::{HashKey, Target, TargetKind};
use annul_core::time::UnixSeconds;
use annul_core::token::{self, Facts};
use serde_json::{Map, Value, json};

use crate::error::VerbError;
use crate::model::{Ancestor, AncestorName, Claims, GROUP_CLAIM, ProofKey, Session, SubjectState};
use crate::secrets::secret::Secret;
use crate::secrets::signing::SignsTokens;
use crate::store::LogState;

/// The `typ` of an access token.
const ACCESS_TOKEN: &str = "at+jwt";

/// What a token says of its bearer, whenever it is issued.
pub(crate) struct Grant<'a> {
    pub(crate) subject: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) audience: &'a [String],
    pub(crate) auth_time: UnixSeconds,
    pub(crate) scope: Option<&'a str>,
    pub(crate) session: Option<&'a Session>,
    /// The key whose holder alone may use the token.
    pub(crate) proof: Option<&'a ProofKey>,
    /// What the subject's state adds.
    pub(crate) state: Claims,
    /// The group its subject falls into.
    pub(crate) group: Option<u64>,
}

/// What a token says of its issue.
pub(crate) struct Stamp {
    pub(crate) position: Position,
    pub(crate) issued: UnixSeconds,
    pub(crate) expires: UnixSeconds,
    pub(crate) jti: String,
}

/// A token ready to be judged and signed.
pub(crate) struct Draft {
    claims: token::Claims,
    stamp: Stamp,
    pub(crate) facts: Facts,
}

impl<'a> Grant<'a> {
    /// The grant of a session in this log, with its claims and its subject's state as they are now.
    pub(crate) fn of_session(session: &'a Session, subject: &SubjectState, log: &LogState) -> Self {
        Self {
            subject: &session.subject,
            // Every session is opened with a client; an older row without one is its subject's own.
            client_id: session.client_id.as_deref().unwrap_or(&session.subject),
            audience: &session.audience,
            auth_time: session.auth_time,
            scope: session.scope.as_deref(),
            session: Some(session),
            proof: session.confirmation.as_ref(),
            state: subject.token_claims(),
            group: group(session, log),
        }
    }

    /// The token as it would be signed by the key `kid`.
    pub(crate) fn draft(
        &self,
        stamp: Stamp,
        kid: &str,
        settings: &Settings,
        hash_key: &HashKey,
    ) -> Result<Draft, VerbError> {
        let mut members = self.session.map(|session| session.claims.clone()).unwrap_or_default();
        members.extend(self.state.clone());
        let mut set = |name: &str, value: Value| {
            members.insert(name.to_owned(), value);
        };
        set("iss", settings.issuer.as_str().into());
        set("sub", self.subject.into());
        set("aud", if let [one] = self.audience { one.as_str().into() } else { self.audience.into() });
        set("client_id", self.client_id.into());
        set("auth_time", self.auth_time.0.into());
        if let Some(scope) = self.scope {
            set("scope", scope.into());
        }
        if let Some(group) = self.group {
            set(GROUP_CLAIM, group.into());
        }
        if let Some(proof) = self.proof {
            set("cnf", json!(proof));
        }
        if let Some(session) = self.session {
            if let Some(fingerprint) = &session.fingerprint {
                set("cfp", fingerprint.as_str().into());
            }
            set("sid", session.sid.as_str().into());
            if let Some(device) = &session.device {
                set("device_id", device.id.as_str().into());
            }
            if !session.ancestors.is_empty() {
                set("origin", session.ancestors.iter().map(origin).collect());
            }
        }
        Draft::of(members, stamp, kid, settings, hash_key)
    }
}

impl Draft {
    /// A draft with these members; those of the stamp are set here.
    pub(crate) fn of(
        mut members: Map<String, Value>,
        stamp: Stamp,
        kid: &str,
        settings: &Settings,
        hash_key: &HashKey,
    ) -> Result<Self, VerbError> {
        members.insert("iat".to_owned(), stamp.issued.0.into());
        members.insert("exp".to_owned(), stamp.expires.0.into());
        members.insert("jti".to_owned(), stamp.jti.as_str().into());
        members.insert("lpos".to_owned(), stamp.position.to_string().into());
        let claims = token::Claims::from_map(members).map_err(VerbError::Unissuable)?;
        let facts = Facts::for_issue(&claims, kid, settings, hash_key).map_err(VerbError::Unissuable)?;
        Ok(Self { claims, stamp, facts })
    }

    /// Signs the draft.
    pub(crate) fn sign(self, signer: &dyn SignsTokens) -> Result<Minted, VerbError> {
        let token = signer.sign_token(ACCESS_TOKEN, self.claims.map())?;
        Ok(Minted { token: Secret::new(token), stamp: self.stamp })
    }
}

/// A signed token.
pub(crate) struct Minted {
    pub(crate) token: Secret,
    pub(crate) stamp: Stamp,
}

fn group(session: &Session, log: &LogState) -> Option<u64> {
    let subject = Target::one(&log.settings.issuer, TargetKind::Subject, &session.subject).ok()?;
    Some(log.groups?.of(&subject.hash(&log.hash_key)))
}

fn origin(ancestor: &Ancestor) -> Value {
    match &ancestor.name {
        AncestorName::Sid(sid) => json!({ "iss": ancestor.issuer, "sid": sid }),
        AncestorName::Sub(subject) => json!({ "iss": ancestor.issuer, "sub": subject }),
    }
}
