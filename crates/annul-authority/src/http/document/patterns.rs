//! The forms of texts, as the regular expressions of ECMA-262 that JSON Schema has.

use annul_core::feed::log::ReplicaId;
use annul_core::position::Position;
use annul_core::target::TargetKind;
use annul_core::token::MAX_NAME;

use crate::http::body::MAX_IDEMPOTENCY_KEY;
use crate::verbs::clients::OWN_SCOPES;

/// The base64url of 32 bytes, without padding.
pub(super) const THUMBPRINT: &str = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$";
/// Words of a scope (RFC 6749 §3.3), with spaces between and around them.
pub(super) const SCOPE: &str = r"^[\x20\x21\x23-\x5b\x5d-\x7e]*$";
/// A JWT in its compact form.
pub(super) const JWT: &str = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$";
/// Whom a token is for, as an address (RFC 8707 §2): the common ones. The code takes others too, such as those with
/// escapes or a user's name.
pub(super) const RESOURCE: &str =
    r"^[A-Za-z][A-Za-z0-9+.-]{0,31}://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?][!$&-;=?-Z_a-z~]*)?$";
/// A DNS name without wildcard.
pub(super) const HOST: &str = r"^[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$";
/// Where a browser may be sent: https, http on loopback, or an app's own scheme, without fragment.
pub(super) const REDIRECT: &str = concat!(
    r#"^((https://([A-Za-z0-9._-]+|\[::1\])|http://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?([/?][!"$-Z\\^-~]*)?"#,
    r#"|[A-Za-z0-9+-]*\.[A-Za-z0-9+.-]*:[!"$-Z\\^-~]+)$"#
);

/// `epoch:seq`, each with a digit less than the greatest has, so that what matches is within its range: the code
/// takes the few above as well, which no log reaches.
pub(super) fn position() -> String {
    let after_the_first = |greatest: u64| greatest.ilog10() - 1;
    let (epoch, seq) = (after_the_first(u32::MAX.into()), after_the_first(Position::MAX_SEQ));
    format!("^(0|[1-9][0-9]{{0,{epoch}}}):(0|[1-9][0-9]{{0,{seq}}})$")
}

/// Something, and no control characters. What has more bytes than characters may still be too long.
pub(super) fn name() -> String {
    format!(r"^[^\u0000-\u001f\u007f-\u009f]{{1,{MAX_NAME}}}$")
}

/// What names a verifier, and an instance of it.
pub(super) fn replica() -> String {
    format!("^[A-Za-z0-9._-]{{1,{}}}$", ReplicaId::MAX_PART)
}

/// What names an attempt.
pub(super) fn idempotency_key() -> String {
    format!("^[ -~]{{1,{MAX_IDEMPOTENCY_KEY}}}$")
}

/// One word of a client's scopes: of its own making, or one of ours.
pub(super) fn client_scope() -> String {
    let ours = OWN_SCOPES.map(|scope| scope.replace('.', r"\.")).join("|");
    format!(r"^({ours}|(?!annul\.)[\x21\x23-\x5b\x5d-\x7e]+)$")
}

/// A target's text, of any kind and issuer.
pub(super) fn target() -> String {
    // Escapes make up whole characters of UTF-8 (RFC 3629 §4), for everything between them is whole.
    let tail = "%[89ABab][0-9A-Fa-f]";
    let escape = [
        "%[0-7][0-9A-Fa-f]".to_owned(),
        format!("(%[Cc][2-9A-Fa-f]|%[Dd][0-9A-Fa-f]){tail}"),
        format!("(%[Ee]0%[ABab][0-9A-Fa-f]|%[Ee][1-9A-Ca-cEFef]{tail}|%[Ee][Dd]%[89][0-9A-Fa-f]){tail}"),
        format!("(%[Ff]0%[9ABab][0-9A-Fa-f]|%[Ff][1-3]{tail}|%[Ff]4%8[0-9A-Fa-f]){tail}{tail}"),
    ]
    .join("|");
    let part = |separator: &str| format!(r"([^\u0000-\u001f\u007f-\u009f%{separator}]|{escape})+");
    let (part, claim) = (part("/"), part("="));
    let inner: Vec<String> = TargetKind::ALL
        .into_iter()
        .filter(|kind| *kind != TargetKind::Issuer)
        .map(|kind| match kind {
            TargetKind::Claim => format!("{kind}:{claim}={claim}"),
            TargetKind::SubjectClient | TargetKind::Device => format!("{kind}:{part}/{part}"),
            _ => format!("{kind}:{part}"),
        })
        .collect();
    let (inner, issuer) = (inner.join("|"), TargetKind::Issuer);
    format!("^({issuer}|{issuer}:{part}|({issuer}:{part}/)?({inner}))$")
}
