//! Time as a parameter: everything that expires asks a [`Clock`], never the system.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment so many milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment so many seconds after 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as tokens carry them.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-11-22T16:00:00Z`.
    pub fn rfc3339(self) -> String {
        self.date().format(&Rfc3339).unwrap_or_default()
    }

    /// `2026-11-22T16:00:00.123Z`, as logs carry it.
    pub fn rfc3339_millis(self) -> String {
        let text = self.rfc3339();
        format!("{}.{:03}Z", text.trim_end_matches('Z'), self.0.rem_euclid(1000))
    }

    /// `Sun, 22 Nov 2026 16:00:00 +0000`, as mails carry it.
    pub fn rfc2822(self) -> String {
        self.date().format(&Rfc2822).unwrap_or_default()
    }

    /// `Sun, 22 Nov 2026 16:00:00 GMT`, as HTTP carries it (RFC 9110 §5.6.7).
    pub fn http_date(self) -> String {
        let text = self.rfc2822();
        format!("{}GMT", text.trim_end_matches("+0000"))
    }

    /// The date and time in UTC, to whole seconds.
    #[doc(hidden)]
    pub fn date(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tells the time: the system's, or one that tests move by hand.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until [`advance`](Self::advance); clones share it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.0))))
    }

    /// The moment now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(millis) => Timestamp(millis.load(Ordering::Relaxed)),
            None => {
                let since = UNIX_EPOCH.elapsed().unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// The moment now or a few milliseconds ago, for what every request asks: it costs a seventh.
    pub fn lately(&self) -> Timestamp {
        if self.0.is_none() { last_tick() } else { self.now() }
    }

    /// Moves a manual clock on; the system's clock goes on by itself.
    pub fn advance(&self, span: Duration) {
        if let Some(millis) = &self.0 {
            millis.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }

    /// Turns a manual clock back, as a corrected system clock would.
    pub fn rewind(&self, span: Duration) {
        if let Some(millis) = &self.0 {
            millis.fetch_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
}

/// The time of the kernel's last tick (`clock_gettime(2)`, `CLOCK_REALTIME_COARSE`).
#[cfg(target_os = "linux")]
fn last_tick() -> Timestamp {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    Timestamp(time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000))
}

#[cfg(not(target_os = "linux"))]
fn last_tick() -> Timestamp {
    Clock::system().now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_for_all_its_clones() {
        let clock = Clock::manual(Timestamp::from_seconds(10));
        let other = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(other.now(), Timestamp::from_seconds(15));
    }

    #[test]
    fn the_last_tick_is_a_few_milliseconds_ago_at_most() {
        let clock = Clock::system();
        let before = clock.now().millis();
        let lately = clock.lately().millis();
        assert!(lately > before - 100 && lately <= clock.now().millis(), "{before} {lately}");
        let manual = Clock::manual(Timestamp::from_seconds(10));
        assert_eq!(manual.lately(), manual.now());
    }

    #[test]
    fn dates_go_beyond_2038() {
        assert_eq!(Timestamp::from_seconds(2_208_988_800).rfc3339(), "2040-01-01T00:00:00Z");
    }

    #[test]
    fn a_moment_that_lies_ahead_was_no_time_ago() {
        assert_eq!(Timestamp::from_seconds(1).since(Timestamp::from_seconds(2)), Duration::ZERO);
    }
}
