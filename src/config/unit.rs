//! Spans, sizes and rates as text with a unit.

use std::time::Duration;

use crate::limit::Rate;

const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `"30s"`, `"15m"`, `"12h"`, `"30d"`.
pub(super) fn parse_span(text: &str) -> Option<Duration> {
    parse(text, &SPANS).map(Duration::from_millis)
}

/// A span in the largest unit that holds it whole.
pub(super) fn show_span(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 { "0s".to_owned() } else { show(millis, &SPANS) }
}

/// `"512B"`, `"32KiB"`, `"1MiB"`, `"2GiB"`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// A size in the largest unit that holds it whole.
pub(super) fn show_size(bytes: u64) -> String {
    if bytes == 0 { "0B".to_owned() } else { show(bytes, &SIZES) }
}

/// `"10/15m"`: so many in such a span; `"5/s"` is five a second.
pub(super) fn parse_rate(text: &str) -> Option<Rate> {
    let (count, span) = text.split_once('/')?;
    let count = digits(count).and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0)?;
    let span = if span.starts_with(|c: char| c.is_ascii_digit()) {
        parse_span(span)?
    } else {
        parse_span(&format!("1{span}"))?
    };
    (!span.is_zero()).then(|| Rate::new(count, span))
}

/// A rate as it is written.
pub(super) fn show_rate(rate: Rate) -> String {
    format!("{}/{}", rate.count, show_span(rate.span))
}

/// `"100%"`, `"5%"`, `"0.1%"`: the share, 0 to 1.
pub(super) fn parse_share(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?;
    let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
    digits(whole)?;
    digits(rest)?;
    let percent: f64 = number.parse().ok()?;
    (percent <= 100.0).then_some(percent / 100.0)
}

/// A share as it is written.
pub(super) fn show_share(share: f64) -> String {
    format!("{}%", share * 100.0)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    digits(number)?.checked_mul(factor)
}

fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| amount.is_multiple_of(*factor))
        .map_or_else(|| amount.to_string(), |(name, factor)| format!("{}{name}", amount / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["30s", "15m", "12h", "30d", "250ms", "90s", "0s"] {
            assert_eq!(show_span(parse_span(text).unwrap()), text);
        }
        for text in ["512B", "32KiB", "1MiB", "2GiB"] {
            assert_eq!(show_size(parse_size(text).unwrap()), text);
        }
        for text in ["10/15m", "5/1s", "1/1d"] {
            assert_eq!(show_rate(parse_rate(text).unwrap()), text);
        }
        assert_eq!(parse_rate("5/s"), parse_rate("5/1s"));
    }

    #[test]
    fn a_number_without_its_unit_is_nothing() {
        for text in ["12", "", "h", "-1h", "1.5h", "1 h", "12 hours", "99999999999999999999d", "1H"] {
            assert_eq!(parse_span(text), None, "{text}");
        }
        for text in ["1", "1MB", "MiB", "1mib"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        for text in ["10", "10/", "/15m", "0/15m", "10/0s", "10/15", "+1/s"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }
}
