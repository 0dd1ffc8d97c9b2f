use std::num::NonZeroU32;
use std::time::Duration;

/// So many in such a span: `"10/15m"`. All of them may come at once; then they come back one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In what span.
    pub span: Duration,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Tries to sign in.
    pub sign_in: Pair,
    /// New accounts.
    pub sign_up: Pair,
    /// Mails to confirm an address or reset a password.
    pub reset: Pair,
    /// New guests.
    pub guest: Pair,
    /// Wrong passwords in a row for one account from browsers it was never signed in on; then only a new password by mail
    /// helps. Default and most 100 (NIST SP 800-63B §3.2.2).
    pub failures: u32,
    /// Requests of any kind.
    pub requests: Requests,
    /// The longest body of a proxied request; no limit if absent.
    pub body: Option<u64>,
    /// The longest header block of a request. Default 32 KiB.
    pub header_bytes: usize,
    /// The most fields in a header block. Default 100.
    pub header_fields: usize,
    /// The most connections at a time. Default 10,000.
    pub connections: usize,
    /// The most HTTP/2 streams of a connection at a time. Default 100.
    pub streams: u32,
    /// Spans after which somebody who stalls is cut off.
    pub timeouts: Timeouts,
}

/// A limit per account and a limit per client address (a /64 for IPv6); absent ones do not limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Pair {
    /// For one account, from wherever.
    pub per_account: Option<Rate>,
    /// For one address, whichever account.
    pub per_address: Option<Rate>,
}

/// `limits.requests`; absent ones do not limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Requests {
    /// For one client address (a /64 for IPv6).
    pub per_address: Option<Rate>,
    /// For one signed-in user.
    pub per_user: Option<Rate>,
}

/// `limits.timeouts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TLS handshake. Default 10 s.
    pub handshake: Duration,
    /// For a header block to arrive whole. Default 10 s.
    pub header: Duration,
    /// Without a byte of a request's body, or without the client taking a byte of the answer. Default 30 s.
    pub stall: Duration,
    /// A kept connection without a request. Default 60 s.
    pub idle: Duration,
    /// For a connection to the upstream. Default 5 s.
    pub connect: Duration,
    /// For the upstream's answer to begin. Default 60 s.
    pub upstream: Duration,
}

impl Settings {
    /// What [`Limits`](super::Limits) counts by; the rest bounds single requests and connections.
    pub fn rates(&self) -> ([Pair; 4], u32, Requests) {
        ([self.sign_in, self.sign_up, self.reset, self.guest], self.failures, self.requests)
    }
}

impl Rate {
    /// So many in such a span; a count of zero becomes one.
    pub fn new(count: u32, span: Duration) -> Self {
        Self { count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN), span }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let minutes = Duration::from_mins;
        let pair = |account: u32, account_span, address: u32, address_span| Pair {
            per_account: Some(Rate::new(account, account_span)),
            per_address: Some(Rate::new(address, address_span)),
        };
        Self {
            sign_in: pair(10, minutes(15), 50, minutes(15)),
            sign_up: Pair {
                per_account: Some(Rate::new(3, minutes(60))),
                per_address: Some(Rate::new(5, minutes(60))),
            },
            reset: pair(3, minutes(60), 20, minutes(60)),
            guest: Pair { per_account: None, per_address: Some(Rate::new(60, minutes(60))) },
            failures: 100,
            requests: Requests::default(),
            body: None,
            header_bytes: 32 << 10,
            header_fields: 100,
            connections: 10_000,
            streams: 100,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            connect: Duration::from_secs(5),
            upstream: Duration::from_secs(60),
        }
    }
}
