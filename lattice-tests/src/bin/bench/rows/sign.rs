//! Signing and verifying an actor of 10 MiB, beside one SHA-256 over the same bytes: what cannot be avoided.
//!
//! In memory, so that no disk is measured. How much memory it takes is held by a test of `claims`.

use std::{future::ready, hint::black_box, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use claims::{ActorMetadata, Claims, KeyKind, KeyPair, wasm};
use sha2::{Digest, Sha256};

use crate::{
    measure::{Contender, Plan, Samples, in_turns, seconds_per_call},
    report::{Baseline, Budget, Row, Unit},
};

const SIZE: usize = 10 << 20;
const NOW: u64 = 1_700_000_000;
const BUDGET: Budget = Budget::AtMost(2.0);

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let module = Arc::new(module());
    let account = KeyPair::generate(KeyKind::Account);
    let actor = KeyPair::generate(KeyKind::Module).public();
    let claims = Claims::new(account.public(), actor.as_str(), ActorMetadata::default(), NOW);
    let signed = Arc::new(wasm::sign_actor(&module, claims.clone(), &account)?);

    let sign = {
        let module = module.clone();
        contender("signing", move || {
            black_box(wasm::sign_actor(&module, claims.clone(), &account)?);
            Ok(())
        })
    };
    let verify = contender("verifying", move || {
        black_box(wasm::verify_actor(&signed, NOW)?);
        Ok(())
    });
    let bare = contender("bare sha-256", move || {
        black_box(Sha256::digest(module.as_slice()));
        Ok(())
    });
    let samples = in_turns(plan, &mut [sign, verify, bare]).await?;
    let [sign, verify, bare] = <[_; 3]>::try_from(samples).ok().context("samples of every contender")?;
    Ok(vec![
        row("sign", "sign an actor of 10 MiB, in memory", sign, bare.clone()),
        row("verify", "verify a signed actor of 10 MiB, in memory", verify, bare),
    ])
}

fn contender(name: &'static str, work: impl Fn() -> Result<()> + Send + Sync + 'static) -> Contender {
    let work = Arc::new(work);
    Contender::new(name, move |slice: Duration| {
        let work = work.clone();
        seconds_per_call(slice, move || ready(work()))
    })
}

fn row(name: &'static str, title: &'static str, samples: Samples, bare: Samples) -> Row {
    let baseline = Baseline { name: "bare sha-256 of the same bytes", samples: Ok(bare), budget: Some(BUDGET) };
    Row { name, title, unit: Unit::Seconds, samples, limit: None, baselines: vec![baseline], notes: Vec::new() }
}

/// A module as compilers write them: types, much code, data; the bodies are noise.
fn module() -> Vec<u8> {
    let mut module = wasm::Layer::Module.header().to_vec();
    let rest = SIZE - (7 << 20) - (2 << 10);
    for (id, size) in [(1, 1 << 10), (10, 7 << 20), (11, rest)] {
        module.push(id);
        // Lengths in four bytes, padded where they are small.
        module.extend([0, 7, 14].map(|shift| (size >> shift & 0x7F) as u8 | 0x80));
        module.push((size >> 21) as u8);
        let mut state = 0x9E37_79B9_u32;
        module.extend((0..size).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        }));
    }
    module
}
