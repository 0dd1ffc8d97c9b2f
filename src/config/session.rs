use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::Reader;
use super::value::TEN_YEARS;
use crate::session::Settings;

const LONG: RangeInclusive<Duration> = Duration::from_mins(1)..=TEN_YEARS;
/// An access token is believed without a look into the store, so it must not live long.
const SHORT: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);
const CACHE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(5);

/// `[session]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let d = Settings::default();
    let entries = usize::try_from(d.cache_entries).unwrap_or(usize::MAX);
    let idle = "A session that is not used for so long ends.";
    let max = "A session ends after so long in any case.";
    let access = "How long an access token is good; at most a day.";
    let refresh = "How long a refresh token is good after its last use.";
    let per_user = "Beyond so many sessions of a user the one used longest ago ends.";
    let cache = "How long a session is believed before the store is asked again; at most 5 min. A change made by \
                 another process takes effect within this time.";
    let kept = "How many sessions are kept in memory at most.";
    Settings {
        idle_timeout: r.span("idle_timeout", d.idle_timeout, LONG, idle),
        max_lifetime: r.span("max_lifetime", d.max_lifetime, LONG, max),
        access_token: r.span("access_token", d.access_token, SHORT, access),
        refresh_token: r.span("refresh_token", d.refresh_token, LONG, refresh),
        max_per_user: r.count("max_per_user", d.max_per_user, 1..=100_000, per_user),
        cache: r.span("cache", d.cache, CACHE, cache),
        cache_entries: r.count("cache_entries", entries, 100..=100_000_000, kept) as u64,
    }
}
