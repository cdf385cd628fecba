//! Signing an access token, beside `jsonwebtoken`.

use std::hint::black_box;

use anyhow::{Context as _, Result, anyhow};
use jsonwebtoken::{Header, encode};

use crate::measure::{Contestant, Form, Sheet, Unit, clock, side_by_side};
use crate::peers::jwt::Claims;
use crate::world::keys::{Signer, Signing};
use crate::world::tokens;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    for signing in [Signing::EdDsa, Signing::Rs256, Signing::Es256] {
        let name = signing.name();
        let signer = Signer::generate(signing)?;
        let key = signer.authority_key().context("an asymmetric key")?;
        let claims = tokens::claims(signing, 1);
        let typed: Claims = serde_json::from_value(claims.clone().into())?;
        let encoding = signer.encoding_key()?;
        let header = Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some(key.kid().to_owned()),
            ..Header::new(signing.of_peer())
        };
        let count = form.of(if signing == Signing::Rs256 { 200 } else { 2000 }, 20);
        side_by_side(
            &mut sheet,
            form.rounds(),
            &mut [
                Contestant::new(format!("annul, {name}"), Unit::CpuNanos, || {
                    round(count, || key.sign_token("at+jwt", black_box(&claims)).map_err(|error| anyhow!("{error}")))
                }),
                Contestant::new(format!("jsonwebtoken, {name}"), Unit::CpuNanos, || {
                    round(count, || Ok(encode(&header, black_box(&typed), &encoding)?))
                }),
            ],
        )?;
    }
    Ok(sheet)
}

fn round(count: usize, mut sign: impl FnMut() -> Result<String>) -> Result<f64> {
    let mut outcome = Ok(());
    let nanos = clock::cpu_nanos_each(count, || {
        outcome = (0..count).try_for_each(|_| sign().map(|token| drop(black_box(token))));
    });
    outcome.map(|()| nanos)
}
