//! What lies on disk of refresh tokens is worth none: the data directory holds no secret of any, and
//! nothing in the database opens the successor that is kept during the grace.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use annul_authority::authority::{Authority, Caller, Setup};
use annul_authority::clock::Clock;
use annul_authority::model::Seen;
use annul_authority::secrets::sealing::MasterKey;
use annul_authority::secrets::secret::Secret;
use annul_authority::store::{SqliteOptions, SqliteStore};
use annul_authority::verbs::refresh::{ProofBinds, RefreshRequest};
use annul_authority::verbs::sessions::OpenSession;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;
use rusqlite::types::Value;

/// Bytes of a sid and of a generation, which stand before the secret.
const NAME: usize = 16 + 4;
const SECRET: usize = 32;
const NONCE: usize = 12;

#[tokio::test]
async fn rt_6_the_database_alone_gives_no_refresh_token() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), SqliteOptions::default(), Clock::system()).unwrap();
    let master = [7; 32];
    let setup = Setup::new("https://auth.example", "api");
    let started = Authority::start(std::sync::Arc::new(store), Clock::system(), MasterKey::from_bytes(master), setup);
    let authority = started.await.unwrap().authority;
    let mut tokens = Vec::new();
    for subject in ["alice", "bob", "carol"] {
        let open = OpenSession { subject: subject.to_owned(), refresh_token: true, ..OpenSession::default() };
        let mut newest = authority.open_session(&Caller::client("web"), open).await.unwrap().refresh_token.unwrap();
        for _ in 0..3 {
            tokens.push(newest.clone());
            newest = refresh(&authority, &newest).await;
        }
        tokens.push(newest);
    }
    search(dir.path(), &tokens, "while it runs");
    let rows = rows(dir.path());
    assert!(!rows.is_empty(), "no successor is kept, so nothing was tried");
    let candidates = candidates(dir.path());
    assert!(candidates.len() > 1000, "next to nothing was tried: {}", candidates.len());
    for (sid, generation, sealed) in &rows {
        let name = [URL_SAFE_NO_PAD.decode(sid).unwrap(), generation.to_be_bytes().to_vec()].concat();
        let tried = candidates.iter().chain([&master]).flat_map(|candidate| {
            [*candidate, derived(candidate), blake3::derive_key("annul refresh secret v0", candidate)]
        });
        for key in tried {
            assert_eq!(opened(&key, &name, sealed), None, "something in the database opens a successor");
        }
        // The spent token does, so what was tried above was tried rightly.
        let spent = tokens.iter().map(parts).find(|(spent, _)| {
            let (of, at) = spent.split_at(16);
            of == &name[..16] && at == (generation - 1).to_be_bytes()
        });
        let successor = opened(&derived(&spent.unwrap().1), &name, sealed).unwrap();
        assert!(tokens.iter().any(|token| parts(token).1.as_slice() == successor));
    }
    drop(authority);
    search(dir.path(), &tokens, "after it has ended");
}

async fn refresh(authority: &Authority, token: &Secret) -> Secret {
    let request = RefreshRequest {
        token: token.clone(),
        client_id: "web".to_owned(),
        proof: None,
        binds: ProofBinds::default(),
        scope: None,
        seen: Seen::default(),
    };
    authority.refresh(&Caller::client("web"), request).await.unwrap().refresh_token.unwrap()
}

/// Sid and generation, and the secret.
fn parts(token: &Secret) -> (Vec<u8>, [u8; SECRET]) {
    let encoded = token.expose().strip_prefix("annul_rt_").unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&encoded[..encoded.len() - 6]).unwrap();
    (bytes[..NAME].to_vec(), bytes[NAME..NAME + SECRET].try_into().unwrap())
}

/// No file holds a token, its secret or its MAC, as bytes, as base64 or as hexadecimal digits.
fn search(dir: &Path, tokens: &[Secret], when: &str) {
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for token in tokens {
            let (_, secret) = parts(token);
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            let encoded = token.expose();
            let forms = [encoded.as_bytes(), &encoded.as_bytes()[40..70], &secret, &secret[..16], hex.as_bytes()];
            for form in forms {
                let found = bytes.windows(form.len()).any(|part| part == form);
                assert!(!found, "{when}: {} bytes of a refresh token are in {}", form.len(), path.display());
            }
        }
    }
}

/// The families with a sealed successor: sid, its generation, the seal.
fn rows(dir: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let connection = Connection::open(dir.join("annul.db")).unwrap();
    let sql = "SELECT sid, generation, successor FROM refresh_family WHERE successor IS NOT NULL";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Every 32 bytes that stand together in any column of any table.
fn candidates(dir: &Path) -> Vec<[u8; SECRET]> {
    let connection = Connection::open(dir.join("annul.db")).unwrap();
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let mut candidates = Vec::new();
    for name in names {
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                let bytes = match row.get::<_, Value>(column).unwrap() {
                    Value::Blob(bytes) => bytes,
                    Value::Text(text) => text.into_bytes(),
                    Value::Null | Value::Integer(_) | Value::Real(_) => continue,
                };
                candidates.extend(bytes.windows(SECRET).map(|window| <[u8; SECRET]>::try_from(window).unwrap()));
            }
        }
    }
    candidates
}

fn derived(secret: &[u8; SECRET]) -> [u8; SECRET] {
    blake3::derive_key("annul refresh successor v0", secret)
}

fn opened(key: &[u8; SECRET], name: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_at(NONCE);
    let mut text = body.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, key).unwrap();
    Some(cipher.open_in_place(nonce, Aad::from(name), &mut text).ok()?.to_vec())
}
