//! What is done to the processes, and when.

use std::time::Duration;

use scenarios::{Authority, Dice, Gateway, Service};

use crate::shared::Shared;

/// The processes of a chapter.
pub(crate) struct Processes {
    pub(crate) authority: Authority,
    /// Follows the authority.
    pub(crate) near: Service,
    /// A verifier for proxies, and the relay of the next.
    pub(crate) gateway: Gateway,
    /// Follows the gateway.
    pub(crate) far: Service,
}

/// Suspensions outlast the staleness that verifiers accept, and end before clients give up.
const SUSPENDED_AT_LEAST: u64 = 200;
const SUSPENDED_AT_MOST: u64 = 2_600;
/// After so many microseconds at most something is killed, once there was enough to lose.
const MOMENT: u64 = 60_000;
/// So many revocations at most are acknowledged between two disturbances.
const BETWEEN: u64 = 12;
/// How long clients may take to get there on a busy machine.
const LOAD: Duration = Duration::from_secs(60);

/// Kills, interrupts and suspends until there were `kills` of SIGKILL.
pub(crate) async fn disturb(processes: &mut Processes, shared: &Shared, mut dice: Dice, kills: u64) {
    let mut done = 0;
    while done < kills {
        under_load(shared, &mut dice).await;
        match dice.below(100) {
            0..55 => {
                kill_authority(processes, shared);
                done += 1;
            }
            55..67 => {
                processes.near.kill();
                processes.near.restart();
                shared.moved("near", processes.near.url());
                done += 1;
            }
            67..77 => {
                processes.gateway.kill();
                processes.gateway.restart();
                done += 1;
            }
            77..85 => {
                processes.far.kill();
                processes.far.restart();
                shared.moved("far", processes.far.url());
                done += 1;
            }
            85..90 => interrupt_authority(processes, shared),
            90..94 => suspend(processes.authority.process(), &mut dice).await,
            94..97 => suspend(processes.near.process(), &mut dice).await,
            _ => suspend(processes.gateway.process(), &mut dice).await,
        }
    }
}

/// Waits until clients have work acknowledged, and then to a moment within whatever they do.
async fn under_load(shared: &Shared, dice: &mut Dice) {
    let enough = shared.acknowledged() + 1 + dice.below(BETWEEN);
    let reached = async {
        while shared.acknowledged() < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LOAD, reached).await.expect("clients get on with their work");
    // Not to wait for anything: to hit another moment each time.
    tokio::time::sleep(Duration::from_micros(dice.below(MOMENT))).await;
}

fn kill_authority(processes: &mut Processes, shared: &Shared) {
    processes.authority.kill();
    restart_authority(processes, shared);
}

fn interrupt_authority(processes: &mut Processes, shared: &Shared) {
    assert_eq!(processes.authority.interrupt(), Some(0), "SIGINT is an ordinary end");
    restart_authority(processes, shared);
}

fn restart_authority(processes: &mut Processes, shared: &Shared) {
    shared.set_up(false);
    processes.authority.restart();
    shared.set_up(true);
}

async fn suspend(process: &scenarios::Process, dice: &mut Dice) {
    process.signal("STOP");
    let moment = SUSPENDED_AT_LEAST + dice.below(SUSPENDED_AT_MOST - SUSPENDED_AT_LEAST);
    // The length is the disturbance.
    tokio::time::sleep(Duration::from_millis(moment)).await;
    process.signal("CONT");
}
