//! The names by which a token can be revoked: from claims to targets.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::claims::{A_NAME, Claims, MAX_NAME, NamePlace, name_of};
use super::error::TokenError;
use super::members::Item;
use crate::settings::{ClaimNames, Settings};
use crate::target::TargetKind;

/// Ancestors that the claim `origin` of an own token may list.
pub const MAX_ANCESTORS: usize = 8;

/// The names whose claims configuration can map, and the ancestors, found in the claims once. They
/// belong to those claims, which go with them wherever they are asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Names {
    session: Option<NamePlace>,
    device: Option<NamePlace>,
    client: Option<NamePlace>,
    ancestors: Vec<Ancestor>,
}

/// What an own token was exchanged for: a session of some issuer, or a subject.
#[derive(Clone, Debug, PartialEq)]
struct Ancestor {
    issuer: String,
    session: Option<String>,
    subject: Option<String>,
}

impl Names {
    /// The names in the claims of an own token. Only there `origin` means anything.
    pub(super) fn of_own(claims: &Claims, names: &ClaimNames) -> Result<Self, TokenError> {
        Ok(Self { ancestors: ancestors(claims)?, ..Self::of_foreign(claims, names)? })
    }

    /// The names in the claims of a foreign token.
    pub(super) fn of_foreign(claims: &Claims, names: &ClaimNames) -> Result<Self, TokenError> {
        let mut client = None;
        for claim in &names.client {
            client = client.or(claims.named(claim)?);
        }
        Ok(Self {
            session: claims.named(&names.session)?,
            device: claims.named(&names.device)?,
            client,
            ancestors: Vec::new(),
        })
    }

    /// The session.
    pub(super) fn session<'c>(&self, claims: &'c Claims) -> Option<&'c str> {
        claims.name_at(self.session?)
    }

    /// The device.
    pub(super) fn device<'c>(&self, claims: &'c Claims) -> Option<&'c str> {
        claims.name_at(self.device?)
    }

    /// The client.
    pub(super) fn client<'c>(&self, claims: &'c Claims) -> Option<&'c str> {
        claims.name_at(self.client?)
    }

    /// Names every target of a token of `issuer`, except its own name and its key: issuer, kind and
    /// parts. A target may be named twice.
    pub(super) fn each(&self, issuer: &str, claims: &Claims, name: &mut dyn FnMut(&str, TargetKind, &[&str])) {
        name(issuer, TargetKind::Issuer, &[]);
        let (subject, client) = (claims.sub(), self.client(claims));
        if let Some(subject) = subject {
            name(issuer, TargetKind::Subject, &[subject]);
        }
        if let Some(client) = client {
            name(issuer, TargetKind::Client, &[client]);
        }
        if let (Some(subject), Some(client)) = (subject, client) {
            name(issuer, TargetKind::SubjectClient, &[subject, client]);
        }
        if let (Some(subject), Some(device)) = (subject, self.device(claims)) {
            name(issuer, TargetKind::Device, &[subject, device]);
        }
        if let Some(session) = self.session(claims) {
            name(issuer, TargetKind::Session, &[session]);
        }
        for confirmation in claims.confirmations() {
            name(issuer, TargetKind::Confirmation, &[confirmation]);
        }
        for ancestor in &self.ancestors {
            if let Some(session) = ancestor.session.as_deref() {
                name(&ancestor.issuer, TargetKind::Session, &[session]);
            }
            if let Some(subject) = ancestor.subject.as_deref() {
                name(&ancestor.issuer, TargetKind::Subject, &[subject]);
            }
        }
    }
}

/// Names every target that the settings' claims make: claim and value. Fails on a value that is too
/// long to be named.
pub(super) fn each_claim(
    claims: &Claims,
    settings: &Settings,
    name: &mut dyn FnMut(&str, &str),
) -> Result<(), TokenError> {
    for claim in settings.claims.iter().filter(|claim| !claim.is_empty()) {
        let too_long = || TokenError::ClaimInvalid { claim: claim.clone().into(), expected: A_NAME };
        let mut name_value = |value: &str| match value.len() {
            0 => Ok(()),
            1..=MAX_NAME => {
                name(claim, value);
                Ok(())
            }
            _ => Err(too_long()),
        };
        if claim == "scope" {
            claims.scopes().try_for_each(&mut name_value)?;
            continue;
        }
        match claims.item(claim) {
            Some(Item::Tree(Value::Array(values))) => {
                values.iter().filter_map(text).try_for_each(|value| name_value(&value))?;
            }
            Some(Item::Text(text)) => name_value(text)?,
            Some(Item::Bool(flag)) => name_value(flag_text(flag))?,
            Some(Item::Number(number)) => name_value(&number_text(number))?,
            Some(Item::Null | Item::Tree(_)) | None => {}
        }
    }
    Ok(())
}

/// The text of an element of a claim as a part of a target; what is inside an object or an inner array has
/// none.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(flag) => Some(Cow::Borrowed(flag_text(*flag))),
        Value::Number(number) => Some(Cow::Owned(number_text(number))),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

const fn flag_text(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// The canonical text of a number: of an integer its decimal digits, whether it was written `7`,
/// `7.0` or `70e-1`; of anything else the shortest decimal that reads back as the same double,
/// without an exponent. Integers beyond 64 bits are doubles.
fn number_text(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    // Adding zero turns -0 into 0.
    number.as_f64().map_or_else(|| number.to_string(), |double| (double + 0.0).to_string())
}

fn ancestors(claims: &Claims) -> Result<Vec<Ancestor>, TokenError> {
    const EXPECTED: &str = "an array of at most 8 objects with iss and one of sid and sub";
    let invalid = || TokenError::claim("origin", EXPECTED);
    let Some(origin) = claims.item("origin") else { return Ok(Vec::new()) };
    let Item::Tree(Value::Array(listed)) = origin else { return Err(invalid()) };
    let listed = Some(listed).filter(|listed| listed.len() <= MAX_ANCESTORS).ok_or_else(invalid)?;
    listed.iter().map(|ancestor| read_ancestor(ancestor).ok_or_else(invalid)).collect()
}

fn read_ancestor(value: &Value) -> Option<Ancestor> {
    let member = |member: &str| match value.get(member) {
        None => Some(None),
        Some(value) => value.as_str().and_then(name_of).map(|text| Some(text.to_owned())),
    };
    let ancestor = Ancestor { issuer: member("iss")??, session: member("sid")?, subject: member("sub")? };
    (ancestor.session.is_some() || ancestor.subject.is_some()).then_some(ancestor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_text() {
        let text_of = |json: &str| number_text(&serde_json::from_str(json).unwrap());
        for (json, text) in [
            ("7", "7"),
            ("7.0", "7"),
            ("70e-1", "7"),
            ("-7", "-7"),
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.5", "1.5"),
            ("1.50", "1.5"),
            ("0.1", "0.1"),
            ("1e21", "1000000000000000000000"),
            ("1e-7", "0.0000001"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
        ] {
            assert_eq!(text_of(json), text, "{json}");
        }
        assert!(text_of("1.7976931348623157e308").len() <= MAX_NAME);
    }
}
