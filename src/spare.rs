//! Places in memory that a thread uses again: of what every request needs and gives back, the last one is still in the
//! caches of the processor, and an allocator hands out another.

use std::cell::RefCell;

use http::HeaderMap;

thread_local! {
    static MAPS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
    static TEXTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty map.
pub fn map() -> HeaderMap {
    MAPS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes a map that nobody needs any more.
pub fn keep_map(mut map: HeaderMap) {
    if (1..=USUAL_FIELDS).contains(&map.capacity()) {
        map.clear();
        keep(&MAPS, map);
    }
}

/// An empty text, with room for a head.
pub fn text() -> Vec<u8> {
    TEXTS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(HEAD))
}

/// Takes a text that nobody needs any more.
pub fn keep_text(mut text: Vec<u8>) {
    if (1..=USUAL_TEXT).contains(&text.capacity()) {
        text.clear();
        keep(&TEXTS, text);
    }
}

fn keep<T>(places: &'static std::thread::LocalKey<RefCell<Vec<T>>>, place: T) {
    // A thread that ends has no places any more.
    let _ = places.try_with(|places| {
        let mut places = places.borrow_mut();
        if places.len() < MOST {
            places.push(place);
        }
    });
}

/// Room for most heads.
const HEAD: usize = 2 << 10;
/// What a browser sends and we add has room in this, and a short answer.
const USUAL_TEXT: usize = 16 << 10;
/// So many fields have most messages at most.
const USUAL_FIELDS: usize = 100;
/// The most places of one kind that a thread keeps.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn a_map_is_given_out_empty_and_not_too_large() {
        let mut used = HeaderMap::from_iter([(HOST, HeaderValue::from_static("a.test"))]);
        used.append(HOST, HeaderValue::from_static("b.test"));
        let room = used.capacity();
        keep_map(used);
        let next = map();
        assert!(next.is_empty() && next.capacity() == room && map().capacity() == 0);
        keep_map(HeaderMap::with_capacity(1000));
        assert_eq!(map().capacity(), 0);
    }

    #[test]
    fn a_text_is_given_out_empty_and_not_too_large() {
        let mut used = text();
        used.extend_from_slice(b"secret");
        let place = used.as_ptr();
        keep_text(used);
        let next = text();
        assert!(next.is_empty() && next.as_ptr() == place);
        keep_text(Vec::with_capacity(USUAL_TEXT + 1));
        assert!(text().capacity() <= USUAL_TEXT);
    }
}
