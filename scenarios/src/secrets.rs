//! Secrets that a run handed out or was given, and the search for them where they must not be.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Bytes by whose hash a secret is looked up. Shorter ones are compared at every place.
const HEAD: usize = 16;

/// Beginnings of three bytes, told apart before anything is hashed.
const BEGINNINGS: usize = 1 << 24;

/// Secrets, each with what it is.
#[derive(Debug)]
pub struct Secrets {
    /// Which beginnings any long secret has.
    begins: Vec<bool>,
    long: HashMap<[u8; HEAD], Vec<(String, Vec<u8>)>>,
    short: Vec<(String, Vec<u8>)>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self { begins: vec![false; BEGINNINGS], long: HashMap::new(), short: Vec::new() }
    }
}

impl Secrets {
    /// Adds one.
    ///
    /// # Panics
    /// If it is too short to be found rather than met by chance.
    pub fn add(&mut self, what: impl Into<String>, bytes: impl AsRef<[u8]>) {
        let (what, bytes) = (what.into(), bytes.as_ref().to_vec());
        assert!(bytes.len() > 4, "{what} is too short to be looked for");
        match bytes.first_chunk::<HEAD>() {
            Some(head) => {
                self.begins[beginning(head)] = true;
                self.long.entry(*head).or_default().push((what, bytes));
            }
            None => self.short.push((what, bytes)),
        }
    }

    /// Adds a token, and its signature apart: the rest of it is no secret.
    pub fn add_token(&mut self, what: &str, token: &str) {
        let signature = token.rsplit('.').next().unwrap_or_default();
        self.add(format!("the signature of {what}"), signature);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.short.len() + self.long.values().map(Vec::len).sum::<usize>()
    }

    /// The secrets that are in `bytes`, by what they are.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for (at, window) in bytes.windows(HEAD).enumerate() {
            if !self.begins[beginning(window)] {
                continue;
            }
            let head = window.first_chunk::<HEAD>().and_then(|head| self.long.get(head));
            let here = head.into_iter().flatten().filter(|(_, secret)| bytes[at..].starts_with(secret));
            found.extend(here.map(|(what, _)| what.as_str()));
        }
        let short = self.short.iter().filter(|(_, secret)| bytes.windows(secret.len()).any(|part| part == secret));
        found.extend(short.map(|(what, _)| what.as_str()));
        found
    }

    /// Asserts that none of them is in a file below one of these folders. `admin.credential` is where
    /// the administrator's belongs, and is passed over.
    ///
    /// # Panics
    /// If one is, or there is no file at all.
    pub fn assert_absent(&self, when: &str, folders: &[&Path]) {
        let files: Vec<_> = folders.iter().flat_map(|folder| files_below(folder)).collect();
        assert!(!files.is_empty(), "{when}: there is nothing to search");
        let is_credential = |file: &Path| file.file_name().is_some_and(|name| name == "admin.credential");
        for file in files.iter().filter(|file| !is_credential(file)) {
            // A file that went away since it was listed holds nothing any more.
            let found = std::fs::read(file).map(|bytes| self.found_in(&bytes).join(", ")).unwrap_or_default();
            assert!(found.is_empty(), "{when}: {found} is in {}", file.display());
        }
    }
}

/// The first three bytes as one number.
fn beginning(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
}

/// Every file below `folder`.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_wherever_it_lies_and_nothing_else_is() {
        let mut secrets = Secrets::default();
        secrets.add("a long one", "0123456789abcdefgh");
        secrets.add("its sibling", "0123456789abcdefxy");
        secrets.add("a short one", "hunter2");
        assert_eq!(secrets.count(), 3);
        assert!(secrets.found_in(b"").is_empty());
        assert!(secrets.found_in(b"0123456789abcdef and hunter").is_empty());
        assert_eq!(secrets.found_in(b"..0123456789abcdefgh"), ["a long one"]);
        assert_eq!(secrets.found_in(b"0123456789abcdefxy."), ["its sibling"]);
        assert_eq!(secrets.found_in(b"is hunter2"), ["a short one"]);
    }
}
