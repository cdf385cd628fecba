//! Reference tokens: opaque access tokens, resolved by the authority alone.
//!
//! ```text
//! text = "annul_at_" | base64url(sid (16) | epoch (4) | sequence (8) | iat (8) | exp (8) | id (16) | MAC (16)) | checksum
//! MAC  = BLAKE3 keyed by a key derived from the master key, over what stands before it, 16 bytes
//! ```
//!
//! Numbers are big endian. Nothing of a token is kept: its MAC says that it was issued, and its session
//! what it is good for. So a forged one is refused without a look at the store.

use annul_core::position::Position;
use annul_core::time::UnixSeconds;
use annul_core::token::opaque::{CHECKSUM, REFERENCE_PREFIX, checksum};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::secrets::sealing::MasterKey;
use crate::secrets::secret::Secret;
use crate::verbs::minting::Stamp;

const NAME_BYTES: usize = 16;
const MAC_BYTES: usize = 16;
/// What the MAC is of.
const BODY_BYTES: usize = NAME_BYTES + 4 + 8 + 8 + 8 + NAME_BYTES;

/// A genuine reference token: issued here, or its MAC was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReferenceToken {
    /// The session it is of.
    pub(crate) sid: String,
    /// The log's head when it was issued.
    pub(crate) position: Position,
    /// When it was issued.
    pub(crate) issued: UnixSeconds,
    /// When it expires.
    pub(crate) expires: UnixSeconds,
    /// Its id.
    pub(crate) jti: String,
}

impl ReferenceToken {
    /// The token of a session with this stamp. `None` for a sid that is not 16 bytes in base64url or an
    /// id that is no UUID, which the authority makes none of.
    pub(crate) fn text(sid: &str, stamp: &Stamp, master: &MasterKey) -> Option<Secret> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BODY_BYTES + MAC_BYTES));
        let sid: [u8; NAME_BYTES] = URL_SAFE_NO_PAD.decode(sid).ok()?.try_into().ok()?;
        bytes.extend_from_slice(&sid);
        bytes.extend_from_slice(&stamp.position.epoch.to_be_bytes());
        for number in [stamp.position.seq, stamp.issued.0, stamp.expires.0] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(Uuid::parse_str(&stamp.jti).ok()?.as_bytes());
        let mac = mac(&bytes, master);
        bytes.extend_from_slice(&mac);
        let mut text = REFERENCE_PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        let checksum = checksum(&text);
        text.extend(checksum.map(char::from));
        Some(Secret::new(text))
    }

    /// The token that a text is, if it is one of ours, whatever became of it since.
    pub(crate) fn read(text: &str, master: &MasterKey) -> Option<Self> {
        let (before, given) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
        if given.as_bytes() != checksum(before) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(before.strip_prefix(REFERENCE_PREFIX)?).ok()?;
        let (body, mac) = bytes.split_at_checked(BODY_BYTES)?;
        if !bool::from(self::mac(body, master).as_slice().ct_eq(mac)) {
            return None;
        }
        let (sid, rest) = body.split_first_chunk::<NAME_BYTES>()?;
        let (epoch, rest) = rest.split_first_chunk::<4>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let (expires, jti) = rest.split_first_chunk::<8>()?;
        let jti = Uuid::from_slice(jti).ok()?;
        Some(Self {
            sid: URL_SAFE_NO_PAD.encode(sid),
            position: Position::new(u32::from_be_bytes(*epoch), u64::from_be_bytes(*seq)),
            issued: UnixSeconds(u64::from_be_bytes(*issued)),
            expires: UnixSeconds(u64::from_be_bytes(*expires)),
            jti: jti.to_string(),
        })
    }
}

/// What shows that a token with this body was made under this key.
fn mac(body: &[u8], master: &MasterKey) -> [u8; MAC_BYTES] {
    let mut mac = [0; MAC_BYTES];
    let key = master.derived("annul reference token v0");
    blake3::Hasher::new_keyed(&key).update(body).finalize_xof().fill(&mut mac);
    mac
}

#[cfg(test)]
mod tests {
    use annul_core::token::opaque::is_reference;

    use super::*;

    const SID: &str = "AAECAwQFBgcICQoLDA0ODw";
    const JTI: &str = "01999999-0000-7000-8000-000000000001";

    fn master() -> MasterKey {
        MasterKey::from_bytes([7; 32])
    }

    fn stamp() -> Stamp {
        Stamp {
            position: Position::new(3, 70_000),
            issued: UnixSeconds(1_800_000_000),
            expires: UnixSeconds(1_800_000_300),
            jti: JTI.to_owned(),
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let text = ReferenceToken::text(SID, &stamp(), &master()).unwrap();
        assert!(is_reference(text.expose()) && text.expose().len() == 117, "{}", text.expose().len());
        let read = ReferenceToken::read(text.expose(), &master()).unwrap();
        assert_eq!((read.sid.as_str(), read.jti.as_str()), (SID, JTI));
        assert_eq!((read.position, read.issued, read.expires), (stamp().position, stamp().issued, stamp().expires));
        assert!(ReferenceToken::text("short", &stamp(), &master()).is_none());
    }

    #[test]
    fn what_is_changed_cut_or_made_elsewhere_is_no_token() {
        let text = ReferenceToken::text(SID, &stamp(), &master()).unwrap();
        let text = text.expose();
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(ReferenceToken::read(&changed, &master()), None, "character {at} may be changed");
            // The same with a checksum that fits.
            if let Some(before) = changed.get(..text.len() - CHECKSUM) {
                let fitting = format!("{before}{}", String::from_utf8(checksum(before).to_vec()).unwrap());
                assert!(fitting == text || ReferenceToken::read(&fitting, &master()).is_none(), "character {at}");
            }
            assert_eq!(ReferenceToken::read(&text[..at], &master()), None);
        }
        assert_eq!(ReferenceToken::read(text, &MasterKey::from_bytes([8; 32])), None);
        assert_eq!(ReferenceToken::read(&"ä".repeat(58), &master()), None);
    }
}
