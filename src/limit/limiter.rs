use std::fmt;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::{Quota, RateLimiter};

use crate::client::UNKNOWN;
use crate::clock::Clock;
use crate::id::UserId;
use crate::limit::streak::SIGN_IN;
use crate::limit::table::{Table, Ticks};
use crate::limit::{Over, PairLimiter, Rate, Settings, Shared, Streaks};

/// A limit counted apart for each key, in bounded memory: with 100,000 keys under way the next share
/// sixteen budgets.
///
/// A check counts at once: of many at the same moment no more than the limit get through.
///
/// Who holds more than one /64 of IPv6 does not get a budget for each: a /56 has that of four clients, a /48
/// that of sixteen.
pub struct Limiter {
    /// For a client, then for wider and wider networks; empty without a rate.
    tiers: Vec<RateLimiter<u64, Table, Ticks, NoOpMiddleware<Nanos>>>,
    hasher: foldhash::quality::RandomState,
    refused: AtomicU64,
}

/// What a limit is counted for.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// A client: a /64 for IPv6 within its /56 and /48, and IPv4 in whatever form it comes.
    Address(IpAddr),
    /// An account by its canonical name, known or not.
    Account(&'a str),
    /// Somebody signed in.
    User(UserId),
}

/// The limits of `[limits]`, counting.
#[derive(Debug)]
pub struct Limits {
    /// Tries to sign in.
    pub sign_in: PairLimiter,
    /// New accounts.
    pub sign_up: PairLimiter,
    /// Mails to confirm an address or reset a password.
    pub reset: PairLimiter,
    /// New guests.
    pub guest: PairLimiter,
    /// Wrong passwords in a row for one account, or for one browser it is known on.
    pub failures: Streaks,
    /// Requests of any kind, per client address.
    pub request_address: Limiter,
    /// Requests of any kind, per signed-in user.
    pub request_user: Limiter,
}

/// A limit was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOften {
    /// Which, by its name in `[limits]`.
    pub limit: &'static str,
    /// When it makes sense to try again.
    pub retry_after: Duration,
}

impl Limiter {
    /// Counts from now on; without a rate it lets everybody through.
    pub fn new(rate: Option<Rate>, clock: Clock) -> Self {
        Self::with_table(rate, clock, Table::new)
    }

    fn with_table(rate: Option<Rate>, clock: Clock, table: fn(Duration) -> Table) -> Self {
        let tier = |rate: Rate, times: u32| {
            let count = rate.count.saturating_mul(NonZeroU32::new(times).unwrap_or(NonZeroU32::MIN));
            let period = (rate.span / count.get()).max(Duration::from_nanos(1));
            let quota = Quota::with_period(period).unwrap_or(Quota::per_hour(count)).allow_burst(count);
            RateLimiter::new(quota, table(period), Ticks::new(clock.clone()))
        };
        let times = [1, WIDER, WIDER * WIDER];
        let tiers = rate.map(|rate| times.map(|times| tier(rate, times)).into()).unwrap_or_default();
        Self { tiers, hasher: foldhash::quality::RandomState::default(), refused: AtomicU64::new(0) }
    }

    /// Counts one for this key.
    ///
    /// # Errors
    /// When that is one too many: how long to wait until the next counts.
    pub fn check<'a>(&self, key: impl Into<Key<'a>>) -> Result<(), Duration> {
        self.charge(key.into()).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Whether it lets everybody through.
    pub fn is_off(&self) -> bool {
        self.tiers.is_empty()
    }

    /// How often it was one too many so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn charge(&self, key: Key<'_>) -> Result<(), Duration> {
        // Strangers without an address must not shut each other out; accounts are still counted.
        if matches!(key, Key::Address(UNKNOWN)) {
            return Ok(());
        }
        let Some((own, wider)) = self.tiers.split_first() else { return Ok(()) };
        count(own, self.number(key))?;
        let Key::Address(address) = key else { return Ok(()) };
        // The client first: one that is shut out does not use up what its neighbours have left.
        wider
            .iter()
            .zip(Self::wider(address))
            .try_for_each(|(tier, (wide, ..))| count(tier, self.hasher.hash_one(wide)))
    }

    /// Who shares an IPv6 address's budgets with others: its networks, each with a prefix and so many clients' budgets.
    pub(super) fn wider(address: IpAddr) -> impl Iterator<Item = (u128, u32, u32)> {
        let IpAddr::V6(six) = network(address) else { return None.into_iter().flatten() };
        let wide = move |(prefix, times): (u32, u32)| (six.to_bits() >> (128 - prefix), prefix, times);
        Some([(56, WIDER), (48, WIDER * WIDER)].into_iter().map(wide)).into_iter().flatten()
    }

    /// Keys of any length take the same room. The hash is seeded anew in each process, so nobody can choose
    /// to fall together with somebody else.
    fn number(&self, key: Key<'_>) -> u64 {
        match key {
            Key::Address(address) => self.hasher.hash_one(network(address)),
            Key::Account(name) => self.hasher.hash_one(name),
            Key::User(id) => self.hasher.hash_one(id),
        }
    }
}

fn count(tier: &RateLimiter<u64, Table, Ticks, NoOpMiddleware<Nanos>>, number: u64) -> Result<(), Duration> {
    tier.check_key(&number).map_err(|refused| refused.wait_time_from(governor::clock::Clock::now(tier.clock())))
}

impl Limits {
    /// All limits of the settings, each counting for itself.
    pub fn new(settings: &Settings, clock: &Clock) -> Self {
        Self {
            sign_in: PairLimiter::new(SIGN_IN, settings.sign_in, clock),
            sign_up: PairLimiter::new("sign_up", settings.sign_up, clock),
            reset: PairLimiter::new("reset", settings.reset, clock),
            guest: PairLimiter::new("guest", settings.guest, clock),
            failures: Streaks::new(settings.failures),
            request_address: Limiter::new(settings.requests.per_address, clock.clone()),
            request_user: Limiter::new(settings.requests.per_user, clock.clone()),
        }
    }

    /// The same, sign-ins and failures in a row, new accounts, mails and new guests counted together with other
    /// instances, if there are any.
    /// Requests are counted here alone: they are not worth a question each.
    #[must_use]
    pub fn shared(self, shared: Option<&(impl Shared + Clone + 'static)>) -> Self {
        let Some(shared) = shared else { return self };
        let shared: Arc<dyn Shared> = Arc::new(shared.clone());
        let with = |pair: PairLimiter| pair.shared(shared.clone());
        Self {
            sign_in: with(self.sign_in),
            sign_up: with(self.sign_up),
            reset: with(self.reset),
            guest: with(self.guest),
            failures: self.failures.shared(shared.clone()),
            ..self
        }
    }

    /// Counts a try of a password, for the address, for the account, and in the row of failures: the account is the
    /// first of these names, its row that of the first name with room. Call it before anything is looked up.
    ///
    /// # Errors
    /// When it may not be made.
    pub async fn try_password(&self, address: IpAddr, names: &[&str]) -> Result<(), TooOften> {
        let account = names.first().copied().unwrap_or_default();
        let wait = |retry_after| TooOften { limit: SIGN_IN, retry_after };
        let no_more = || {
            self.failures.note_refused();
            TooOften { limit: "failures", retry_after: NO_MORE }
        };
        // Here first: a flood ends at the instance it came to.
        self.sign_in.check(address, Some(account)).map_err(wait)?;
        if !names.iter().any(|name| self.failures.charge(name)) {
            return Err(no_more());
        }
        let counted = self.sign_in.count_with_others(address, account, &self.failures.rows(names)).await;
        counted.map_err(|over| match over {
            Over::Budget(retry_after) => wait(retry_after),
            Over::Rows => no_more(),
        })
    }

    /// How often each limit was hit so far, by its name.
    pub fn hits(&self) -> [(&'static str, u64); 7] {
        [
            ("sign_in", self.sign_in.refused()),
            ("sign_up", self.sign_up.refused()),
            ("reset", self.reset.refused()),
            ("guest", self.guest.refused()),
            ("failures", self.failures.refused()),
            ("requests.per_address", self.request_address.refused()),
            ("requests.per_user", self.request_user.refused()),
        ]
    }
}

impl From<IpAddr> for Key<'_> {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(account: &'a str) -> Self {
        Self::Account(account)
    }
}

impl From<UserId> for Key<'_> {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tiers.is_empty() { "Limiter(none)" } else { "Limiter" })
    }
}

/// The network one client holds: a /64 of IPv6; one address of IPv4, also when it comes as `::ffff:0:0/96`
/// (RFC 4291 §2.5.5.2) or through a translator's `64:ff9b::/96` (RFC 6052 §2.1).
pub(super) fn network(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address.to_canonical() else { return address.to_canonical() };
    if six.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return IpAddr::V4(Ipv4Addr::from_bits(six.to_bits() as u32));
    }
    IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)))
}

/// What is said of a wait that no time ends.
const NO_MORE: Duration = Duration::from_hours(24);
/// How many clients' budgets a /56 has, and how many of those a /48.
const WIDER: u32 = 4;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::Timestamp;

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_seconds(1_700_000_000))
    }

    fn limiter(count: u32, seconds: u64, clock: &Clock) -> Limiter {
        Limiter::new(Some(Rate::new(count, Duration::from_secs(seconds))), clock.clone())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn passes(limiter: &Limiter, key: Key, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.check(key).is_ok()).count()
    }

    #[test]
    fn a_budget_comes_at_once_and_returns_one_by_one() {
        let clock = clock();
        let limiter = limiter(3, 30, &clock);
        assert_eq!(passes(&limiter, Key::Account("ann"), 5), 3);
        assert_eq!(limiter.check("ann"), Err(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(4));
        assert_eq!(limiter.check("ann"), Err(Duration::from_secs(6)));
        clock.advance(Duration::from_secs(6));
        assert_eq!(passes(&limiter, Key::Account("ann"), 5), 1);
        clock.advance(Duration::from_secs(300));
        assert_eq!(passes(&limiter, Key::Account("ann"), 5), 3);
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        assert_eq!(passes(&Limiter::new(None, clock()), Key::Account("ann"), 1000), 1000);
    }

    #[test]
    fn a_clock_turned_back_locks_nobody_out() {
        let clock = clock();
        let limiter = limiter(2, 20, &clock);
        assert_eq!(passes(&limiter, Key::Account("ann"), 3), 2);
        clock.rewind(Duration::from_secs(3600));
        assert_eq!(limiter.check("ann"), Err(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(10));
        assert_eq!(limiter.check("ann"), Ok(()));
    }

    /// SEC-RATE-02
    #[test]
    fn sec_rate_02_a_64_is_one_client() {
        let limiter = limiter(5, 60, &clock());
        let network = address("2001:db8:1:2::");
        let IpAddr::V6(first) = network else { unreachable!() };
        let from = |n: u32| Key::Address(IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() | u128::from(n) << 40)));
        assert_eq!((0..1 << 16).filter(|n| limiter.check(from(*n)).is_ok()).count(), 5);
        assert!(limiter.check(address("2001:db8:1:3::")).is_ok());
    }

    /// SEC-RATE-02
    #[test]
    fn sec_rate_02_many_64s_of_one_holder_share_a_budget() {
        let from = |bits: u128| IpAddr::V6(Ipv6Addr::from_bits(bits));
        let base = 0x2001_0db8_0001_0000_u128 << 64;
        let among = |prefix: u32, spread: u32| {
            let limiter = limiter(5, 60, &clock());
            let passed = (0..1_u128 << spread).filter(|n| limiter.check(from(base | n << 64)).is_ok()).count();
            let neighbour = limiter.check(from(base + (1 << (128 - prefix)))).is_ok();
            (passed, neighbour)
        };
        assert_eq!(among(56, 8), (20, true));
        assert_eq!(among(48, 16), (80, true));
    }

    /// SEC-RATE-02
    #[test]
    fn sec_rate_02_every_form_of_an_ipv4_address_is_one_client() {
        let limiter = limiter(2, 60, &clock());
        assert!(limiter.check(address("192.0.2.1")).is_ok());
        assert!(limiter.check(address("::ffff:192.0.2.1")).is_ok());
        for form in ["192.0.2.1", "::FFFF:C000:0201", "64:ff9b::c000:201", "0:0:0:0:0:ffff:192.0.2.1"] {
            assert!(limiter.check(address(form)).is_err(), "{form}");
        }
        for other in ["192.0.2.2", "::ffff:192.0.2.3", "64:ff9b::c000:204"] {
            assert!(limiter.check(address(other)).is_ok(), "{other}");
        }
    }

    /// SEC-RATE-04
    #[test]
    fn sec_rate_04_of_many_at_once_only_the_budget_passes() {
        let limiter = limiter(10, 900, &clock());
        let (barrier, passed) = (Barrier::new(200), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..200 {
                scope.spawn(|| {
                    barrier.wait();
                    if limiter.check("ann").is_ok() {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 10);
    }

    #[test]
    fn beyond_the_room_newcomers_share_one_budget_and_the_others_keep_theirs() {
        let clock = clock();
        let rate = Some(Rate::new(2, Duration::from_secs(20)));
        let limiter = Limiter::with_table(rate, clock.clone(), |period| Table::with_room(period, 1, 100));
        let name = |n: u32| format!("user{n}");
        assert!((0..100).all(|n| limiter.check(name(n).as_str()).is_ok()));
        let late = (100..1000).filter(|n| limiter.check(name(*n).as_str()).is_ok()).count();
        assert_eq!(late, 2);
        assert!(limiter.check(name(0).as_str()).is_ok());
        assert!(limiter.check(name(0).as_str()).is_err());
        // Who has its whole budget back needs no room.
        clock.advance(Duration::from_secs(60));
        assert!((1000..1100).all(|n| limiter.check(name(n).as_str()).is_ok()));
    }
}
