//! How many requests are let in.
//!
//! A caller with a valid credential is counted by its client, and each scope is a lane of its own:
//! a client that floods one lane can still use the others, so administration goes on. A caller
//! without one is counted by its address. Nobody is queued: past its rate a request is refused with
//! the time after which to try again.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::auth::Scope;
use super::codes::Code;
use super::problem::Problem;
use crate::config::LimitsConfig;

/// Keys one lane remembers before it drops those that are at rest. An address costs its sender
/// nothing, so the memory for addresses is bounded; dropping a key at rest changes no answer.
const MAX_KEYS: usize = 100_000;
/// Requests of a lane after which its keys are counted: by as many it may hold more.
const COUNT_EVERY: u32 = 1_000;

/// The lanes of one server.
pub struct Limits {
    clients: [Lane<String>; Scope::ALL.len()],
    anonymous: Lane<IpAddr>,
    login: Lane<IpAddr>,
    login_name: Lane<[u8; 32]>,
}

impl Limits {
    /// Lanes with the configured rates. Each allows a burst of two seconds' worth.
    #[must_use]
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            clients: Scope::ALL.map(|scope| {
                Lane::new(match scope {
                    Scope::Issue => config.issue,
                    Scope::Revoke => config.revoke,
                    Scope::Read => config.read,
                    Scope::Follow => config.follow,
                    Scope::Admin => config.admin,
                })
            }),
            anonymous: Lane::new(config.anonymous),
            login: Lane::new(config.login),
            login_name: Lane::new(config.login.div_ceil(2)),
        }
    }

    /// Lets in a request of an authenticated client on the lane of a scope.
    pub fn admit_client(&self, client: &str, scope: Scope) -> Result<(), Problem> {
        #[expect(clippy::indexing_slicing, reason = "there is a lane for each scope, at the scope's own index")]
        self.clients[scope.index()].admit(&client.to_owned(), scope.name())
    }

    /// Lets in a request without a valid credential.
    pub fn admit_anonymous(&self, address: IpAddr) -> Result<(), Problem> {
        self.anonymous.admit(&network(address), "anonymous")
    }

    /// Lets in a login: by address and by the name it tries, so that neither one source nor many
    /// can guess at one account's password quickly.
    pub fn admit_login(&self, address: IpAddr, username: &str) -> Result<(), Problem> {
        self.login.admit(&network(address), "login")?;
        self.login_name.admit(blake3::hash(username.as_bytes()).as_bytes(), "login")
    }
}

/// An IPv6 customer holds a whole /64, so its addresses count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() & !u128::from(u64::MAX)).to_be_bytes()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

struct Lane<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, DefaultClock>,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl<K: Hash + Eq + Clone> Lane<K> {
    fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST_SECONDS));
        Self { limiter: RateLimiter::dashmap(quota), clock: DefaultClock::default(), asked: AtomicU32::new(0) }
    }

    fn admit(&self, key: &K, lane: &str) -> Result<(), Problem> {
        // To count the keys takes a look at every part of the map.
        if self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(COUNT_EVERY) && self.limiter.len() > MAX_KEYS {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            Problem::new(Code::RateLimited, format!("the lane {lane} is full for this caller"))
                .retry_after(whole_seconds_up(wait))
        })
    }
}

const BURST_SECONDS: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

const fn whole_seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + if duration.subsec_nanos() > 0 { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::new(&LimitsConfig { issue: 1, admin: 1, login: 2, anonymous: 1, ..LimitsConfig::default() })
    }

    #[test]
    fn a_flooded_lane_leaves_the_others_open() {
        let limits = limits();
        let refused = (0..10).filter(|_| limits.admit_client("shop", Scope::Issue).is_err()).count();
        assert!(refused >= 7, "{refused} refused");
        assert!(limits.admit_client("shop", Scope::Admin).is_ok(), "administration has its own lane");
        assert!(limits.admit_client("other", Scope::Issue).is_ok(), "another client has its own lane");
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_lane() {
        let limits = limits();
        let refused = (0..10u128)
            .filter(|host| {
                let address = IpAddr::from((0x2001_0db8_u128 << 96 | host).to_be_bytes());
                limits.admit_anonymous(address).is_err()
            })
            .count();
        assert!(refused >= 7, "{refused} refused");
    }

    #[test]
    fn one_name_is_guarded_against_many_addresses() {
        let limits = limits();
        let refused =
            (0..20u8).filter(|host| limits.admit_login(IpAddr::from([10, 0, *host, 1]), "alice").is_err()).count();
        assert!(refused >= 15, "{refused} refused");
    }
}
