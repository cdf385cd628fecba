//! The two tokens of a session, as texts that no log shows.

use std::fmt;

use crate::http::Scheme;
use crate::sync::Arc;

/// A refresh token. Whoever has it has the session, so its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(Arc<str>);

impl RefreshToken {
    /// The token with this text, as an authority gave it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, to be written where only its owner can read it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RefreshToken {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for RefreshToken {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

/// An access token as it was issued. It is not verified here: it is for others to judge. Its `Debug`
/// does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: Arc<str>,
    scheme: Scheme,
}

impl AccessToken {
    pub(super) fn new(text: &str, scheme: Scheme) -> Self {
        Self { text: text.into(), scheme }
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// How it is presented.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
