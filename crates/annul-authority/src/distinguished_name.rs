//! The name in a certificate, as RFC 4514 writes it and as DER holds it.
//!
//! Both become the same list, most significant last, and are compared as lists: so it does not matter
//! how a name was written, only what it says. Values are compared to the letter.

/// A name: sets of attributes, the most specific first, as RFC 4514 orders them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DistinguishedName(Vec<Vec<Attribute>>);

/// An attribute's type, as an object identifier in text, and its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    kind: String,
    value: String,
}

/// The short names of RFC 4514 §3, and two more that certificates have often.
const KINDS: [(&str, &str); 12] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
];

impl DistinguishedName {
    /// Reads the text form. `None` for what is none, and for values in hexadecimal.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut sets = Vec::new();
        let mut set = Vec::new();
        let mut rest = text;
        loop {
            let (kind, after) = rest.split_once('=')?;
            let (value, separator, after) = value(after)?;
            set.push(Attribute { kind: kind_of(kind.trim())?, value });
            if separator != Some('+') {
                set.sort_unstable();
                sets.push(std::mem::take(&mut set));
            }
            if separator.is_none() {
                return Some(Self(sets));
            }
            rest = after;
        }
    }

    /// Reads what stands inside the `Name` of a certificate. `None` where it is empty, or holds a value
    /// of another kind than text.
    pub(crate) fn from_der(mut sequence: &[u8]) -> Option<Self> {
        let mut sets = Vec::new();
        while !sequence.is_empty() {
            let mut set = Vec::new();
            let (mut members, rest) = element(sequence, SET)?;
            while !members.is_empty() {
                let (attribute, rest) = element(members, SEQUENCE)?;
                let (oid, tagged) = element(attribute, OBJECT_IDENTIFIER)?;
                set.push(Attribute { kind: dotted(oid)?, value: text(tagged)? });
                members = rest;
            }
            set.sort_unstable();
            sets.push(set);
            sequence = rest;
        }
        // DER begins with what is most significant, the text with what is most specific.
        sets.reverse();
        (!sets.is_empty()).then_some(Self(sets))
    }
}

fn kind_of(text: &str) -> Option<String> {
    if let Some((_, oid)) = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Some((*oid).to_owned());
    }
    let is_oid = text.contains('.') && text.split('.').all(|arc| arc.parse::<u64>().is_ok());
    is_oid.then(|| text.to_owned())
}

/// A value with its escapes undone, the separator after it, and what follows.
fn value(text: &str) -> Option<(String, Option<char>, &str)> {
    let mut bytes = Vec::new();
    // How much of the value may not be trimmed: an escaped space is meant.
    let mut meant = 0;
    let mut characters = text.trim_start_matches(' ').chars();
    let separator = loop {
        match characters.next() {
            None => break None,
            Some(separator @ (',' | ';' | '+')) => break Some(separator),
            Some('\\') => {
                bytes.push(escaped(&mut characters)?);
                meant = bytes.len();
            }
            Some('"' | '<' | '>') => return None,
            Some('#') if bytes.is_empty() => return None,
            Some(character) => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                if character != ' ' {
                    meant = bytes.len();
                }
            }
        }
    };
    bytes.truncate(meant);
    let value = String::from_utf8(bytes).ok().filter(|value| !value.is_empty())?;
    Some((value, separator, characters.as_str()))
}

/// The byte after a backslash: a character that needs one, or two hexadecimal digits.
fn escaped(characters: &mut std::str::Chars<'_>) -> Option<u8> {
    let first = characters.next()?;
    if " \"#+,;<=>\\".contains(first) {
        return u8::try_from(first).ok();
    }
    let digits = first.to_digit(16)? << 4 | characters.next()?.to_digit(16)?;
    u8::try_from(digits).ok()
}

const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// The content of an element with that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    if found != tag {
        return None;
    }
    rest.split_at_checked(length)
}

fn text(der: &[u8]) -> Option<String> {
    let &tag = der.first()?;
    let (content, rest) = element(der, tag)?;
    if !rest.is_empty() {
        return None;
    }
    match tag {
        UTF8_STRING => String::from_utf8(content.to_vec()).ok(),
        PRINTABLE_STRING | IA5_STRING => content.is_ascii().then(|| String::from_utf8(content.to_vec()).ok())?,
        BMP_STRING => {
            let (units, odd) = content.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            if odd.is_empty() { String::from_utf16(&units).ok() } else { None }
        }
        _ => None,
    }
}

/// An object identifier in text (X.690 §8.19).
fn dotted(oid: &[u8]) -> Option<String> {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: u64 = 0;
    for byte in oid {
        arc = arc.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(std::mem::take(&mut arc));
        }
    }
    let ends = oid.last().is_some_and(|byte| byte & 0x80 == 0);
    let (&first, others) = arcs.split_first().filter(|_| ends)?;
    let root = (first / 40).min(2);
    let mut text = format!("{root}.{}", first - root * 40);
    for arc in others {
        text.push('.');
        text.push_str(&arc.to_string());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName as Name, DnType, DnValue, KeyPair};

    use super::*;

    fn subject(parts: Vec<(DnType, DnValue)>) -> Option<DistinguishedName> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = Name::new();
        parts.into_iter().for_each(|(kind, value)| params.distinguished_name.push(kind, value));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let cert = webpki::EndEntityCert::try_from(certificate.der()).unwrap();
        DistinguishedName::from_der(cert.subject())
    }

    fn parsed(text: &str) -> Option<DistinguishedName> {
        DistinguishedName::parse(text)
    }

    #[test]
    fn mt_2_a_certificates_subject_is_what_its_text_says() {
        let found = subject(vec![
            (DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap())),
            (DnType::OrganizationName, "Exämple, Inc.".into()),
            (DnType::CommonName, "shop +1".into()),
        ]);
        assert!(found.is_some());
        for text in [
            "CN=shop \\+1,O=Exämple\\, Inc.,C=DE",
            "cn=shop \\2b1, o=Ex\\c3\\a4mple\\2c Inc. , c=DE",
            "2.5.4.3=shop \\+1;2.5.4.10=Exämple\\, Inc.;2.5.4.6=DE",
        ] {
            assert_eq!(parsed(text), found, "{text}");
        }
        for text in [
            "CN=shop \\+1",
            "C=DE,O=Exämple\\, Inc.,CN=shop \\+1",
            "CN=Shop \\+1,O=Exämple\\, Inc.,C=DE",
            "OU=shop \\+1,O=Exämple\\, Inc.,C=DE",
            "CN=shop \\+1,O=Exämple\\, Inc.,C=DE,C=DE",
        ] {
            assert!(parsed(text).is_some() && parsed(text) != found, "{text}");
        }
        assert_eq!(subject(Vec::new()), None, "a certificate without a name has none");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "shop", "CN=", "CN=shop,", "XX=shop", "CN=#0401", "CN=\"shop\"", "CN=a\\", "CN=a\\zz", "=a"] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(parsed("CN=a+OU=b"), parsed("OU=b+CN=a"), "a set has no order");
        assert_ne!(parsed("CN=a+OU=b"), parsed("CN=a,OU=b"));
        assert_eq!(parsed("CN=a\\ "), parsed("CN=a\\20"), "an escaped space is meant");
        assert_ne!(parsed("CN=a\\ "), parsed("CN=a "));
    }

    #[test]
    fn damaged_der_is_no_name() {
        let good = [0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x04, b's', b'h', b'o', b'p'];
        assert_eq!(DistinguishedName::from_der(&good), parsed("CN=shop"));
        for length in 1..good.len() {
            assert_eq!(DistinguishedName::from_der(&good[..length]), None, "cut to {length}");
        }
    }
}
