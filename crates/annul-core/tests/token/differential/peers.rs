//! The libraries that are asked, each as a careful application uses it: one key, one algorithm, the issuer, the
//! audience, a leeway of five seconds, and an `exp` that has to be there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use annul_core::time::UnixSeconds;
use annul_core::token::{Expect, KeySet, UnverifiedToken};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

use super::defect::{Case, now};
use crate::signing::{API, IDP};

const LEEWAY: u64 = 5;

/// What a library makes of a token: its claims, or why not.
pub(super) type Answer = Result<Value, String>;

/// The libraries of other languages, each one process for the whole run.
pub(super) struct Peers {
    jose: Peer,
    pyjwt: Peer,
}

impl Peers {
    pub(super) fn start() -> Self {
        Self { jose: Peer::start("node"), pyjwt: Peer::start("python") }
    }

    /// The answers of annul, `jsonwebtoken`, `jose` and `PyJWT`, in this order.
    pub(super) fn ask(&mut self, case: &Case) -> [Answer; 4] {
        let question = json!({
            "token": case.token, "jwk": case.jwk, "algorithm": case.algorithm.name(), "issuer": IDP, "audience": API,
            "leeway": LEEWAY,
        });
        [annul(case), jsonwebtoken(case), self.jose.ask(&question), self.pyjwt.ask(&question)]
    }
}

fn annul(case: &Case) -> Answer {
    let set = json!({"keys": [case.jwk]}).to_string();
    let (keys, skipped) = KeySet::from_jwks(set.as_bytes()).map_err(|error| error.to_string())?;
    if !skipped.is_empty() {
        return Err("key not loaded".to_owned());
    }
    let expect = Expect::foreign(IDP, API).with_leeway(LEEWAY).with_algorithms([case.algorithm]);
    let verified =
        UnverifiedToken::parse(&case.token).and_then(|token| token.verify(&keys, &expect, UnixSeconds(now())));
    verified.map(|token| Value::Object(token.claims().map().clone())).map_err(|error| error.code().to_owned())
}

fn jsonwebtoken(case: &Case) -> Answer {
    let refuse = |error: jsonwebtoken::errors::Error| error.to_string();
    let jwk: Jwk = serde_json::from_value(case.jwk.clone()).map_err(|error| error.to_string())?;
    let mut validation = Validation::new(case.algorithm.name().parse().map_err(refuse)?);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[IDP]);
    validation.set_audience(&[API]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let key = DecodingKey::from_jwk(&jwk).map_err(refuse)?;
    let decoded = jsonwebtoken::decode::<Value>(&case.token, &key, &validation);
    decoded.map(|decoded| decoded.claims).map_err(refuse)
}

struct Peer {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Installs the peer's library first, if that was not done before.
    fn start(language: &str) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/peer");
        let spawned =
            Command::new(program).args(["differential", language]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.unwrap_or_else(|error| panic!("{program} {language} does not start: {error}"));
        let (questions, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, questions, answers: BufReader::new(answers) }
    }

    fn ask(&mut self, question: &Value) -> Answer {
        writeln!(self.questions, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "a peer stopped answering {question}; it said why above");
        match serde_json::from_str::<Value>(&line) {
            Ok(mut answer) if answer["ok"] == true => Ok(answer["claims"].take()),
            Ok(answer) => Err(answer["error"].as_str().unwrap_or_default().to_owned()),
            // It read something that JSON cannot say, such as NaN or half a surrogate pair.
            Err(_) => Ok(Value::Null),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends by itself when the questions end; this is for a test that failed in the midst of one.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
