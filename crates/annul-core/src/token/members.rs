//! An object that was read strictly and left where it is: names and strings stay in the text, and
//! only arrays and objects among its members become trees.
//!
//! Of a token's members a verifier needs a few, once, and mostly to compare or hash them. The map of
//! all of them is made when somebody asks for it.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU32;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::Malformed;
use super::json::{self, Strict};
use super::plain;

/// Members up to which names are compared with each other; beyond, a set is quicker, and a hostile
/// object of thousands costs no more than its length.
pub(super) const COMPARED: usize = 24;

/// The members of one object, each named once, in the order of the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    text: String,
    list: Vec<Member>,
}

/// A member as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Text,
    pub(super) value: Kept,
}

/// A string: where it stands in the text, or, when it was written with escapes, what it means.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Within { start: u32, end: u32 },
    Own(Box<str>),
}

#[derive(Clone, Debug)]
pub(super) enum Kept {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text),
    Tree(Box<Value>),
}

/// Which of an object's members it is, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(NonZeroU32);

impl Place {
    fn of(index: usize) -> Option<Self> {
        u32::try_from(index + 1).ok().and_then(NonZeroU32::new).map(Self)
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A member's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'m> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(&'m Number),
    /// A string.
    Text(&'m str),
    /// An array or an object.
    Tree(&'m Value),
}

impl<'m> Item<'m> {
    pub(super) const fn as_str(self) -> Option<&'m str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.to_owned()),
            Self::Tree(value) => value.clone(),
        }
    }
}

impl Members {
    /// Reads an object, by the rules of [`json`], or says what is wrong with the bytes.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let text = String::from_utf8(bytes).map_err(|_| Malformed::Utf8)?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(json::read_object(text.as_bytes()).err().unwrap_or(Malformed::NotObject));
        }
        if let Some(list) = plain::members(&text) {
            return Ok(Self { text, list });
        }
        let refusal = Cell::new(None);
        let mut reader = serde_json::Deserializer::from_str(&text);
        let listed = Listing { text: &text, strict: Strict::within_an_object(&refusal) }.deserialize(&mut reader);
        let listed = listed.and_then(|list| reader.end().map(|()| list));
        let list = listed.map_err(|_| refusal.get().unwrap_or(Malformed::Json))?;
        Ok(Self { text, list })
    }

    /// The members of a map.
    pub(super) fn of(map: Map<String, Value>) -> Self {
        let own = |text: String| Text::Own(text.into_boxed_str());
        let kept = |value| match value {
            Value::Null => Kept::Null,
            Value::Bool(flag) => Kept::Bool(flag),
            Value::Number(number) => Kept::Number(number),
            Value::String(text) => Kept::Text(own(text)),
            tree => Kept::Tree(tree.into()),
        };
        let list = map.into_iter().map(|(name, value)| Member { name: own(name), value: kept(value) }).collect();
        Self { text: String::new(), list }
    }

    /// The member of that name.
    pub(super) fn get(&self, name: &str) -> Option<Item<'_>> {
        self.place(name).and_then(|place| self.at(place))
    }

    /// Which of the members has that name.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.list.iter().position(|member| member.name.is(name, &self.text)).and_then(Place::of)
    }

    /// The member at a place.
    pub(super) fn at(&self, place: Place) -> Option<Item<'_>> {
        self.list.get(place.index()).map(|member| self.item(&member.value))
    }

    /// The string at a place, if it is one.
    pub(super) fn text_at(&self, place: Place) -> Option<&str> {
        self.at(place).and_then(Item::as_str)
    }

    /// Every member: where it is, its name and its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &str, Item<'_>)> {
        self.list.iter().enumerate().filter_map(|(index, member)| {
            Some((Place::of(index)?, member.name.of(&self.text), self.item(&member.value)))
        })
    }

    fn item<'m>(&'m self, kept: &'m Kept) -> Item<'m> {
        match kept {
            Kept::Null => Item::Null,
            Kept::Bool(flag) => Item::Bool(*flag),
            Kept::Number(number) => Item::Number(number),
            Kept::Text(text) => Item::Text(text.of(&self.text)),
            Kept::Tree(value) => Item::Tree(value),
        }
    }

    /// All members as a map.
    pub(super) fn to_map(&self) -> Map<String, Value> {
        self.iter().map(|(_, name, item)| (name.to_owned(), item.to_value())).collect()
    }

    /// The text that was read; empty for members of a map.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

}

impl Text {
    /// The place of a part of `text` that the reader lent out.
    pub(super) fn within(text: &str, part: &str) -> Self {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        match (u32::try_from(start), u32::try_from(start + part.len())) {
            (Ok(start), Ok(end)) => Self::Within { start, end },
            _ => Self::Own(part.into()),
        }
    }

    fn of<'t>(&'t self, text: &'t str) -> &'t str {
        match self {
            // A place that was taken in this very text lies in it.
            Self::Within { start, end } => text.get(*start as usize..*end as usize).unwrap_or_default(),
            Self::Own(own) => own,
        }
    }

    /// Whether it is `other`; mostly the length tells.
    fn is(&self, other: &str, text: &str) -> bool {
        let length = match self {
            Self::Within { start, end } => (end - start) as usize,
            Self::Own(own) => own.len(),
        };
        length == other.len() && self.of(text) == other
    }
}

/// Reads the outermost object.
struct Listing<'t, 'r> {
    text: &'t str,
    strict: Strict<'r>,
}

impl<'de> DeserializeSeed<'de> for Listing<'de, '_> {
    type Value = Vec<Member>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Listing<'de, '_> {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Self { text, strict } = self;
        let mut list: Vec<Member> = Vec::with_capacity(16);
        let mut names = HashSet::new();
        while let Some(name) = members.next_key_seed(Name { text })? {
            let known = if list.len() < COMPARED {
                list.iter().any(|other| other.name.is(name.of(text), text))
            } else {
                if names.is_empty() {
                    names.extend(list.iter().map(|member| member.name.of(text).to_owned()));
                }
                !names.insert(name.of(text).to_owned())
            };
            if known {
                return Err(A::Error::custom(strict.refuse::<A::Error>(Malformed::DuplicateMember)));
            }
            list.push(Member { name, value: members.next_value_seed(Held { text, strict })? });
        }
        Ok(list)
    }
}

/// Reads a name.
struct Name<'t> {
    text: &'t str,
}

impl<'de> DeserializeSeed<'de> for Name<'de> {
    type Value = Text;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'de> {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Text, E> {
        Ok(Text::within(self.text, name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Text, E> {
        Ok(Text::Own(name.into()))
    }
}

/// Reads a member's value.
struct Held<'t, 'r> {
    text: &'t str,
    strict: Strict<'r>,
}

impl<'de> DeserializeSeed<'de> for Held<'de, '_> {
    type Value = Kept;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kept, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Held<'de, '_> {
    type Value = Kept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Kept, E> {
        Ok(Kept::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kept, E> {
        Ok(Kept::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kept, E> {
        Ok(Kept::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kept, E> {
        Ok(Kept::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Kept, E> {
        Number::from_f64(value).map(Kept::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Kept, E> {
        Ok(Kept::Text(Text::within(self.text, value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kept, E> {
        Ok(Kept::Text(Text::Own(value.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Kept, A::Error> {
        self.strict.visit_seq(elements).map(|tree| Kept::Tree(tree.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Kept, A::Error> {
        self.strict.visit_map(members).map(|tree| Kept::Tree(tree.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever one reader makes of a text, so does the other.
    fn both(text: &str) -> Result<Map<String, Value>, Malformed> {
        let here = Members::read(text.as_bytes().to_vec()).map(|members| members.to_map());
        assert_eq!(here, json::read_object(text.as_bytes()), "{text}");
        here
    }

    #[test]
    fn it_reads_what_the_strict_reader_reads() {
        let map = both(r#" {"a":1,"b":"text","c":"\u0061\n","d":[1,{"e":null}],"f":-1.5,"g":true,"":null} "#).unwrap();
        let members = Members::of(map.clone());
        assert_eq!(members.to_map(), map);
        assert_eq!(members.get("c"), Some(Item::Text("a\n")));
        assert_eq!(members.get("h"), None);
    }

    #[test]
    fn it_refuses_what_the_strict_reader_refuses() {
        for text in [
            r#"{"jti":1,"jti":1}"#,
            r#"{"jti":"a","j\u0074i":"b"}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            "\u{feff}{}",
            "{} {}",
            r#"{"a":1,}"#,
            r#"{"a":1e400}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"\ud800":1}"#,
            "{1:2}",
            "\u{c}{}",
            "[]",
            "[",
            "null",
            "",
            "{",
        ] {
            assert!(both(text).is_err(), "{text}");
        }
        assert!(both(&format!("{{\"a\":{}{}}}", "[".repeat(31), "]".repeat(31))).is_ok());
        assert_eq!(both(&format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32))), Err(Malformed::TooDeep));
        assert_eq!(Members::read(b"{\"a\":\"\xff\"}".to_vec()).err(), Some(Malformed::Utf8));
    }

    #[test]
    fn a_name_among_thousands_is_still_found_to_be_named_twice() {
        let many = |last: usize| {
            let members: Vec<_> = (0..2_000).chain([last]).map(|number| format!("\"n{number}\":0")).collect();
            both(&format!("{{{}}}", members.join(",")))
        };
        assert_eq!(many(2_000).unwrap().len(), 2_001);
        assert_eq!(many(3), Err(Malformed::DuplicateMember));
        assert_eq!(many(1_999), Err(Malformed::DuplicateMember));
    }
}
