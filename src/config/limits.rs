use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::Reader;
use crate::limit::{Pair, Rate, Requests, Settings, Timeouts};

const HEADER_BYTES: RangeInclusive<u64> = 4 << 10..=1 << 20;
/// Names can be chosen to fall together in the table of the `http` crate, which then compares each with all before it: a
/// thousand cost a millisecond or two, ten thousand a hundred times that.
const HEADER_FIELDS: RangeInclusive<i64> = 16..=1_000;

/// `[limits]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let d = Settings::default();
    let reset = "Mails to confirm an address or to reset a password.";
    let guest = "New guests; nobody makes one for another, so only addresses are counted.";
    let failures = "Wrong passwords in a row for one account from browsers it was never signed in on; then only a new \
                    password by mail helps.";
    let body = "The longest body of a proxied request, or \"off\": no limit. A longer one is 413.";
    let header_bytes = "The longest header block of a request; a longer one is 431.";
    let header_fields = "The most fields in a header block; more are 431.";
    let streams = "The most HTTP/2 streams of a connection at a time.";
    Settings {
        sign_in: r.table("sign_in", "Tries to sign in.", |r| pair(r, d.sign_in)),
        sign_up: r.table("sign_up", "New accounts.", |r| pair(r, d.sign_up)),
        reset: r.table("reset", reset, |r| pair(r, d.reset)),
        guest: r
            .table("guest", guest, |r| Pair { per_account: None, per_address: per_address(r, d.guest.per_address) }),
        failures: r.count("failures", d.failures as usize, 5..=100, failures) as u32,
        requests: r.table("requests", "Requests of any kind.", |r| Requests {
            per_address: per_address(r, d.requests.per_address),
            per_user: r.rate("per_user", d.requests.per_user, "For one signed-in user, or \"off\"."),
        }),
        body: r.size_or_off("body", body),
        header_bytes: r.size("header_bytes", d.header_bytes as u64, HEADER_BYTES, header_bytes) as usize,
        header_fields: r.count("header_fields", d.header_fields, HEADER_FIELDS, header_fields),
        connections: r.count("connections", d.connections, 1..=10_000_000, "The most connections at a time."),
        streams: r.count("streams", d.streams as usize, 1..=10_000, streams) as u32,
        timeouts: r.table("timeouts", "Spans after which somebody who stalls is cut off.", timeouts),
    }
}

fn pair(r: &mut Reader<'_>, default: Pair) -> Pair {
    Pair {
        per_account: r.rate("per_account", default.per_account, "For one account, from wherever, or \"off\"."),
        per_address: per_address(r, default.per_address),
    }
}

fn per_address(r: &mut Reader<'_>, default: Option<Rate>) -> Option<Rate> {
    r.rate("per_address", default, "For one client address (a /64 for IPv6), whichever account, or \"off\".")
}

fn timeouts(r: &mut Reader<'_>) -> Timeouts {
    let d = Timeouts::default();
    let bounds = || Duration::from_millis(100)..=Duration::from_hours(24);
    Timeouts {
        handshake: r.span("handshake", d.handshake, bounds(), "For the TLS handshake."),
        header: r.span("header", d.header, bounds(), "For a header block to arrive whole."),
        stall: r.span(
            "stall",
            d.stall,
            bounds(),
            "Without a byte of a request's body, or without the client taking a byte of the answer.",
        ),
        idle: r.span("idle", d.idle, bounds(), "For a kept connection without a request."),
        connect: r.span("connect", d.connect, bounds(), "For a connection to the upstream; then 502."),
        upstream: r.span(
            "upstream",
            d.upstream,
            bounds(),
            "For the upstream's answer to begin, from anew while a body goes up; then 504.",
        ),
    }
}
