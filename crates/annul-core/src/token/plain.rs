//! The quick reader of an object that is written plainly, as issuers write nearly all of theirs:
//! without white space or escapes, its members strings, whole numbers, flags and lists of strings.
//!
//! It refuses nothing. Whatever it does not recognise, down to a name that stands there twice, is left
//! to the general reader, which alone says what is wrong with it; whatever it takes, both read alike.

use serde_json::Value;

use super::members::{COMPARED, Kept, Member, Spare, Text};

/// Digits of a whole number that surely fits 64 bits.
const MOST_DIGITS: usize = 18;

/// The members of the object that `text` is, if it is plain.
pub(super) fn members(text: &str) -> Option<(Vec<Member>, Spare)> {
    let mut scanner = Scanner { text, at: 0, spare: Spare::default() };
    let mut list = Vec::with_capacity(text.len() / TYPICAL_MEMBER + 1);
    let mut tags = [0; COMPARED];
    scanner.expect(b'{')?;
    loop {
        let name = scanner.string()?;
        let tag = tag(name.as_bytes());
        if tags.get(..list.len())?.contains(&tag) {
            return None;
        }
        *tags.get_mut(list.len())? = tag;
        scanner.expect(b':')?;
        list.push(Member { name: Text::within(text, name), value: scanner.value()? });
        match scanner.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (scanner.at == text.len()).then_some((list, scanner.spare))
}

/// Bytes that a member takes, to make a list of about the right length.
const TYPICAL_MEMBER: usize = 24;

/// Tells names apart at a glance: names with different tags are different, those with the same tag may be.
fn tag(name: &[u8]) -> u32 {
    let byte = |index: usize| name.get(index).copied().unwrap_or_default();
    let middle = name.len() / 2;
    u32::from_le_bytes([name.len() as u8, byte(0), byte(middle), byte(name.len().saturating_sub(1))])
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    spare: Spare,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn value(&mut self) -> Option<Kept> {
        match self.rest().first()? {
            b'"' => self.string().map(|value| Kept::Text(Text::within(self.text, value))),
            b'0'..=b'9' => self.whole_number().map(|value| Kept::Number(value.into())),
            b'[' => self.strings().map(|value| self.spare.tree(value)),
            b't' => self.word("true", Kept::Bool(true)),
            b'f' => self.word("false", Kept::Bool(false)),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<&'t str> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_length(self.rest());
        let string = self.text.get(start..self.at)?;
        self.expect(b'"')?;
        Some(string)
    }

    fn whole_number(&mut self) -> Option<u64> {
        let digits = self.rest();
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = digits.get(..count)?;
        if count > MOST_DIGITS || (count > 1 && digits.starts_with(b"0")) {
            return None;
        }
        self.at += count;
        Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    }

    fn strings(&mut self) -> Option<Value> {
        self.expect(b'[')?;
        let mut list = Vec::new();
        loop {
            list.push(Value::String(self.string()?.to_owned()));
            match self.next()? {
                b',' => {}
                b']' => return Some(Value::Array(list)),
                _ => return None,
            }
        }
    }

    fn word(&mut self, word: &str, value: Kept) -> Option<Kept> {
        self.at += word.len();
        self.text.as_bytes().get(..self.at)?.ends_with(word.as_bytes()).then_some(value)
    }
}

/// Bytes of a string up to what ends it or makes it anything but plain: a quotation mark, a backslash,
/// a control character. Eight are looked at together.
fn plain_length(mut bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // The highest bit of each byte that is less than `limit`; above the first one it may err.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let mut length = 0;
    while let Some((eight, rest)) = bytes.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let ends = below(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
        if ends != 0 {
            return length + (ends.trailing_zeros() / 8) as usize;
        }
        (bytes, length) = (rest, length + eight.len());
    }
    length + bytes.iter().take_while(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::members::Members;
    use super::*;
    use crate::token::json;

    #[test]
    fn what_issuers_write_is_plain() {
        for text in [
            r#"{"alg":"ES256","typ":"at+jwt","kid":"k"}"#,
            r#"{"iss":"https://id.example","aud":["a","b"],"exp":1800000000,"iat":0,"a":true,"b":false}"#,
            r#"{"sub":"Zoë 山","":""}"#,
        ] {
            assert!(members(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_alone() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "{}x",
            r#"{"a":1}x"#,
            r#"{"a":1} "#,
            r#"{ "a":1}"#,
            r#"{"a":01}"#,
            r#"{"a":1.0}"#,
            r#"{"a":-1}"#,
            r#"{"a":1e1}"#,
            r#"{"a":1234567890123456789}"#,
            r#"{"a":"\n"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":nul}"#,
            r#"{"a":truest}"#,
            r#"{"a":[]}"#,
            r#"{"a":[1]}"#,
            r#"{"a":["b"}"#,
            r#"{"a":{}}"#,
            r#"{"a":"b"#,
            r#"{"a":"b""#,
            r#"{a:1}"#,
        ] {
            assert!(members(text).is_none(), "{text}");
        }
    }

    proptest! {
        /// Nobody can write an object that the quick reader takes for another than the general one.
        #[test]
        fn what_is_taken_is_read_alike(text in r#"\{("[a-c\\u0-9"é]{0,3}":("[a-z\\"\n山]{0,20}"|[-0-9.e]{1,20}|true|false|null|\["x"(,"y")?\]),?){0,6}\}?"#) {
            if members(&text).is_some() {
                let quickly = Members::read(text.clone().into_bytes()).map(|members| members.to_map());
                prop_assert_eq!(quickly, json::read_object(text.as_bytes()));
            }
        }

        #[test]
        fn a_string_is_plain_up_to_the_first_byte_that_is_not(text in r#"[ -~é山\n\t]{0,40}"#) {
            let expected = text.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            prop_assert_eq!(plain_length(text.as_bytes()), expected.unwrap_or(text.len()));
        }
    }
}
