//! The table of codes in print, `docs/reference/errors.md`. A test fails when the two differ.

use std::fmt::Write as _;

use super::Code;

impl Code {
    /// The table as the page `docs/reference/errors.md`.
    #[must_use]
    pub fn page() -> String {
        let mut page = String::from(
            "# Error codes\n\n\
             Generated from `crates/annul-authority/src/http/codes.rs`; a test fails when this page differs.\n\n\
             Under `/v1` and `/.well-known` an error is a problem document (RFC 9457, `application/problem+json`) with\n\
             `type`, `title`, `status`, `detail`, `code`, `hint` and `request_id`. Under `/oauth2` it has `error`,\n\
             `error_description` (RFC 6749) and `code`. Programs should branch on `code`; the other texts may improve.\n\
             The codes of a refused token have status 401 where that token is the caller's own credential, as at\n\
             `/v1/logout`; where two are given, the second is for a DPoP proof that comes beside such a token.\n\n\
             | code | status | `error` under `/oauth2` | what happened | what to do |\n\
             |---|---|---|---|---|\n",
        );
        for code in Self::ALL {
            // Writing to a String cannot fail.
            let _ = writeln!(
                page,
                "| `{}` | {} | `{}` | {}. | {} |",
                code.name(),
                code.printed_status(),
                code.oauth_error(),
                code.title(),
                code.hint()
            );
        }
        page
    }

    /// The status, or both, in print.
    fn printed_status(self) -> String {
        match (self.status(), self.status_beside_token()) {
            (status, beside) if status == beside => status.to_string(),
            (status, beside) => format!("{status}; beside a token {beside}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ANNUL_WRITE_DOCS=1 cargo test -p annul-authority the_printed_table` writes the page anew.
    #[test]
    fn the_printed_table_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/errors.md");
        if std::env::var_os("ANNUL_WRITE_DOCS").is_some() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, Code::page()).unwrap();
        }
        let printed = std::fs::read_to_string(path).unwrap();
        assert!(printed == Code::page(), "docs/reference/errors.md differs; write it anew with ANNUL_WRITE_DOCS=1");
    }
}
