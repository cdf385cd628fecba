//! Refreshing a session, durable: how many per second, how long a caller waits, what it costs the
//! server, and what it leaves on the disk. Beside it `oidc-provider`, which commits nothing.

mod callers;
mod store;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use self::callers::{Caller, Endpoint, Enough, one_each, open_sessions, refresh};
use crate::measure::clock::quantile;
use crate::measure::{Contestant, Form, Sheet, Unit, clock, pin, side_by_side};
use crate::peers::oidc_provider::OidcProvider;
use crate::peers::runtimes;
use crate::world::authority::Authority;
use crate::world::workspace;

const CALLERS: [usize; 3] = [1, 16, 256];
/// The cores that server and callers share, by which the rate per core is divided.
const CORES: usize = 2;
/// The number of callers whose rate is told per core.
const PER_CORE: usize = 256;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    // One thread for all callers: what it takes is in both systems' figures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    pin::first(CORES)?;
    rates(form, &runtime, &mut sheet)?;
    store::growth(form, &runtime, &mut sheet)?;
    Ok(sheet)
}

fn rates(form: Form, runtime: &Runtime, sheet: &mut Sheet) -> Result<()> {
    sheet.fact("cores of server and callers", CORES);
    sheet.fact("node", runtimes::versions().0);
    let dir = workspace::on_disk()?;
    let authority = Authority::start(dir.path(), "")?;
    let peer = RefCell::new(OidcProvider::start()?);
    let ours = Server { pid: authority.pid(), endpoint: Endpoint::of(&authority) };
    let theirs = Server {
        pid: peer.borrow().pid(),
        endpoint: Endpoint {
            url: peer.borrow().url().to_owned(),
            path: "/token",
            authorization: peer.borrow().authorization(),
        },
    };
    let length = Duration::from_millis(form.of(3000, 400));
    let rounds = Rounds::default();
    let mut contestants = Vec::new();
    for count in CALLERS {
        let plural = if count == 1 { "" } else { "s" };
        let mut held = one_each(runtime.block_on(open_sessions(&authority, count))?);
        let (server, name) = (&ours, format!("annul, {count} caller{plural}"));
        let rounds = &rounds;
        contestants.push(Contestant::new(name.clone(), Unit::PerSecond, move || {
            rounds.keep(&name, server.round(runtime, &mut held, length)?)
        }));
        let (server, peer, name) = (&theirs, &peer, format!("oidc-provider, {count} caller{plural}"));
        contestants.push(Contestant::new(name.clone(), Unit::PerSecond, move || {
            let mut held = one_each(peer.borrow_mut().open(count)?);
            rounds.keep(&name, server.round(runtime, &mut held, length)?)
        }));
    }
    side_by_side(sheet, form.rounds(), &mut contestants)?;
    drop(contestants);
    rounds.write_down(sheet);
    Ok(())
}

/// One of the two that are refreshed at.
struct Server {
    pid: u32,
    endpoint: Endpoint,
}

impl Server {
    fn round(&self, runtime: &Runtime, callers: &mut Vec<Caller>, length: Duration) -> Result<Round> {
        let before = clock::process_cpu(self.pid)?;
        let refreshed = runtime.block_on(refresh(&self.endpoint, callers, Enough::After(length)))?;
        let cpu = clock::process_cpu(self.pid)? - before;
        Ok(Round {
            per_second: 1e9 / clock::nanos_each(refreshed.took, refreshed.count),
            p50: quantile(&refreshed.waits, 0.5),
            p99: quantile(&refreshed.waits, 0.99),
            server_micros: clock::nanos_each(cpu, refreshed.count) / 1e3,
        })
    }
}

/// What one round says besides its rate. Waits are in milliseconds.
struct Round {
    per_second: f64,
    p50: f64,
    p99: f64,
    server_micros: f64,
}

/// All rounds by contestant, the one that warms up first.
#[derive(Default)]
struct Rounds(RefCell<BTreeMap<String, Vec<Round>>>);

impl Rounds {
    /// Keeps a round and returns its rate.
    fn keep(&self, name: &str, round: Round) -> Result<f64> {
        let per_second = round.per_second;
        self.0.borrow_mut().entry(name.to_owned()).or_default().push(round);
        Ok(per_second)
    }

    #[expect(clippy::cast_precision_loss, reason = "a handful of cores")]
    fn write_down(self, sheet: &mut Sheet) {
        let per_core = format!("annul, {PER_CORE} callers");
        for (name, rounds) in self.0.into_inner() {
            for round in rounds.iter().skip(1) {
                sheet.round(&format!("{name}, p50"), Unit::Millis, round.p50);
                sheet.round(&format!("{name}, p99"), Unit::Millis, round.p99);
                sheet.round(&format!("{name}, server"), Unit::ServerMicros, round.server_micros);
                if name == per_core {
                    sheet.round(&format!("{name}, per core"), Unit::PerSecond, round.per_second / CORES as f64);
                }
            }
        }
    }
}
