//! An object that was read strictly and left where it is: names and strings stay in the text, and
//! only arrays and objects among its members become trees.
//!
//! Of a token's members a verifier needs a few, once, and mostly to compare or hash them. The map of
//! all of them is made when somebody asks for it.

use std::cell::{Cell, RefCell};
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

/// The members of one object, each named once, in the order of the text. What is long is kept in few
/// pieces, so that a token is quickly made and quickly dropped.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Members {
    /// The text that was read, and behind it what was [`append`](Self::append)ed.
    text: String,
    /// How much of it was read.
    read: usize,
    spare: Spare,
    list: Vec<Member>,
}

/// What does not stand in the text as it is meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare {
    /// Strings that were written with escapes, one behind the other.
    unescaped: String,
    /// Arrays and objects.
    trees: Vec<Value>,
}

/// A member as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Text,
    pub(super) value: Kept,
}

/// A string: where it stands in the text, or among what was unescaped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text {
    Read { start: u32, end: u32 },
    Unescaped { start: u32, end: u32 },
}

#[derive(Clone, Debug)]
pub(super) enum Kept {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text),
    /// Which of the trees.
    Tree(usize),
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
        let (list, spare) = match plain::members(&text) {
            Some(plain) => plain,
            None => listed(&text)?,
        };
        Ok(Self { read: text.len(), text, spare, list })
    }

    /// The members of a map.
    pub(super) fn of(map: Map<String, Value>) -> Self {
        let mut spare = Spare::default();
        let mut kept = |value| match value {
            Value::Null => Kept::Null,
            Value::Bool(flag) => Kept::Bool(flag),
            Value::Number(number) => Kept::Number(number),
            Value::String(text) => Kept::Text(spare.text(&text)),
            tree => spare.tree(tree),
        };
        let named: Vec<_> = map.into_iter().map(|(name, value)| (name, kept(value))).collect();
        let list = named.into_iter().map(|(name, value)| Member { name: spare.text(&name), value }).collect();
        Self { list, spare, ..Self::default() }
    }

    /// The member of that name.
    pub(super) fn get(&self, name: &str) -> Option<Item<'_>> {
        self.place(name).and_then(|place| self.at(place))
    }

    /// Which of the members has that name.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.list.iter().position(|member| member.name.is(name, &self.text, &self.spare)).and_then(Place::of)
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
            Some((Place::of(index)?, member.name.of(&self.text, &self.spare), self.item(&member.value)))
        })
    }

    fn item<'m>(&'m self, kept: &'m Kept) -> Item<'m> {
        match kept {
            Kept::Null => Item::Null,
            Kept::Bool(flag) => Item::Bool(*flag),
            Kept::Number(number) => Item::Number(number),
            Kept::Text(text) => Item::Text(text.of(&self.text, &self.spare)),
            Kept::Tree(index) => self.spare.trees.get(*index).map_or(Item::Null, Item::Tree),
        }
    }

    /// All members as a map.
    pub(super) fn to_map(&self) -> Map<String, Value> {
        self.iter().map(|(_, name, item)| (name.to_owned(), item.to_value())).collect()
    }

    /// The text that was read; empty for members of a map.
    pub(super) fn text(&self) -> &str {
        self.text.get(..self.read).unwrap_or_default()
    }

    /// Keeps another text behind the one that was read.
    pub(super) fn append(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// What was appended.
    pub(super) fn appended(&self) -> &str {
        self.text.get(self.read..).unwrap_or_default()
    }
}

impl Spare {
    fn text(&mut self, text: &str) -> Text {
        let start = self.unescaped.len();
        self.unescaped.push_str(text);
        Text::Unescaped { start: place(start), end: place(self.unescaped.len()) }
    }

    pub(super) fn tree(&mut self, tree: Value) -> Kept {
        self.trees.push(tree);
        Kept::Tree(self.trees.len() - 1)
    }
}

impl Text {
    /// The place of a part of `text` that the reader lent out.
    pub(super) fn within(text: &str, part: &str) -> Self {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        Self::Read { start: place(start), end: place(start + part.len()) }
    }

    fn of<'t>(self, text: &'t str, spare: &'t Spare) -> &'t str {
        let (text, start, end) = match self {
            Self::Read { start, end } => (text, start, end),
            Self::Unescaped { start, end } => (&*spare.unescaped, start, end),
        };
        // A place that was taken in this very text lies in it.
        text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Whether it is `other`; mostly the length tells.
    fn is(self, other: &str, text: &str, spare: &Spare) -> bool {
        let (Self::Read { start, end } | Self::Unescaped { start, end }) = self;
        (end - start) as usize == other.len() && self.of(text, spare) == other
    }
}

/// No token comes near the limit.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The members of any object there is, by the general reader.
fn listed(text: &str) -> Result<(Vec<Member>, Spare), Malformed> {
    let (refusal, spare) = (Cell::new(None), RefCell::new(Spare::default()));
    let mut reader = serde_json::Deserializer::from_str(text);
    let within = Within { text, strict: Strict::within_an_object(&refusal), spare: &spare };
    let listed = Listing(within).deserialize(&mut reader);
    let listed = listed.and_then(|list| reader.end().map(|()| list));
    let list = listed.map_err(|_| refusal.get().unwrap_or(Malformed::Json))?;
    Ok((list, spare.into_inner()))
}

/// Where a reader of members is.
#[derive(Clone, Copy)]
struct Within<'t, 'r> {
    text: &'t str,
    strict: Strict<'r>,
    spare: &'r RefCell<Spare>,
}

/// Reads the outermost object.
struct Listing<'t, 'r>(Within<'t, 'r>);

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
        let Within { text, strict, spare } = self.0;
        let mut list: Vec<Member> = Vec::with_capacity(16);
        let mut names = HashSet::new();
        while let Some(name) = members.next_key_seed(Name(self.0))? {
            let known = {
                let spare = spare.borrow();
                let written = name.of(text, &spare);
                if list.len() < COMPARED {
                    list.iter().any(|other| other.name.is(written, text, &spare))
                } else {
                    if names.is_empty() {
                        names.extend(list.iter().map(|member| member.name.of(text, &spare).to_owned()));
                    }
                    !names.insert(written.to_owned())
                }
            };
            if known {
                return Err(A::Error::custom(strict.refuse::<A::Error>(Malformed::DuplicateMember)));
            }
            list.push(Member { name, value: members.next_value_seed(Held(self.0))? });
        }
        Ok(list)
    }
}

/// Reads a name.
struct Name<'t, 'r>(Within<'t, 'r>);

impl<'de> DeserializeSeed<'de> for Name<'de, '_> {
    type Value = Text;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'de, '_> {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Text, E> {
        Ok(Text::within(self.0.text, name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Text, E> {
        Ok(self.0.spare.borrow_mut().text(name))
    }
}

/// Reads a member's value.
struct Held<'t, 'r>(Within<'t, 'r>);

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
        Ok(Kept::Text(Text::within(self.0.text, value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kept, E> {
        Ok(Kept::Text(self.0.spare.borrow_mut().text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Kept, A::Error> {
        let tree = self.0.strict.visit_seq(elements)?;
        Ok(self.0.spare.borrow_mut().tree(tree))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Kept, A::Error> {
        let tree = self.0.strict.visit_map(members)?;
        Ok(self.0.spare.borrow_mut().tree(tree))
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
