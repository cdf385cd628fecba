//! What a revocation names: the claims by which a token names itself.
//!
//! A target has one text form, the same in the CLI, the API, logs and documentation, and one hash,
//! the only thing that travels in the feed and that a view probes.
//!
//! ```text
//! subject:alice                      device:alice/phone-1        claim:tenant=acme
//! issuer                             our own issuer: everything it ever issued
//! issuer:https:%2F%2Fidp.example     everything of that issuer
//! issuer:https:%2F%2Fidp.example/subject:alice      alice, as that issuer knows her
//! ```
//!
//! Inside a part `/`, `=`, `%` and control characters are percent-encoded. Parts are compared as
//! bytes: no case folding, no Unicode normalisation.

mod hash;

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

pub(crate) use self::hash::IssuerTargets;
pub use self::hash::{HashKey, TargetHash};

/// What kind of name a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// Everything of one issuer.
    Issuer,
    /// `sub`.
    Subject,
    /// `client_id`, else `azp`.
    Client,
    /// Subject and client together.
    SubjectClient,
    /// Subject and `device_id` together.
    Device,
    /// `sid`.
    Session,
    /// `jti`.
    Token,
    /// A token without `jti`, by the hash of its decoded header and payload.
    TokenHash,
    /// The key that verified the token: its RFC 7638 thumbprint, or a symmetric secret's name.
    Key,
    /// `cnf.jkt` or `cnf.x5t#S256`.
    Confirmation,
    /// A configured claim, name and value.
    Claim,
}

impl TargetKind {
    /// Every kind, in the order of their wire tags.
    pub const ALL: [Self; 11] = [
        Self::Issuer,
        Self::Subject,
        Self::Client,
        Self::SubjectClient,
        Self::Device,
        Self::Session,
        Self::Token,
        Self::TokenHash,
        Self::Key,
        Self::Confirmation,
        Self::Claim,
    ];

    /// The kind's name in text form, settings and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Subject => "subject",
            Self::Client => "client",
            Self::SubjectClient => "subject_client",
            Self::Device => "device",
            Self::Session => "session",
            Self::Token => "token",
            Self::TokenHash => "token_hash",
            Self::Key => "key",
            Self::Confirmation => "confirmation",
            Self::Claim => "claim",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether only `always` may be asked for on this kind: what a key signed cannot be dated by a
    /// claim that the key signed, and a single token or a proof key has no "before".
    #[must_use]
    pub const fn only_always(self) -> bool {
        matches!(self, Self::Key | Self::Token | Self::TokenHash | Self::Confirmation)
    }

    /// Whether this kind can be matched by a session, or only by an access token.
    #[must_use]
    pub const fn reaches_sessions(self) -> bool {
        !matches!(self, Self::Key | Self::Token | Self::TokenHash)
    }

    /// The kind that a byte stands for.
    pub(crate) fn of_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    /// The byte that stands for the kind inside the hash and in a snapshot. Never renumbered.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Issuer => 1,
            Self::Subject => 2,
            Self::Client => 3,
            Self::SubjectClient => 4,
            Self::Device => 5,
            Self::Session => 6,
            Self::Token => 7,
            Self::TokenHash => 8,
            Self::Key => 9,
            Self::Confirmation => 10,
            Self::Claim => 11,
        }
    }

    /// How many parts the text of this kind has.
    const fn parts(self) -> usize {
        match self {
            Self::Issuer => 0,
            Self::SubjectClient | Self::Device | Self::Claim => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A target by name: an issuer, a kind and the kind's parts, none of them empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    issuer: String,
    kind: TargetKind,
    parts: Vec<String>,
}

impl Target {
    /// Bytes a target's text may have. Names come from tokens and callers; none needs more.
    pub const MAX_TEXT: usize = 2048;

    /// Everything of `issuer`.
    #[must_use]
    pub fn issuer(issuer: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), kind: TargetKind::Issuer, parts: Vec::new() }
    }

    /// A target of a kind with one part. Refused when the kind has another number of parts or the
    /// part is empty.
    pub fn one(issuer: impl Into<String>, kind: TargetKind, part: impl Into<String>) -> Result<Self, TargetError> {
        Self::of(issuer.into(), kind, vec![part.into()])
    }

    /// A target of a kind with two parts: `device` and `subject_client` lead with the subject,
    /// `claim` with the claim's name.
    pub fn two(
        issuer: impl Into<String>,
        kind: TargetKind,
        first: impl Into<String>,
        second: impl Into<String>,
    ) -> Result<Self, TargetError> {
        Self::of(issuer.into(), kind, vec![first.into(), second.into()])
    }

    fn of(issuer: String, kind: TargetKind, parts: Vec<String>) -> Result<Self, TargetError> {
        if parts.len() != kind.parts() {
            return Err(TargetError::Parts { kind });
        }
        if parts.iter().any(String::is_empty) || issuer.is_empty() {
            return Err(TargetError::EmptyPart { kind });
        }
        Ok(Self { issuer, kind, parts })
    }

    /// Reads the text form; a target without `issuer:…/` in front belongs to `own_issuer`.
    pub fn parse(text: &str, own_issuer: &str) -> Result<Self, TargetError> {
        if text.len() > Self::MAX_TEXT {
            return Err(TargetError::TooLong);
        }
        if text == TargetKind::Issuer.name() {
            return Ok(Self::issuer(own_issuer));
        }
        let (name, rest) = text.split_once(':').ok_or(TargetError::NoKind)?;
        let kind = TargetKind::from_name(name).ok_or(TargetError::NoKind)?;
        if kind != TargetKind::Issuer {
            return Self::parse_parts(own_issuer, kind, rest);
        }
        match rest.split_once('/') {
            None => {
                let issuer = decode_part(rest)?;
                if issuer.is_empty() {
                    return Err(TargetError::EmptyPart { kind });
                }
                Ok(Self::issuer(issuer))
            }
            Some((issuer, inner)) => {
                let (name, rest) = inner.split_once(':').ok_or(TargetError::NoKind)?;
                let kind = TargetKind::from_name(name).ok_or(TargetError::NoKind)?;
                if kind == TargetKind::Issuer {
                    return Err(TargetError::NoKind);
                }
                Self::parse_parts(&decode_part(issuer)?, kind, rest)
            }
        }
    }

    fn parse_parts(issuer: &str, kind: TargetKind, text: &str) -> Result<Self, TargetError> {
        let separator = if kind == TargetKind::Claim { '=' } else { '/' };
        let parts = text.split(separator).map(decode_part).collect::<Result<Vec<_>, _>>()?;
        Self::of(issuer.to_owned(), kind, parts)
    }

    /// The text form as seen from `own_issuer`, whose targets need no issuer in front.
    #[must_use]
    pub fn text(&self, own_issuer: &str) -> String {
        let own = self.issuer == own_issuer;
        let mut text = String::new();
        if !own || self.kind == TargetKind::Issuer {
            text.push_str(TargetKind::Issuer.name());
        }
        if !own {
            text.push(':');
            encode_part(&self.issuer, &mut text);
        }
        if self.kind == TargetKind::Issuer {
            return text;
        }
        if !own {
            text.push('/');
        }
        text.push_str(self.kind.name());
        for (index, part) in self.parts.iter().enumerate() {
            text.push(match (index, self.kind) {
                (0, _) => ':',
                (_, TargetKind::Claim) => '=',
                _ => '/',
            });
            encode_part(part, &mut text);
        }
        text
    }

    /// The issuer whose name space the target lives in.
    #[must_use]
    pub fn issuer_name(&self) -> &str {
        &self.issuer
    }

    /// The target's kind.
    #[must_use]
    pub const fn kind(&self) -> TargetKind {
        self.kind
    }

    /// The target's parts, decoded.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The target's hash under the log's hash key.
    #[must_use]
    pub fn hash(&self, key: &HashKey) -> TargetHash {
        let of = |parts: &[&str]| TargetHash::of(key, &self.issuer, self.kind, parts);
        match self.parts.as_slice() {
            [] => of(&[]),
            [part] => of(&[part]),
            [first, second, ..] => of(&[first, second]),
        }
    }
}

/// Why a text is not a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// The text does not begin with a known kind and a colon.
    NoKind,
    /// The kind has another number of parts.
    Parts {
        /// The kind that was named.
        kind: TargetKind,
    },
    /// A part, or the issuer, is empty.
    EmptyPart {
        /// The kind that was named.
        kind: TargetKind,
    },
    /// A percent sign is not followed by two hexadecimal digits, the decoded bytes are no UTF-8,
    /// or a control character stands unencoded.
    Encoding,
    /// The text is longer than [`Target::MAX_TEXT`].
    TooLong,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKind => {
                f.write_str("a target begins with its kind, such as subject:alice; the kinds are")?;
                TargetKind::ALL.iter().try_for_each(|kind| write!(f, " {kind}"))
            }
            Self::Parts { kind } if kind.parts() == 0 => write!(f, "{kind} takes no parts"),
            Self::Parts { kind: TargetKind::Claim } => f.write_str("claim reads claim:name=value"),
            Self::Parts { kind } if kind.parts() == 2 => write!(f, "{kind} reads {kind}:subject/name"),
            Self::Parts { kind } => write!(f, "{kind} takes one part; write / as %2F and = as %3D inside it"),
            Self::EmptyPart { kind } => write!(f, "a part of {kind} is empty"),
            Self::Encoding => f.write_str("a percent sign is followed by two hexadecimal digits of UTF-8, and control characters are percent-encoded"),
            Self::TooLong => write!(f, "a target has at most {} bytes", Target::MAX_TEXT),
        }
    }
}

impl std::error::Error for TargetError {}

fn encode_part(part: &str, into: &mut String) {
    for character in part.chars() {
        if matches!(character, '/' | '=' | '%') || character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(into, "%{byte:02X}");
            }
        } else {
            into.push(character);
        }
    }
}

fn decode_part(text: &str) -> Result<String, TargetError> {
    if text.chars().any(char::is_control) {
        return Err(TargetError::Encoding);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>().ok_or(TargetError::Encoding)?;
        rest = tail;
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let (Some(high), Some(low)) = (nibble(digits[0]), nibble(digits[1])) else {
            return Err(TargetError::Encoding);
        };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| TargetError::Encoding)
}
