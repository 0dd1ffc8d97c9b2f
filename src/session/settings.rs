use std::time::Duration;

/// `[session]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A session that is not used for so long ends. Default 12 h.
    pub idle_timeout: Duration,
    /// A session ends after so long in any case. Default 30 days.
    pub max_lifetime: Duration,
    /// How long an access token is good. Default 30 min.
    pub access_token: Duration,
    /// How long a refresh token is good after its last use. Default 60 days.
    pub refresh_token: Duration,
    /// Beyond so many sessions of a user the one used longest ago ends. Default 100.
    pub max_per_user: usize,
    /// How long a session is believed before the store is asked again: the bound within which a change made
    /// by another process takes effect. Default 5 s.
    pub cache: Duration,
    /// How many sessions the cache holds at most. Default 100,000.
    pub cache_entries: u64,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            idle_timeout: Duration::from_hours(12),
            max_lifetime: 30 * DAY,
            access_token: Duration::from_mins(30),
            refresh_token: 60 * DAY,
            max_per_user: 100,
            cache: Duration::from_secs(5),
            cache_entries: 100_000,
        }
    }
}
