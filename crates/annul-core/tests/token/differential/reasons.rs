//! Why annul and another library disagree, by defect.

use super::page::Row;

const REASONS: [(&str, &str); 46] = [
    ("sound, ES512", "`jsonwebtoken` knows no ES512"),
    ("JWS-1 padding", "padded and unpadded are two texts of one token"),
    (
        "JWS-7 spare bits",
        "the same signature under another text: whoever refuses or remembers tokens by their text misses it",
    ),
    ("JWS-1 white space", "the same: a second text"),
    (
        "BCP-2 encrypted",
        "a header that speaks of encryption is read by another rule elsewhere; none of it is ours to guess",
    ),
    ("JWS-3 crit of nothing", "RFC 7515 §4.1.11 forbids the empty list"),
    ("JWS-3 crit of the unknown", "RFC 7515 §4.1.11: what is critical and not understood is refused"),
    ("JWS-3 b64", "RFC 7797 §7: `b64` has no place in a JWT, and true is worth nothing"),
    ("JWS-3 b64 false", "it says that other bytes were signed than were"),
    (
        "BCP-4 another kind",
        "a logout token or a proof is no access token; the others leave this to their callers (`jose` has an option)",
    ),
    ("JWS-2 types", "types are not guessed: RFC 7515 §4.1.4 and §4.1.9 say text"),
    ("JWS-5 kid", "the token asks for a key that is not there; the others were handed one key and do not compare"),
    (
        "JWS-5 own key, ill-formed",
        "`jsonwebtoken` reads the members that annul does not look at, and trips over their form",
    ),
    ("JWS-2 header names twice", "some readers take the first, some the last"),
    ("JWS-2 header, mark", "not JSON (RFC 8259 §8.1); a mark is a second text"),
    ("JWS-2 claims named twice", "some readers take the first, some the last: which `jti` is revoked?"),
    ("JWS-2 claims, no JSON", "Python reads `NaN` and `Infinity`, which are not JSON"),
    ("JWT-1 numbers that no double holds", "they become infinite, or an error, by the reader"),
    (
        "JWT-1 whole numbers beyond 2^53",
        "JavaScript reads the nearest double, so the number is another one there; write such ids as text",
    ),
    ("JWS-2 lone surrogates", "half a character has no UTF-8, and replacing it makes one name of two"),
    ("JWS-2 claims, mark", "as in the header"),
    ("depth", "a bound of 32 levels, before any cryptography"),
    ("JWT-1 dates that are null", "a date is a number or absent (RFC 7519 §4.1)"),
    ("JWT-1 exp", "Python reads a text of digits as a number; other readers skip it, so it never expires there"),
    ("JWT-1 nbf", "the same"),
    ("JWT-1 iat", "`iat` is what cutoffs by time compare with"),
    ("JWT-1 auth_time", "`auth_time` is what cutoffs by time compare with; the others give it no meaning"),
    (
        "JWT-2 far future",
        "`jsonwebtoken` holds dates in integers and refuses what they do not; a longest life, where it is known, refuses all of these here",
    ),
    ("T-4 iat from the future", "it would outlive every cutoff that is set before its `iat`"),
    ("JWT-3 aud, mixed", "a list of texts (RFC 7519 §4.1.3) with something else in it is no list of texts"),
    ("JWT-3 iss", "one issuer, as text (RFC 7519 §4.1.1); in a list one could stand for another"),
    ("JWT-4 sub or jti", "they are targets, and a target is text: 7 and \"7\" would be two names of one"),
    ("JWT-4 empty", "an empty name cannot be written as a target, so what it names could not be revoked by it"),
    ("JWT-4 long", "the same, beyond 512 bytes"),
    ("JWT-4 other names", "these are targets here, and have no meaning to the others"),
    ("JWT-4 scope, cnf", "the same; RFC 8693 §4.2 and RFC 7800 §3 give the types"),
    ("size", "a bound of 16 KiB, before reading"),
    ("JWK-1 purpose", "RFC 7517 §4.2, §4.3: the key is for something else"),
    ("JWK-1 private", "a private key that was published is anybody's"),
    ("JWK-1 alg", "the description contradicts itself; the others were told an algorithm and do not look"),
    ("JWS-6 short secrets", "RFC 7518 §3.2: at least as long as the hash"),
    ("JWS-4 secrets that are public", "whoever reads the public key could sign; PyJWT refuses it too"),
    ("JWS-6 small order", "one signature fits every message, so the key proves nothing"),
    ("JWS-6 exponent 1", "anybody can sign for such a key"),
    ("JWS-6 leading zero", "a second writing of the key, with another thumbprint"),
    ("JWS-6 coordinates", "RFC 7518 §6.2.1.2 gives the exact length; a second writing of the key"),
];

pub(super) fn of(id: &str) -> Option<&'static str> {
    REASONS.iter().find(|(defect, _)| *defect == id).map(|(_, reason)| *reason)
}

/// Every disagreement has a reason, and every reason a disagreement.
pub(super) fn explain(rows: &[Row]) {
    let unexplained: Vec<&Row> = rows.iter().filter(|row| row.is_disagreement() && of(row.id).is_none()).collect();
    for row in &unexplained {
        eprintln!("{row:#?}");
    }
    assert!(
        unexplained.is_empty(),
        "no reason is given for {:?}",
        unexplained.iter().map(|row| row.id).collect::<Vec<_>>()
    );
    for (id, _) in REASONS {
        assert!(rows.iter().any(|row| row.id == id && row.is_disagreement()), "all agree on {id:?} now");
    }
}
