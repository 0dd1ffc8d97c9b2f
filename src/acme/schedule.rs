//! When to order a certificate.

use std::time::{Duration, SystemTime};

use super::issued::Issued;

/// When to renew a certificate of which the authority says nothing: with a third of its life left; of one that lives a few
/// days only, half. Times before 1970 do not occur.
pub(super) fn renewal(issued: &Issued) -> SystemTime {
    let life = issued.ends.duration_since(issued.begins).unwrap_or_default();
    issued.ends - life / if life < SHORT { 2 } else { 3 }
}

/// How long to wait after so many failures in a row. Authorities count failed orders, so the waits become long; but a
/// minute is enough for a name that has just been pointed here.
pub(super) fn pause(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_mins(1);
    FIRST.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST)
}

/// A time within a window, so that not everybody comes at once (RFC 9773 §4.2); `share` of 255 into it.
pub(super) fn within(begins: SystemTime, ends: SystemTime, share: u8) -> SystemTime {
    let window = ends.duration_since(begins).unwrap_or_default();
    begins + window / 255 * u32::from(share)
}

const SHORT: Duration = Duration::from_hours(10 * 24);
const LONGEST: Duration = Duration::from_hours(6);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn lasting(days: u32) -> Issued {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.not_before = (UNIX_EPOCH + 1000 * DAY).into();
        params.not_after = (UNIX_EPOCH + (1000 + days) * DAY).into();
        Issued::read(&format!("{}{}", params.self_signed(&key).unwrap().pem(), key.serialize_pem())).unwrap()
    }

    #[test]
    fn a_third_of_its_life_is_left_at_the_renewal_and_half_of_a_short_one() {
        assert_eq!(renewal(&lasting(90)), UNIX_EPOCH + 1060 * DAY);
        assert_eq!(renewal(&lasting(6)), UNIX_EPOCH + 1003 * DAY);
    }

    #[test]
    fn the_pauses_grow_to_six_hours() {
        let minutes = |failures| pause(failures).as_secs() / 60;
        assert_eq!([1, 2, 3, 9, 10, 1000].map(minutes), [1, 2, 4, 256, 360, 360]);
    }

    #[test]
    fn a_window_is_used_from_its_begin_to_its_end() {
        let (begins, ends) = (UNIX_EPOCH + DAY, UNIX_EPOCH + 256 * DAY);
        assert_eq!(within(begins, ends, 0), begins);
        assert_eq!(within(begins, ends, 255), ends);
        assert_eq!(within(ends, begins, 7), ends);
    }
}
