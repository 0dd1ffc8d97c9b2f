//! Documents of other instances: those count, and nothing else does that lies at the same place.

use std::sync::Arc;
use std::time::Duration;

use crate::session::meeting_place::MeetingPlace;
use crate::session::watched::{House, instance};
use crate::session::{Sessions, Settings, Shelf};

const HOUR: Duration = Duration::from_hours(1);

/// Two instances on one store, and where they meet.
async fn house() -> (House, Sessions, MeetingPlace) {
    let (house, place) = (House::new().await, MeetingPlace::default());
    let neighbour = house.neighbour().await;
    for sessions in [&house.sessions, &neighbour] {
        sessions.announce_to(Arc::new(place.clone()));
    }
    (house, neighbour, place)
}

fn shelf(sessions: &Sessions) -> Shelf {
    sessions.shelf("jwks", "corp").unwrap()
}

async fn found(shelf: &Shelf, name: &str) -> Option<Vec<u8>> {
    shelf.find(name, HOUR).await.map(|left| left.document)
}

fn refused(sessions: &Sessions) -> u64 {
    sessions.shelved()[3].1
}

#[tokio::test]
async fn what_one_instance_leaves_the_other_finds_while_it_is_fresh() {
    let (house, neighbour, _) = house().await;
    shelf(&house.sessions).leave("set", b"{}", HOUR).await;
    house.advance(3599);
    let left = shelf(&neighbour).find("set", HOUR).await.unwrap();
    assert_eq!((left.document.as_slice(), left.age), (&b"{}"[..], Duration::from_secs(3599)));
    house.advance(1);
    assert_eq!(found(&shelf(&neighbour), "set").await, None);
    assert_eq!(house.sessions.shelved()[1], ("left", 1));
    assert_eq!(neighbour.shelved(), [("taken", 1), ("left", 0), ("old", 1), ("refused", 0)]);
    assert!(house.neighbour().await.shelf("jwks", "corp").is_none(), "alone there is none");
}

#[tokio::test]
async fn sec_jwt_06_no_byte_can_change_and_no_document_passes_for_another() {
    let (house, neighbour, place) = house().await;
    shelf(&house.sessions).leave("set", b"{}", HOUR).await;
    let (key, good) = place.held().iter().map(|(key, value)| (key.clone(), value.clone())).next().unwrap();
    assert_eq!(found(&shelf(&neighbour), "set").await.as_deref(), Some(&b"{}"[..]));
    for index in 0..good.len() {
        let mut changed = good.clone();
        changed[index] ^= 1;
        place.held().insert(key.clone(), changed);
        assert_eq!(found(&shelf(&neighbour), "set").await, None, "{index}");
    }
    for odd in [vec![], good[..good.len() - 1].to_vec(), [&good[..], b" "].concat(), b"{}".to_vec()] {
        place.held().insert(key.clone(), odd);
        assert_eq!(found(&shelf(&neighbour), "set").await, None);
    }
    assert_eq!(refused(&neighbour), good.len() as u64 + 4);
    // Under the name of another set, provider or kind it is none.
    for (kind, owner, name) in [("jwks", "corp", "other"), ("jwks", "other", "set"), ("other", "corp", "set")] {
        let other = neighbour.shelf(kind, owner).unwrap();
        other.leave(name, b"[]", HOUR).await;
        assert_eq!(found(&other, name).await.as_deref(), Some(&b"[]"[..]));
        place.held().values_mut().for_each(|value| value.clone_from(&good));
        assert_eq!(found(&other, name).await, None, "{kind} {owner} {name}");
    }
}

#[tokio::test]
async fn sec_jwt_06_another_installation_is_not_believed_and_a_key_made_meanwhile_is() {
    let (house, neighbour, place) = house().await;
    let stranger = House::new().await;
    stranger.sessions.announce_to(Arc::new(place.clone()));
    shelf(&stranger.sessions).leave("set", b"{}", HOUR).await;
    assert_eq!(found(&shelf(&neighbour), "set").await, None);
    assert_eq!(refused(&neighbour), 1);
    // The others were not looked after since their key ended.
    house.advance(90 * 24 * 3600);
    let late = instance(&house.store, &house.clock, Settings::default()).await;
    late.announce_to(Arc::new(place));
    shelf(&late).leave("set", b"{}", HOUR).await;
    assert_eq!(found(&shelf(&neighbour), "set").await.as_deref(), Some(&b"{}"[..]));
}

#[tokio::test]
async fn a_clock_that_is_ahead_makes_documents_that_do_not_count_yet() {
    let (house, neighbour, place) = house().await;
    let ahead = crate::clock::Clock::manual(house.clock.now());
    let late = instance(&house.store, &ahead, Settings::default()).await;
    late.announce_to(Arc::new(place));
    for (seconds, counts) in [(10, true), (1, false), (3600, false)] {
        ahead.advance(Duration::from_secs(seconds));
        shelf(&late).leave("set", b"{}", HOUR).await;
        assert_eq!(found(&shelf(&neighbour), "set").await.is_some(), counts, "{seconds}");
    }
}
