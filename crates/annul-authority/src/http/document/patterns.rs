//! The forms of texts, as the regular expressions of ECMA-262 that JSON Schema has.

use annul_core::target::TargetKind;

use crate::verbs::clients::OWN_SCOPES;

/// `epoch:seq`; what has more digits is beyond every log.
pub(super) const POSITION: &str = "^(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,12})$";
/// Something, and no control characters. What has more bytes than characters may still be too long.
pub(super) const NAME: &str = r"^[^\u0000-\u001f\u007f-\u009f]{1,512}$";
/// The base64url of 32 bytes, without padding.
pub(super) const THUMBPRINT: &str = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$";
/// A count of milliseconds, or with a unit.
pub(super) const WAIT: &str = "^[0-9]{1,9}(ms|s)?$";
/// Words of a scope (RFC 6749 §3.3), with spaces between and around them.
pub(super) const SCOPE: &str = r"^[\x20\x21\x23-\x5b\x5d-\x7e]*$";
/// What names a verifier, and an instance of it.
pub(super) const REPLICA: &str = "^[A-Za-z0-9._-]{1,128}$";
/// A JWT in its compact form.
pub(super) const JWT: &str = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$";

/// A DNS name without wildcard.
pub(super) const HOST: &str = r"^[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$";
/// Where a browser may be sent: https, http on loopback, or an app's own scheme, without fragment.
pub(super) const REDIRECT: &str = concat!(
    r#"^((https://([A-Za-z0-9._-]+|\[::1\])|http://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?([/?][!"$-Z\\^-~]*)?"#,
    r#"|[A-Za-z0-9+-]*\.[A-Za-z0-9+.-]*:[!"$-Z\\^-~]+)$"#
);

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
