use std::time::Duration;

use super::reader::Reader;
use super::value::TEN_YEARS;
use crate::session::Settings;

/// `[session]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let d = Settings::default();
    let minute = Duration::from_mins(1);
    Settings {
        idle_timeout: r.span(
            "idle_timeout",
            d.idle_timeout,
            minute..=TEN_YEARS,
            "A session that is not used for so long ends.",
        ),
        max_lifetime: r.span(
            "max_lifetime",
            d.max_lifetime,
            minute..=TEN_YEARS,
            "A session ends after so long in any case.",
        ),
        access_token: r.span(
            "access_token",
            d.access_token,
            Duration::from_secs(10)..=Duration::from_hours(24),
            "How long an access token is good. At most a day: it is believed without a look into the store.",
        ),
        refresh_token: r.span(
            "refresh_token",
            d.refresh_token,
            minute..=TEN_YEARS,
            "How long a refresh token is good after its last use.",
        ),
        max_per_user: r.count(
            "max_per_user",
            d.max_per_user,
            1..=100_000,
            "Beyond so many sessions of a user the one used longest ago ends.",
        ),
        cache: r.span(
            "cache",
            d.cache,
            Duration::ZERO..=Duration::from_mins(5),
            "How long a session is believed before the store is asked again; at most 5 min. A change made by \
             another process takes effect within this time.",
        ),
        cache_entries: r.count(
            "cache_entries",
            usize::try_from(d.cache_entries).unwrap_or(usize::MAX),
            100..=100_000_000,
            "How many sessions are kept in memory at most.",
        ) as u64,
    }
}
