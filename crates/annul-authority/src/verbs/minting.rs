//! From a grant to a signed access token (RFC 9068).
//!
//! The one place that knows what stands in a token. Whoever mints has judged before, in the same
//! snapshot that the token's position comes from.

use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::target::HashKey;
use annul_core::time::UnixSeconds;
use annul_core::token::{self, Facts};
use serde_json::{Map, Value, json};

use crate::error::VerbError;
use crate::model::{Ancestor, Claims, GROUP_CLAIM, ProofKey, Session, SubjectState, TokenFormat};
use crate::secrets::reference_token::ReferenceToken;
use crate::secrets::sealing::MasterKey;
use crate::secrets::secret::Secret;
use crate::secrets::signing::SignsTokens;
use crate::store::LogState;

/// The `typ` of an access token.
const ACCESS_TOKEN: &str = "at+jwt";
/// What stands in the place of a key's name for tokens that no key signs.
pub(crate) const REFERENCE_KEY: &str = "reference";

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
    /// The groups of the users whose sessions it descends from, its own subject's first.
    pub(crate) groups: Vec<u64>,
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
            groups: log.groups_of(session),
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
        match *self.groups {
            [] => {}
            [one] => set(GROUP_CLAIM, one.into()),
            ref several => set(GROUP_CLAIM, several.into()),
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
            if let Some(actor) = &session.actor {
                set("act", actor.clone());
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

    /// The token of a session in the session's format: signed, or a reference.
    pub(crate) fn mint(
        self,
        session: &Session,
        signer: &dyn SignsTokens,
        master: &MasterKey,
    ) -> Result<Minted, VerbError> {
        match session.format {
            TokenFormat::Jwt => self.sign(signer),
            TokenFormat::Reference => {
                let token = ReferenceToken::text(&session.sid, &self.stamp, master);
                Ok(Minted { token: token.ok_or(VerbError::SessionUnknown)?, stamp: self.stamp })
            }
        }
    }

    /// What the token would say.
    pub(crate) fn members(&self) -> &Map<String, Value> {
        self.claims.map()
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

/// The name of what vouches for a session's next token, where `kid` signs those that are signed.
pub(crate) fn key_name<'k>(session: &Session, kid: &'k str) -> &'k str {
    match session.format {
        TokenFormat::Jwt => kid,
        TokenFormat::Reference => REFERENCE_KEY,
    }
}

fn origin(ancestor: &Ancestor) -> Value {
    let names = [("iss", Some(&ancestor.issuer)), ("sid", ancestor.sid.as_ref()), ("sub", ancestor.sub.as_ref())];
    names.into_iter().filter_map(|(member, name)| Some((member, name?.as_str()))).collect()
}
