use http::HeaderMap;
use http::header::FORWARDED;

use crate::secret::Digest;

/// How often a request has been at this site: the name we give ourselves in `Forwarded` (`by`, RFC 7239 §5.1) says it,
/// and comes back with a request that some upstream sends here again, under whatever name it finds us.
///
/// Not `Via` (RFC 9110 §7.6.3): web servers behind stop compressing for whoever sends it. All instances of a site
/// have one name, as a loop may lead through a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    site: u32,
    before: u8,
}

impl Round {
    /// The first round at the site of this origin.
    pub fn first(origin: &str) -> Self {
        let [a, b, c, d, ..] = *Digest::of(origin).as_bytes();
        Self { site: u32::from_be_bytes([a, b, c, d]), before: 0 }
    }

    /// How often a request of these fields has been here before. What clients make up harms themselves alone.
    pub fn before(self, headers: &HeaderMap) -> u8 {
        if !headers.contains_key(FORWARDED) {
            return 0;
        }
        let name = format!("by={}", self.name());
        let lines = headers.get_all(FORWARDED).iter().map(|line| line.as_bytes().to_ascii_lowercase());
        let counts = lines.flat_map(|line| {
            let ends = memchr::memmem::find_iter(&line, &name).map(|at| at + name.len());
            ends.filter_map(|at| line.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0'))
                .collect::<Vec<_>>()
        });
        counts.max().unwrap_or(0)
    }

    /// The round of a request that has been here so often.
    pub fn after(self, before: u8) -> Self {
        Self { before, ..self }
    }

    /// Whether it goes round and round. An app may ask this site for a part of its answer, with all the fields it was
    /// asked with itself; it does not ask itself again through that.
    pub fn is_loop(self) -> bool {
        self.before >= MOST
    }

    /// What the request carries from here on. An obfuscated identifier (RFC 7239 §6.3) tells nothing of us.
    pub(super) fn node(self) -> String {
        format!("{}{}", self.name(), self.before + 1)
    }

    fn name(self) -> String {
        format!("_v{:08x}-", self.site)
    }
}

/// So often a request may come back.
const MOST: u8 = 2;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn saying(value: String) -> HeaderMap {
        HeaderMap::from_iter([(FORWARDED, HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn a_request_that_comes_back_is_counted_and_is_a_loop_in_the_third_round() {
        let site = Round::first("https://blog.example.com");
        assert_eq!(site.before(&HeaderMap::new()), 0);
        let second = site.after(site.before(&saying(format!("for=10.0.0.1;by={}", site.node()))));
        assert!(!site.is_loop() && !second.is_loop());
        let chain = format!("for=a;by={}, for=b;BY={};proto=http", site.node(), second.node().to_ascii_uppercase());
        assert!(site.after(site.before(&saying(chain))).is_loop());
    }

    #[test]
    fn the_name_of_another_site_does_not_count() {
        let (site, other) = (Round::first("https://blog.example.com"), Round::first("https://shop.example.com"));
        assert_eq!(site.before(&saying(format!("by={}", other.after(1).node()))), 0);
        assert_eq!(site.before(&saying(format!("by={}x", site.name()))), 0);
    }
}
