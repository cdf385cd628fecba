//! Which fields a user record has, and what a change of each means for its sessions.

use std::collections::BTreeMap;

use annul_core::algebra::Reach;
use serde::{Deserialize, Serialize};

/// Fields that may be configured. They are kinds of change, not columns.
const MAX_RECORD_FIELDS: usize = 64;
/// Bytes of a field's name.
const MAX_FIELD: usize = 64;

/// The fields of a user record, each with what its change reaches: `access`, and sessions go on, or
/// `both`, and the user logs in again. As text, a list of `name=reach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct RecordFields(BTreeMap<String, Reach>);

impl RecordFields {
    /// The field that every login changes, where it is configured.
    pub const LOGIN: &str = "login";
    /// The field that every logout changes, where it is configured.
    pub const LOGOUT: &str = "logout";

    /// What a change of `field` reaches; `None` when it is not configured.
    #[must_use]
    pub fn reach(&self, field: &str) -> Option<Reach> {
        self.0.get(field).copied()
    }

    /// What a change of all of `fields` reaches: what the strongest of them does.
    ///
    /// # Errors
    /// The first that is not configured.
    pub fn strongest<'a>(&self, fields: &'a [String]) -> Result<Reach, &'a str> {
        let mut strongest = Reach::Access;
        for field in fields {
            if self.reach(field).ok_or(field.as_str())? == Reach::Both {
                strongest = Reach::Both;
            }
        }
        Ok(strongest)
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

impl Default for RecordFields {
    /// New rights and a new address need no login; a new password does.
    fn default() -> Self {
        let fields = [("email", Reach::Access), ("password", Reach::Both), ("role", Reach::Access)];
        Self(fields.into_iter().map(|(name, reach)| (name.to_owned(), reach)).collect())
    }
}

impl TryFrom<Vec<String>> for RecordFields {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        if texts.len() > MAX_RECORD_FIELDS {
            return Err(format!("a user record has at most {MAX_RECORD_FIELDS} fields"));
        }
        let mut fields = BTreeMap::new();
        for text in texts {
            let (name, reach) = parse(&text).ok_or_else(|| {
                format!("{text:?} is no field of a user record; write name=access or name=both, such as role=access")
            })?;
            if fields.insert(name.to_owned(), reach).is_some() {
                return Err(format!("the field {name:?} of the user record is named twice"));
            }
        }
        Ok(Self(fields))
    }
}

impl From<RecordFields> for Vec<String> {
    fn from(fields: RecordFields) -> Self {
        let text = |(name, reach)| format!("{name}={}", if reach == Reach::Both { "both" } else { "access" });
        fields.0.into_iter().map(text).collect()
    }
}

fn parse(text: &str) -> Option<(&str, Reach)> {
    let (name, reach) = text.split_once('=')?;
    let (name, reach) = (name.trim(), reach.trim());
    let is_name = (1..=MAX_FIELD).contains(&name.len()) && !name.chars().any(char::is_control);
    let reach = match reach {
        "access" => Reach::Access,
        "both" => Reach::Both,
        _ => return None,
    };
    is_name.then_some((name, reach))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(texts: &[&str]) -> Result<RecordFields, String> {
        texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().try_into()
    }

    fn strongest(fields: &RecordFields, named: &[&str]) -> Option<Reach> {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        fields.strongest(&named).ok()
    }

    #[test]
    fn the_strongest_field_decides() {
        let fields = fields(&["role=access", "plan = access", "password=both"]).unwrap();
        assert_eq!(strongest(&fields, &["role", "plan"]), Some(Reach::Access));
        assert_eq!(strongest(&fields, &["role", "password", "plan"]), Some(Reach::Both));
        assert_eq!(strongest(&fields, &["role", "shoe_size"]), None);
        assert_eq!(fields.names(), ["password", "plan", "role"]);
    }

    #[test]
    fn what_is_no_field_is_refused_by_name() {
        for text in ["role", "role=", "=both", "role=sessions", "role=Both", &format!("{}=both", "x".repeat(65))] {
            let error = fields(&[text]).unwrap_err();
            assert!(error.contains("name=access"), "{error}");
        }
        assert!(fields(&["role=both", "role=access"]).unwrap_err().contains("twice"));
        let many: Vec<String> = (0..65).map(|number| format!("f{number}=both")).collect();
        assert!(RecordFields::try_from(many).is_err());
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let texts = Vec::from(RecordFields::default());
        assert_eq!(texts, ["email=access", "password=both", "role=access"]);
        assert_eq!(RecordFields::try_from(texts).unwrap(), RecordFields::default());
    }
}
