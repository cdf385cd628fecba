//! The one strict reader of JSON for everything that is signed or holds keys.
//!
//! Two readers of the same bytes must not see two tokens: a member named twice is refused at any
//! depth, after unescaping (`jti` and `j\u0074i` are one name); so are a byte order mark, anything
//! after the value, lone surrogates and numbers that no double holds. Nesting is bounded, so hostile
//! depth costs nothing.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::Malformed;

/// Levels of arrays and objects. Tokens and key sets need four; the reader recurses once per level.
pub const MAX_DEPTH: usize = 32;

/// Reads an object, or says what is wrong with the bytes.
pub(crate) fn read_object(bytes: &[u8]) -> Result<Map<String, Value>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Utf8)?;
    let refusal = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Strict { depth: 0, refusal: &refusal }.deserialize(&mut reader).and_then(|value| {
        reader.end()?;
        Ok(value)
    });
    match read {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Malformed::NotObject),
        Err(_) => Err(refusal.get().unwrap_or(Malformed::Json)),
    }
}

/// Reads one value; the reason of a refusal of our own goes into `refusal`, for an error of the
/// JSON library carries only text.
#[derive(Clone, Copy)]
pub(super) struct Strict<'r> {
    depth: usize,
    refusal: &'r Cell<Option<Malformed>>,
}

impl<'r> Strict<'r> {
    /// The reader of what lies inside the outermost object.
    pub(super) const fn within_an_object(refusal: &'r Cell<Option<Malformed>>) -> Self {
        Self { depth: 1, refusal }
    }

    pub(super) fn refuse<E: serde::de::Error>(self, why: Malformed) -> E {
        self.refusal.set(Some(why));
        E::custom("refused")
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(Malformed::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inner)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(self.refuse::<A::Error>(Malformed::DuplicateMember)));
            }
            object.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Malformed {
        read_object(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn members_are_named_once_at_any_depth_after_unescaping() {
        for text in [
            r#"{"jti":1,"jti":1}"#,
            r#"{"jti":"a","j\u0074i":"b"}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"\u0062":2}]}"#,
        ] {
            assert_eq!(refusal(text), Malformed::DuplicateMember, "{text}");
        }
        assert!(read_object(r#"{"a":{"b":1},"b":{"a":1}}"#.as_bytes()).is_ok());
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            "\u{feff}{}",
            "{} {}",
            "{}x",
            "{},",
            r#"{"a":1,}"#,
            r#"{'a':1}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":.5}"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":1e400}"#,
            r#"{"a":-1e400}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"\ud800\ud800"}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":"\x"}"#,
            "{/**/}",
            "",
            "{",
        ] {
            assert_eq!(refusal(text), Malformed::Json, "{text}");
        }
        assert_eq!(read_object(b"{\"a\":\"\xff\"}"), Err(Malformed::Utf8));
        assert_eq!(read_object(b"{\"a\":\"\xed\xa0\x80\"}"), Err(Malformed::Utf8), "a surrogate in UTF-8");
        assert!(read_object(r#"{"a":"\ud83d\ude00"}"#.as_bytes()).is_ok(), "a pair of surrogates is one character");
    }

    #[test]
    fn only_objects_are_objects() {
        for text in ["[]", "\"{}\"", "1", "null", "true"] {
            assert_eq!(refusal(text), Malformed::NotObject, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(read_object(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(refusal(&nested(MAX_DEPTH + 1)), Malformed::TooDeep);
        assert_eq!(refusal(&nested(20_000)), Malformed::TooDeep);
        assert_eq!(refusal(&r#"{"a":"#.repeat(20_000)), Malformed::TooDeep);
    }

    #[test]
    fn numbers_stay_numbers() {
        // A dependency that turns on `arbitrary_precision` would make them objects here.
        let object = read_object(br#"{"a":1,"b":-1,"c":1.5,"d":18446744073709551615}"#).unwrap();
        assert_eq!(object["a"].as_u64(), Some(1));
        assert_eq!(object["b"].as_i64(), Some(-1));
        assert_eq!(object["c"].as_f64(), Some(1.5));
        assert_eq!(object["d"].as_u64(), Some(u64::MAX));
    }
}
