//! The address of a request, written in the one way that two spellings of it share (RFC 3986 §6.2).

use std::fmt;

/// Bytes an address may have: servers refuse request lines beyond 8 KiB, and addresses of endpoints
/// are far shorter.
pub const MAX_HTTP_URI: usize = 4096;

/// An absolute `http` or `https` address without query and fragment, normalised: scheme and host in
/// lower case, the default port left out, escapes in capitals and only where they are needed, no dot
/// segments, and `/` for an empty path. Two are equal iff they name the same resource by these rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUri(String);

impl HttpUri {
    /// Reads an address; its query and fragment are left out. `None` for what is no absolute `http`
    /// or `https` address, carries user information, or is longer than [`MAX_HTTP_URI`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_HTTP_URI || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let (scheme, default_port) = if scheme.eq_ignore_ascii_case("https") {
            ("https", "443")
        } else if scheme.eq_ignore_ascii_case("http") {
            ("http", "80")
        } else {
            return None;
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = match rest.find('/').and_then(|at| rest.split_at_checked(at)) {
            Some(parts) => parts,
            None => (rest, "/"),
        };
        let (host, port) = host_and_port(authority)?;
        let host = normal_escapes(&host.to_ascii_lowercase())?.to_ascii_lowercase();
        let port = if port == default_port { "" } else { port };
        let colon = if port.is_empty() { "" } else { ":" };
        let path = without_dot_segments(&normal_escapes(&escaped(path))?);
        Some(Self(format!("{scheme}://{host}{colon}{port}{path}")))
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HttpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of an authority; the port is empty where there is none, without superfluous zeros.
fn host_and_port(authority: &str) -> Option<(&str, &str)> {
    if authority.contains('@') {
        return None;
    }
    // An IPv6 address has colons of its own, inside its brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.bytes().all(|byte| is_plain(byte) || byte == b':'),
        None => host.bytes().all(|byte| is_plain(byte) || byte == b'%'),
    };
    let is_host = is_host && !host.is_empty();
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    (is_host && is_port).then(|| (host, port.trim_start_matches('0')))
}

/// What RFC 3986 lets stand for itself in a host and in a path: its unreserved characters and sub-delims.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        )
}

/// A path with escapes for what browsers and servers let stand in it and RFC 3986 does not, such as `|`.
fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if is_plain(byte) || b"/:@%".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.extend(escape(byte));
        }
    }
    escaped
}

fn escape(byte: u8) -> impl Iterator<Item = char> {
    let digit = |digit: u8| char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase());
    std::iter::once('%').chain(digit(byte >> 4)).chain(digit(byte & 15))
}

/// Escapes in capitals, and none for what needs none; `None` for a broken one.
fn normal_escapes(text: &str) -> Option<String> {
    let mut normal = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            normal.push(character);
            continue;
        }
        let (high, low) = (characters.next()?.to_digit(16)?, characters.next()?.to_digit(16)?);
        match u8::try_from(high << 4 | low).ok()? {
            plain @ (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~') => normal.push(plain.into()),
            other => normal.extend(escape(other)),
        }
    }
    Some(normal)
}

/// RFC 3986 §5.2.4, for a path that begins with a slash.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Option<String> {
        HttpUri::parse(text).map(|uri| uri.to_string())
    }

    #[test]
    fn dp_1_two_spellings_of_one_address_are_one() {
        for (text, expected) in [
            ("https://auth.example/oauth2/token", "https://auth.example/oauth2/token"),
            ("HTTPS://Auth.EXAMPLE/oauth2/token", "https://auth.example/oauth2/token"),
            ("https://auth.example:443/oauth2/token", "https://auth.example/oauth2/token"),
            ("https://auth.example:/oauth2/token", "https://auth.example/oauth2/token"),
            ("https://auth.example:0443/a", "https://auth.example/a"),
            ("http://auth.example:80", "http://auth.example/"),
            ("https://auth.example?x=/y", "https://auth.example/"),
            ("https://auth.example/a?b=c#d", "https://auth.example/a"),
            ("https://auth.example/a#d?b", "https://auth.example/a"),
            ("https://auth.example/%7euser/%6F", "https://auth.example/~user/o"),
            ("https://auth.example/a%2fb", "https://auth.example/a%2Fb"),
            ("https://auth.example/a|b[0]", "https://auth.example/a%7Cb%5B0%5D"),
            ("https://auth.example/[/../a\\..", "https://auth.example/a%5C.."),
            ("https://%41uth.example/", "https://auth.example/"),
            ("https://auth.example/a/./b/../c", "https://auth.example/a/c"),
            ("https://auth.example/../..", "https://auth.example/"),
            ("https://auth.example/a/..", "https://auth.example/"),
            ("https://auth.example/a/.", "https://auth.example/a/"),
            ("https://auth.example/%2e%2e/a", "https://auth.example/a"),
            ("https://[2001:DB8::1]:8443/a", "https://[2001:db8::1]:8443/a"),
            ("https://[::1]/a", "https://[::1]/a"),
        ] {
            assert_eq!(normal(text).as_deref(), Some(expected), "{text}");
            assert_eq!(normal(expected).as_deref(), Some(expected), "normalising again changes nothing: {expected}");
        }
    }

    #[test]
    fn dp_1_what_differs_stays_apart() {
        let addresses = [
            "https://auth.example/oauth2/token",
            "https://auth.example/oauth2/token/",
            "https://auth.example/oauth2/Token",
            "https://auth.example//oauth2/token",
            "https://auth.example/oauth2%2Ftoken",
            "http://auth.example/oauth2/token",
            "https://auth.example:444/oauth2/token",
            "https://auth.example:80/oauth2/token",
            "https://other.example/oauth2/token",
            "https://auth.example./oauth2/token",
        ];
        let mut normal: Vec<_> = addresses.iter().map(|text| normal(text).expect(text)).collect();
        normal.sort();
        normal.dedup();
        assert_eq!(normal.len(), addresses.len());
    }

    #[test]
    fn what_is_no_address_of_a_request_is_refused() {
        let long = format!("https://auth.example/{}", "a".repeat(MAX_HTTP_URI));
        for text in [
            "",
            "/oauth2/token",
            "auth.example/oauth2/token",
            "ftp://auth.example/",
            "https:/auth.example/",
            "https:///a",
            "https://user@auth.example/",
            "https://auth.example:x/",
            "https://::1/",
            "https://auth.example/%4",
            "https://auth.example/%zz",
            "https://auth.example/a b",
            "https://auth.example/\u{e9}",
            "https://auth.{example}/",
            "https://[::1%251]/",
            &long,
        ] {
            assert_eq!(HttpUri::parse(text), None, "{text}");
        }
    }
}
