//! `annul token verify`: signature and claims, by keys at hand or those of a running authority.
//!
//! One answer per token, in order: `OK`, or `REFUSED` and the code. Nothing here looks at
//! revocations; `annul token check` does. Foreign test vectors can be run through it: tokens come as
//! arguments or as lines of hostile bytes, and `--jws-only` stops at the signature.

use std::io::{self, BufRead};
use std::path::PathBuf;

use annul_core::time::UnixSeconds;
use annul_core::token::{
    Algorithm, Expect, KeySet, Malformed, TokenError, Typ, UnverifiedToken, VerifiedToken, verify_jws,
};
use clap::Args;
use serde_json::{Value, json};

use crate::credential::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::input::{self, Line, Lines};
use crate::issuers::MAX_JWKS;
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::when::{self, SecondsArg, TimeArg};

/// Verify signature and claims of tokens, one answer per token
///
/// Prints OK, or REFUSED and the code, per token and in order; exits 1 when any was refused. It does
/// not look at revocations: annul token check does.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The tokens
    #[arg(value_name = "JWT", required_unless_present = "stdin")]
    tokens: Vec<String>,
    /// Read tokens from stdin, one per line
    #[arg(long, conflicts_with = "tokens")]
    stdin: bool,
    /// The JWK set to verify by, in place of a running authority's
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// The iss that is expected; where it is not given, that of the running authority
    #[arg(long, value_name = "URL", conflicts_with = "jws_only")]
    issuer: Option<String>,
    /// The aud that is expected
    #[arg(long, required_unless_present = "jws_only", conflicts_with = "jws_only")]
    audience: Option<String>,
    /// By how much clocks may differ, in seconds; 5 where it is not given
    #[arg(long, value_name = "SECONDS")]
    leeway: Option<SecondsArg>,
    /// The typ that is expected; where it is not given, at+jwt of the running authority's tokens, and
    /// JWT, at+jwt or none of others
    #[arg(long, value_name = "TYPE")]
    typ: Option<String>,
    /// An algorithm that is accepted; may be given several times
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    alg: Vec<Algorithm>,
    /// The longest life a token may have, in seconds
    #[arg(long, value_name = "SECONDS")]
    longest_life: Option<SecondsArg>,
    /// Judge as if it were this time
    #[arg(long, value_name = "TIME")]
    now: Option<TimeArg>,
    /// Stop at the signature; the payload may be anything
    #[arg(long)]
    jws_only: bool,
    #[command(flatten)]
    connection: Connection,
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(text).ok_or_else(|| format!("{text:?} is not an algorithm that is verified here"))
}

impl Verify {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let judge = self.judge().await?;
        let mut answers = Answers { format, number: 0, exit: Exit::Done };
        if self.stdin {
            each_line(io::stdin().lock(), |line| answers.give(judge.line(&line)))?;
        } else {
            self.tokens.iter().for_each(|token| answers.give(judge.token(token)));
        }
        Ok(answers.exit)
    }

    async fn judge(&self) -> Result<Judge, Failure> {
        let (keys, issuer) = match &self.jwks {
            Some(path) => (keys_of(&input::bytes(path, MAX_JWKS)?, &path.display().to_string())?, None),
            None => self.keys_of_authority().await?,
        };
        let expect = match (&self.audience, self.jws_only) {
            (Some(audience), false) => Some(self.expect(issuer.as_deref(), audience)?),
            _ => None,
        };
        Ok(Judge { keys, expect, now: self.now.map(|now| now.0) })
    }

    /// The running authority's keys and its issuer.
    async fn keys_of_authority(&self) -> Result<(KeySet, Option<String>), Failure> {
        let remote = Remote::anonymous(&self.connection)?;
        let metadata = remote.get(&[".well-known", "oauth-authorization-server"]).await?;
        let issuer = metadata["issuer"]
            .as_str()
            .ok_or_else(|| Failure::unreachable("the authority's metadata names no issuer"))?
            .to_owned();
        if let Some(wanted) = self.issuer.as_ref().filter(|wanted| **wanted != issuer) {
            return Err(Failure::usage(format!("the authority is {issuer:?}, not {wanted:?}"))
                .with_hint("give that issuer's keys with --jwks FILE"));
        }
        let jwks = remote.get(&[".well-known", "jwks.json"]).await?;
        Ok((keys_of(jwks.to_string().as_bytes(), "the authority's JWK set")?, Some(issuer)))
    }

    /// What is expected: of the running authority's tokens all that its own tokens must hold, of
    /// others what the flags say.
    fn expect(&self, own_issuer: Option<&str>, audience: &str) -> Result<Expect, Failure> {
        let mut expect = match (own_issuer, &self.issuer) {
            (Some(own), _) => Expect::own(own, audience),
            (None, Some(issuer)) => Expect::foreign(issuer, audience),
            (None, None) => {
                return Err(Failure::usage("with --jwks the issuer is not known")
                    .with_hint("add --issuer, or --jws-only to verify signatures alone"));
            }
        };
        if let Some(leeway) = self.leeway {
            expect = expect.with_leeway(leeway.0);
        }
        if let Some(life) = self.longest_life {
            expect = expect.with_longest_life(life.0);
        }
        if let Some(typ) = &self.typ {
            expect = expect.with_typ(Typ::Exactly(typ.clone()));
        }
        if !self.alg.is_empty() {
            expect = expect.with_algorithms(self.alg.iter().copied());
        }
        Ok(expect)
    }
}

fn keys_of(jwks: &[u8], name: &str) -> Result<KeySet, Failure> {
    let (keys, skipped) = KeySet::from_jwks(jwks).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    for key in skipped {
        let kid = key.kid.as_deref().map_or_else(String::new, |kid| format!(" ({kid:?})"));
        eprintln!("note: {name}: key {}{kid} is left out: {}", key.index, key.reason);
    }
    Ok(keys)
}

struct Judge {
    keys: KeySet,
    /// Nothing: the signature alone is verified.
    expect: Option<Expect>,
    /// Nothing: the time at which each token is judged, for lines may come for hours.
    now: Option<UnixSeconds>,
}

impl Judge {
    fn line(&self, line: &Line) -> Result<Option<VerifiedToken>, TokenError> {
        match line {
            Line::TooLong => Err(TokenError::TooLarge),
            Line::Whole(bytes) => self.token(std::str::from_utf8(bytes).map_err(|_| Malformed::Utf8)?),
        }
    }

    fn token(&self, token: &str) -> Result<Option<VerifiedToken>, TokenError> {
        match &self.expect {
            None => verify_jws(token, &self.keys).map(|_payload| None),
            Some(expect) => {
                let now = self.now.unwrap_or_else(|| when::now().floor());
                UnverifiedToken::parse(token)?.verify(&self.keys, expect, now).map(Some)
            }
        }
    }
}

fn each_line(reader: impl BufRead, mut judge: impl FnMut(Line)) -> Result<(), Failure> {
    let mut lines = Lines::new(reader);
    while let Some(line) =
        lines.next_line().map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))?
    {
        judge(line);
    }
    Ok(())
}

/// The answers given so far.
struct Answers {
    format: Format,
    number: u64,
    exit: Exit,
}

impl Answers {
    fn give(&mut self, result: Result<Option<VerifiedToken>, TokenError>) {
        self.number += 1;
        if result.is_err() {
            self.exit = Exit::Refused;
        }
        match (self.format, result) {
            (Format::Human, Ok(_)) => print::line("OK"),
            (Format::Human, Err(error)) => print::line(&format!("REFUSED {}", error.code())),
            (Format::Json, result) => print::json_line(&self.json(result)),
        }
    }

    fn json(&self, result: Result<Option<VerifiedToken>, TokenError>) -> Value {
        match result {
            Ok(Some(token)) => json!({ "number": self.number, "verdict": "ok", "claims": token.claims().map() }),
            Ok(None) => json!({ "number": self.number, "verdict": "ok" }),
            Err(error) => {
                json!({ "number": self.number, "verdict": "refused", "code": error.code(), "detail": error.to_string() })
            }
        }
    }
}
