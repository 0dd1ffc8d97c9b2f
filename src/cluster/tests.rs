//! Against real servers.

use std::sync::Arc;
use std::time::Duration;

use super::redis_server::{Server, free_port};
use super::*;
use crate::clock::{Clock, Timestamp};
use crate::limit::{Over, Rate};
use crate::secret::Digest;

pub(super) fn settings(url: &str) -> Settings {
    Settings::new(Address::parse(url).unwrap())
}

pub(super) fn budget(owner: &str, count: u32, span: Duration) -> Budget {
    Budget { owner: Digest::of(owner), rate: Rate::new(count, span) }
}

pub(super) async fn up(cluster: &Cluster) {
    let wanted = async {
        let _ = cluster.0.link.state().wait_for(|state| *state == link::State::Up).await;
    };
    tokio::time::timeout(Duration::from_secs(20), wanted).await.unwrap();
}

pub(super) async fn away(cluster: &Cluster) {
    let wanted = async {
        let _ = cluster.0.link.state().wait_for(|state| *state == link::State::Away).await;
    };
    tokio::time::timeout(Duration::from_secs(20), wanted).await.unwrap();
}

#[tokio::test]
async fn of_many_at_once_on_several_instances_only_the_budget_passes() {
    let Some(redis) = Server::start(&[]) else { return };
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(Cluster::join(&settings(&redis.url())).await);
    }
    let budgets = [budget("ann", 10, Duration::from_hours(1))];
    let tries = instances.iter().flat_map(|cluster| (0..20).map(|_| cluster.count("sign_in", &budgets)));
    let passed = futures_util::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(passed, 10);
    let wait = instances[0].count("sign_in", &budgets).await.unwrap_err();
    assert!(wait > Duration::from_mins(5) && wait <= Duration::from_mins(6), "{wait:?}");
    // Another limit and another owner have budgets of their own; other installations, too.
    assert_eq!(instances[1].count("reset", &budgets).await, Ok(()));
    assert_eq!(instances[1].count("sign_in", &[budget("bob", 10, Duration::from_hours(1))]).await, Ok(()));
    let other = Cluster::join(&Settings { name: "other".to_owned(), ..settings(&redis.url()) }).await;
    assert_eq!(other.count("sign_in", &budgets).await, Ok(()));
    assert!(redis.cli(&["KEYS", "*"]).lines().all(|key| key.contains(":limit:{") || key.contains(":pulse:")));
}

#[tokio::test]
async fn a_budget_comes_back_one_by_one_and_what_is_whole_is_not_kept() {
    let Some(redis) = Server::start(&[]) else { return };
    let cluster = Cluster::join(&settings(&redis.url())).await;
    let budgets = [budget("ann", 2, Duration::from_millis(400))];
    let count = || cluster.count("sign_in", &budgets);
    assert_eq!((count().await, count().await), (Ok(()), Ok(())));
    let wait = count().await.unwrap_err();
    assert!(wait <= Duration::from_millis(200), "{wait:?}");
    while count().await.is_err() {}
    while !redis.cli(&["KEYS", "*limit*"]).is_empty() {}
}

#[tokio::test]
async fn budgets_count_in_their_order_up_to_the_first_that_is_used_up() {
    let Some(redis) = Server::start(&[]) else { return };
    let cluster = Cluster::join(&settings(&redis.url())).await;
    let hour = Duration::from_hours(1);
    let (address, account) = (budget("address", 2, hour), budget("account", 3, hour));
    for _ in 0..5 {
        let _ = cluster.count("sign_in", &[address, account]).await;
    }
    // The address was shut out after two: the account has one left.
    assert_eq!(cluster.count("sign_in", &[account]).await, Ok(()));
    assert!(cluster.count("sign_in", &[account]).await.is_err());
}

#[tokio::test]
async fn without_redis_nobody_is_refused_or_kept_waiting_and_it_is_found_again() {
    let Some(mut redis) = Server::start(&[]) else { return };
    let cluster = Cluster::join(&settings(&redis.url())).await;
    let budgets = [budget("ann", 1, Duration::from_hours(1))];
    assert!(cluster.is_up());
    assert_eq!(cluster.count("sign_in", &budgets).await, Ok(()));
    assert!(cluster.count("sign_in", &budgets).await.is_err());
    for (gone, back) in [("STOP", "CONT"), ("KILL", "")] {
        redis.signal(gone);
        away(&cluster).await;
        let begun = std::time::Instant::now();
        for _ in 0..100 {
            assert_eq!(cluster.count("sign_in", &budgets).await, Ok(()), "{gone}");
        }
        assert!(begun.elapsed() < Duration::from_millis(200), "{gone}: {:?}", begun.elapsed());
        if back.is_empty() {
            redis.restart()
        } else {
            redis.signal(back)
        }
        up(&cluster).await;
        let _ = cluster.count("sign_in", &budgets).await;
        assert!(cluster.count("sign_in", &budgets).await.is_err(), "{gone}");
    }
    assert!(cluster.numbers().answers.spread().count > 5 && cluster.numbers().missed() >= 3);
}

#[tokio::test]
async fn a_server_that_takes_no_writes_counts_as_away() {
    let Some(redis) = Server::start(&[]) else { return };
    let cluster = Cluster::join(&settings(&redis.url())).await;
    assert!(cluster.is_up());
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    away(&cluster).await;
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    up(&cluster).await;
}

#[tokio::test]
async fn nobody_there_is_no_reason_not_to_start() {
    let begun = std::time::Instant::now();
    let cluster = Cluster::join(&settings("redis://127.0.0.1:1")).await;
    assert!(!cluster.is_up() && begun.elapsed() < Duration::from_secs(2));
    assert_eq!(cluster.count("sign_in", &[budget("ann", 1, Duration::from_secs(1))]).await, Ok(()));
}

/// A way in for an account that may do nothing but what is needed.
const RIGHTS: [&str; 15] = [
    "ACL",
    "SETUSER",
    "vestibule",
    "on",
    ">canary-47",
    "~vestibule:*",
    "&vestibule:*",
    "+set",
    "+get",
    "+del",
    "+publish",
    "+subscribe",
    "+eval",
    "+evalsha",
    "+time",
];

#[tokio::test]
async fn an_account_needs_few_rights_and_a_wrong_password_is_told_without_it() {
    let Some(redis) = Server::start(&[]) else { return };
    redis.cli(&RIGHTS);
    redis.cli(&["ACL", "SETUSER", "default", "off"]);
    let port_of_none = Cluster::join(&settings(&redis.url())).await;
    assert!(!port_of_none.is_up());
    let mut own = settings(&redis.url());
    own.address.user = Some("vestibule".to_owned());
    own.password = Some(crate::secret::Secret::new("canary-47"));
    assert!(!format!("{own:?}").contains("canary"));
    let cluster = Cluster::join(&own).await;
    assert!(cluster.is_up());
    let budgets = [budget("ann", 1, Duration::from_hours(1))];
    assert_eq!(cluster.count("sign_in", &budgets).await, Ok(()));
    assert!(cluster.count("sign_in", &budgets).await.is_err());
    cluster.turn("refresh:a".to_owned()).await.unwrap().end().await;
    assert!(cluster.is_up() && tell_once(&own, &[]).await);
}

#[tokio::test]
async fn tls_is_spoken_to_the_named_host_with_a_trusted_certificate_only() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (file("cert.pem", own.cert.pem()), file("key.pem", own.signing_key.serialize_pem()));
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = file("other.pem", stranger.cert.pem());
    let port = free_port().to_string();
    let tls = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let Some(_redis) = Server::start(&tls) else { return };
    let with = |host: &str, ca: &str| {
        let settings = settings(&format!("rediss://{host}:{port}"));
        Settings { ca: Some(ca.into()), ..settings }
    };
    assert!(Cluster::join(&with("localhost", &cert)).await.is_up());
    assert!(!Cluster::join(&with("localhost", &other)).await.is_up());
    assert!(!Cluster::join(&with("127.0.0.1", &cert)).await.is_up());
    assert!(!Cluster::join(&settings(&format!("rediss://localhost:{port}"))).await.is_up());
}

#[tokio::test]
async fn rows_are_counted_together_and_the_next_name_counts_when_the_first_has_no_room() {
    let Some(mut redis) = Server::start(&[]) else { return };
    let (one, other) = (Cluster::join(&settings(&redis.url())).await, Cluster::join(&settings(&redis.url())).await);
    let [device, account] = ["device", "ann"].map(|name| Row { owner: Digest::of(name), most: 10 });
    let rates = [budget("ann", 25, Duration::from_hours(1))];
    let of_ann = [account];
    let tries = [&one, &other].into_iter().flat_map(|at| (0..6).map(|_| at.count_try("sign_in", &rates, &of_ann)));
    let passed = futures_util::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(passed, 10);
    let both = [device, account];
    for _ in 0..10 {
        assert_eq!(one.count_try("sign_in", &rates, &both).await, Ok(()), "a device has tries of its own");
    }
    assert_eq!(other.count_try("sign_in", &rates, &both).await, Err(Over::Rows));
    assert_eq!(other.count_try("sign_in", &[], &of_ann).await, Err(Over::Rows));
    while other.count_try("sign_in", &rates, &both).await == Err(Over::Rows) {}
    assert!(matches!(other.count_try("sign_in", &rates, &both).await, Err(Over::Budget(_))), "budgets come first");
    assert_eq!(redis.cli(&["GET", &budgets::row("vestibule", "sign_in", account.owner)]), "10");
    // What is begun anew while Redis does not answer is so when it does again.
    redis.signal("STOP");
    away(&one).await;
    one.forget("sign_in", account.owner);
    assert_eq!(one.count_try("sign_in", &[], &both).await, Ok(()), "nobody is refused for want of an answer");
    redis.signal("CONT");
    up(&one).await;
    while redis.cli(&["EXISTS", &budgets::row("vestibule", "sign_in", account.owner)]) != "0" {
        tokio::task::yield_now().await;
    }
    up(&other).await;
    assert_eq!(other.count_try("sign_in", &[], &of_ann).await, Ok(()));
}

#[tokio::test]
async fn only_one_instance_has_its_turn_and_the_next_waits_for_the_end_of_it() {
    let Some(mut redis) = Server::start(&[]) else { return };
    let (one, other) = (Cluster::join(&settings(&redis.url())).await, Cluster::join(&settings(&redis.url())).await);
    let turn = one.turn("refresh:a".to_owned()).await.unwrap();
    let something_else = other.turn("refresh:b".to_owned()).await.unwrap();
    let mut waiting = other.turn("refresh:a".to_owned());
    let too_early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(too_early.is_err());
    turn.end().await;
    let next = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    // What ran out belongs to somebody else by now, and is not taken away.
    redis.cli(&["SET", "vestibule:turn:refresh:a", "somebody"]);
    next.end().await;
    assert_eq!(redis.cli(&["GET", "vestibule:turn:refresh:a"]), "somebody");
    something_else.end().await;
    redis.signal("KILL");
    away(&one).await;
    assert!(one.turn("refresh:c".to_owned()).await.is_none(), "nobody waits for a Redis that is away");
}

mod sessions {
    use super::*;
    use crate::account::{Kind, User};
    use crate::id::UserId;
    use crate::session::{Device, Settings as Believed};
    use crate::store::{self, Store};

    struct Instance {
        sessions: Sessions,
        cluster: Cluster,
    }

    async fn instance(store: &Arc<dyn Store>, clock: &Clock, url: &str) -> Instance {
        let home = "https://blog.example.com".parse().unwrap();
        let believed = Believed { cache: Duration::from_mins(5), ..Believed::default() };
        let sessions = Sessions::open(store.clone(), clock.clone(), believed, &home).await.unwrap();
        let cluster = Cluster::join(&settings(url)).await;
        cluster.connect(&sessions);
        Instance { sessions, cluster }
    }

    async fn signed_in(at: &Instance, store: &Arc<dyn Store>, clock: &Clock) -> (User, Digest) {
        let user = User::new(UserId::generate(clock.now()), Kind::User, clock.now());
        store.save_user(&user).await.unwrap();
        let token = at.sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
        (user, Digest::of(token.expose()))
    }

    async fn forgotten(at: &Instance, token: &Digest) {
        let gone = async {
            while at.sessions.cached(token).is_some() {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    }

    #[tokio::test]
    async fn what_ends_at_one_instance_is_forgotten_by_the_others_and_nothing_else_is() {
        let Some(redis) = Server::start(&[]) else { return };
        let store = store::open(&store::Address::Memory).unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
        let (one, other) = (instance(&store, &clock, &redis.url()).await, instance(&store, &clock, &redis.url()).await);
        let (ann, of_ann) = signed_in(&one, &store, &clock).await;
        let (_, of_bob) = signed_in(&one, &store, &clock).await;
        // The sign-ins have been told when another message after them has.
        let settled = async {
            while other.cluster.numbers().seen() < 2 {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(Duration::from_secs(10), settled).await.unwrap();
        for token in [&of_ann, &of_bob] {
            assert!(other.sessions.by_cookie(token).await.unwrap().is_some());
            assert!(other.sessions.cached(token).is_some());
        }
        let caller = other.sessions.by_cookie(&of_ann).await.unwrap().unwrap();
        let stream = tokio::spawn({
            let sessions = other.sessions.clone();
            async move { sessions.over(&caller).await }
        });
        one.sessions.end_all(ann.id, None).await.unwrap();
        forgotten(&other, &of_ann).await;
        assert!(other.sessions.by_cookie(&of_ann).await.unwrap().is_none());
        assert!(other.sessions.cached(&of_bob).is_some());
        tokio::time::timeout(Duration::from_secs(10), stream).await.expect("its stream is over").unwrap();
    }

    #[tokio::test]
    async fn after_a_lost_connection_everybody_is_read_once() {
        let Some(mut redis) = Server::start(&[]) else { return };
        let store = store::open(&store::Address::Memory).unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
        let here = instance(&store, &clock, &redis.url()).await;
        let (_, token) = signed_in(&here, &store, &clock).await;
        here.sessions.by_cookie(&token).await.unwrap().unwrap();
        redis.signal("KILL");
        away(&here.cluster).await;
        assert!(here.sessions.cached(&token).is_some(), "nothing is lost with Redis");
        redis.restart();
        up(&here.cluster).await;
        assert!(here.sessions.cached(&token).is_none());
        assert!(here.sessions.by_cookie(&token).await.unwrap().is_some());
        assert!(here.sessions.cached(&token).is_some(), "once");
    }

    #[tokio::test]
    async fn what_ends_while_redis_is_away_is_told_when_it_is_back() {
        let Some(mut redis) = Server::start(&[]) else { return };
        let store = store::open(&store::Address::Memory).unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
        let (one, other) = (instance(&store, &clock, &redis.url()).await, instance(&store, &clock, &redis.url()).await);
        redis.signal("KILL");
        away(&one.cluster).await;
        let user = UserId::generate(clock.now());
        one.sessions.forget_user(user);
        redis.restart();
        let told = async {
            while one.cluster.numbers().sent() == 0 {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
        up(&other.cluster).await;
    }
}
