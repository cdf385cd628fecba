//! The words that oracle and system share: who there is, and what can happen. No rule lives here.

use annul_core::algebra::Reach;
use annul_core::target::TargetKind;

/// Who a session is for. Two of each are enough to tell "this one" from "another one".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) subject: u8,
    pub(crate) client: u8,
    pub(crate) device: u8,
}

/// What a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Named {
    Issuer,
    Subject(u8),
    Client(u8),
    SubjectClient(u8, u8),
    Device(u8, u8),
    /// A session by its number in order of login.
    Session(usize),
    /// A token by its number in order of issue.
    Token(usize),
    Key(u8),
    /// The proof key that a device holds.
    Confirmation(u8),
    /// The claim `role` with this value.
    Role(u8),
}

impl Named {
    pub(crate) const fn kind(self) -> TargetKind {
        match self {
            Self::Issuer => TargetKind::Issuer,
            Self::Subject(_) => TargetKind::Subject,
            Self::Client(_) => TargetKind::Client,
            Self::SubjectClient(..) => TargetKind::SubjectClient,
            Self::Device(..) => TargetKind::Device,
            Self::Session(_) => TargetKind::Session,
            Self::Token(_) => TargetKind::Token,
            Self::Key(_) => TargetKind::Key,
            Self::Confirmation(_) => TargetKind::Confirmation,
            Self::Role(_) => TargetKind::Claim,
        }
    }
}

/// How far back a revocation is asked to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    Always,
    Now,
    /// To logins before the second that lies this far back; negative lies ahead.
    Before(i64),
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A login whose user authenticated `ago` seconds ago.
    Login { bearer: Bearer, role: u8, ago: u64 },
    /// The next access token of a session, signed with a key.
    Issue { session: usize, key: u8 },
    /// A revocation.
    Revoke { named: Named, back: Back, reach: Reach },
    /// "Log out my other devices": everything of the session's subject, this session kept.
    Keep { session: usize },
    /// A logout.
    End { session: usize },
    /// A key is killed.
    Kill { key: u8 },
    /// The revocation with this number, in order of entry, is lifted.
    Lift { entry: usize },
    /// A subject's role becomes this.
    SetRole { subject: u8, role: u8 },
    /// A subject is blocked.
    Block { subject: u8 },
    /// A subject is unblocked.
    Unblock { subject: u8 },
    /// Time passes.
    Wait { seconds: u64 },
}

/// The second at which every history begins.
pub(crate) const START: u64 = 1_000_000;
/// How long tokens live.
pub(crate) const LIFE: u64 = 100;
/// How long past its `exp` a verifier may still accept a token.
pub(crate) const LEEWAY: u64 = 10;
