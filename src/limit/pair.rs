use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::UNKNOWN;
use crate::clock::Clock;
use crate::limit::limiter::network;
use crate::limit::{Budget, Limiter, Over, Pair, Rate, Row, Shared};
use crate::secret::Digest;

/// A limit per client address together with one per account: counted here, and with other instances if they share it.
pub struct PairLimiter {
    name: &'static str,
    pair: Pair,
    address: Limiter,
    account: Limiter,
    shared: Option<Arc<dyn Shared>>,
    /// By the others.
    refused: AtomicU64,
}

impl PairLimiter {
    /// Counts from now on, by this name among those that are shared.
    pub fn new(name: &'static str, pair: Pair, clock: &Clock) -> Self {
        Self {
            name,
            pair,
            address: Limiter::new(pair.per_address, clock.clone()),
            account: Limiter::new(pair.per_account, clock.clone()),
            shared: None,
            refused: AtomicU64::default(),
        }
    }

    /// The same, counted together with others.
    #[must_use]
    pub fn shared(self, shared: Arc<dyn Shared>) -> Self {
        Self { shared: Some(shared), ..self }
    }

    /// Counts one for the address and one for the account. Call it before anything is computed or looked up.
    /// `account` is the canonical name (for instance an [`Email::key`](crate::account::email::Email::key)),
    /// the same for every spelling and whether or not there is such an account.
    ///
    /// # Errors
    /// When that is one too many: how long to wait until the next counts.
    pub async fn count(&self, address: IpAddr, account: Option<&str>) -> Result<(), Duration> {
        // Here first: a flood ends at the instance it came to.
        self.check(address, account)?;
        let Some(shared) = &self.shared else { return Ok(()) };
        let counted = shared.count(self.name, &self.budgets(address, account)).await;
        self.refused.fetch_add(u64::from(counted.is_err()), Ordering::Relaxed);
        counted
    }

    /// Counts a try with the others that has been counted here, and one for the first of these rows that has room.
    pub(super) async fn count_with_others(&self, address: IpAddr, account: &str, rows: &[Row]) -> Result<(), Over> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let counted = shared.count_try(self.name, &self.budgets(address, Some(account)), rows).await;
        self.refused.fetch_add(u64::from(matches!(counted, Err(Over::Budget(_)))), Ordering::Relaxed);
        counted
    }

    /// How often it was one too many so far.
    pub fn refused(&self) -> u64 {
        self.address.refused() + self.account.refused() + self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self, address: IpAddr, account: Option<&str>) -> Result<(), Duration> {
        // The address first: one that is shut out already does not use up what the account's owner has left.
        self.address.check(address)?;
        account.map_or(Ok(()), |account| self.account.check(account))
    }

    /// The same budgets as here, by names that are the same everywhere.
    fn budgets(&self, address: IpAddr, account: Option<&str>) -> Vec<Budget> {
        let of = |owner: String, rate: Rate| Budget { owner: Digest::of(owner), rate };
        let mut budgets = Vec::with_capacity(4);
        if let Some(rate) = self.pair.per_address.filter(|_| address != UNKNOWN) {
            budgets.push(of(format!("address {}", network(address)), rate));
            budgets.extend(Limiter::wider(address).map(|(wide, prefix, times)| {
                let count = rate.count.saturating_mul(NonZeroU32::new(times).unwrap_or(NonZeroU32::MIN));
                of(format!("network {wide:x}/{prefix}"), Rate { count, ..rate })
            }));
        }
        if let (Some(rate), Some(account)) = (self.pair.per_account, account) {
            budgets.push(of(format!("account {account}"), rate));
        }
        budgets
    }
}

impl fmt::Debug for PairLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairLimiter").field("name", &self.name).field("pair", &self.pair).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use super::*;
    use crate::clock::Timestamp;
    use crate::limit::{Counting, CountingTry};

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_seconds(1_700_000_000))
    }

    fn rate(count: u32) -> Option<Rate> {
        Some(Rate::new(count, Duration::from_secs(900)))
    }

    fn pair(account: u32, address: u32) -> PairLimiter {
        PairLimiter::new("sign_in", Pair { per_account: rate(account), per_address: rate(address) }, &clock())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// SEC-RATE-01
    #[test]
    fn sec_rate_01_other_addresses_do_not_refill_an_account() {
        let pair = pair(10, 50);
        let from = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(n));
        assert_eq!((0..1000).filter(|n| pair.check(from(*n), Some("ann@example.com")).is_ok()).count(), 10);
        assert!(pair.check(from(1), Some("bob@example.com")).is_ok());
    }

    #[test]
    fn an_address_that_is_shut_out_does_not_use_up_an_account() {
        let pair = pair(10, 4);
        let (thief, owner) = (address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!((0..100).filter(|_| pair.check(thief, Some("ann")).is_ok()).count(), 4);
        assert_eq!((0..100).filter(|_| pair.check(owner, Some("ann")).is_ok()).count(), 4);
    }

    /// What was asked of the others; they refuse the third.
    #[derive(Default)]
    struct Others(Mutex<Vec<Vec<Budget>>>);

    impl Shared for Others {
        fn count<'a>(&'a self, limit: &'static str, budgets: &'a [Budget]) -> Counting<'a> {
            assert_eq!(limit, "sign_in");
            let mut asked = self.0.lock().unwrap();
            asked.push(budgets.to_vec());
            let answer = if asked.len() > 2 { Err(Duration::from_secs(7)) } else { Ok(()) };
            Box::pin(std::future::ready(answer))
        }

        fn count_try<'a>(&'a self, _: &'static str, _: &'a [Budget], _: &'a [Row]) -> CountingTry<'a> {
            unreachable!("rows are none of a pair's")
        }

        fn forget(&self, _: &'static str, _: Digest) {}
    }

    #[tokio::test]
    async fn the_others_are_asked_for_what_is_not_refused_here() {
        let others = Arc::new(Others::default());
        let pair = pair(10, 3).shared(others.clone());
        let (here, ann) = (address("192.0.2.1"), Some("ann@example.com"));
        assert_eq!(pair.count(here, ann).await, Ok(()));
        assert_eq!(pair.count(here, ann).await, Ok(()));
        assert_eq!(pair.count(here, ann).await, Err(Duration::from_secs(7)));
        assert_eq!(pair.count(here, ann).await, Err(Duration::from_secs(300)));
        assert_eq!(others.0.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn budgets_have_the_same_names_on_every_instance_and_for_every_spelling() {
        let (one, other) = (pair(10, 50), pair(10, 50));
        let named = |pair: &PairLimiter, from, account| pair.budgets(address(from), account);
        assert_eq!(named(&one, "192.0.2.1", Some("ann")), named(&other, "::ffff:192.0.2.1", Some("ann")));
        assert_eq!(named(&one, "2001:db8::1", None), named(&other, "2001:db8::ffff", None));
        let counts = |from| named(&one, from, Some("ann")).iter().map(|of| of.rate.count.get()).collect::<Vec<_>>();
        assert_eq!(counts("192.0.2.1"), [50, 10]);
        assert_eq!(counts("2001:db8::1"), [50, 200, 800, 10]);
        let owners = |from| named(&one, from, None).iter().map(|of| of.owner).collect::<Vec<_>>();
        let (here, there) = (owners("2001:db8:1:1::1"), owners("2001:db8:1:2::1"));
        assert!(here[0] != there[0] && here[1] == there[1] && here[2] == there[2]);
    }
}
