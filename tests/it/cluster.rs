//! Three instances behind HAProxy, on one PostgreSQL and one Redis, while any of them is killed at random: nobody gets
//! in who must not, and nothing that was acknowledged is lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use vestibule::account::email::Email;
use vestibule::store::{Address, PostgresSettings, PostgresUrl, Store, open};

use super::postgres_kills::exchange;
use crate::support::balancer::Balancer;
use crate::support::idp::now;
use crate::support::redis::{self, free_port};
use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Signer, Site, Vestibule, postgres, within};

const INSTANCES: usize = 3;
/// How many are at it at the same time.
const VISITORS: usize = 8;
/// `session.cache`: within it a revocation counts everywhere, with Redis or without.
const CACHE: Duration = Duration::from_secs(2);
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn rules(port: u16, store: &str, redis: &str) -> String {
    format!(
        r#"
listen = ["127.0.0.1:{port}"]
[store]
url = "{store}"
connect_timeout = "500ms"
statement_timeout = "1s"
[cluster]
redis = "{redis}"
[session]
cache = "{}s"
[trusted_proxies]
addresses = ["127.0.0.1"]
[limits]
sign_in = {{ per_account = "1000/1h", per_address = "1000000/1h" }}
sign_up = {{ per_account = "1000/1h", per_address = "1000000/1h" }}
[providers.local-userpass]
sign_up = "open"
confirm = "automatic"
[providers.custom-token]
keys = [{{ secret = {{ env = "TOKEN_KEY" }} }}]
algorithms = ["HS256"]
audience = "app"
[routes]
"/**" = {{ all = "signed_in" }}
"#,
        CACHE.as_secs()
    )
}

/// What was acknowledged, and what must not be true of it.
#[derive(Default)]
struct Log {
    /// E-mail address to user id.
    users: BTreeMap<String, String>,
    /// Subjects that were linked, and to whom.
    links: BTreeMap<String, String>,
    /// Bearers whose session was ended, and when that was acknowledged.
    ended: Vec<(String, Instant)>,
    /// How long each went on to be good.
    lasted: Vec<Duration>,
    /// Whoever got in as somebody else, or after the end.
    wrong: Vec<String>,
    /// Refused although it is good.
    refused: Vec<String>,
}

#[derive(Default)]
struct Figures {
    requests: AtomicUsize,
    sign_ins: AtomicUsize,
    refreshes: AtomicUsize,
    unanswered: AtomicUsize,
}

struct Load {
    balancer: SocketAddr,
    log: Mutex<Log>,
    figures: Figures,
    over: AtomicBool,
}

impl Load {
    /// Asks through the balancer; none unless it was decided.
    async fn decided(&self, head: &str, body: &str) -> Option<(u16, String)> {
        match exchange(self.balancer, head, body).await {
            // The balancer's own words, and ours for a store that is away.
            None | Some((500.., _)) => {
                self.figures.unanswered.fetch_add(1, Ordering::Relaxed);
                None
            }
            answer => answer,
        }
    }

    /// The same, whole: what was cut short is not acknowledged.
    async fn ask(&self, head: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = self.decided(head, &body).await?;
        if text.is_empty() { Some((status, Value::Null)) } else { Some((status, serde_json::from_str(&text).ok()?)) }
    }

    /// Who the service says a bearer is: 200 and a user, or a refusal.
    async fn me(&self, bearer: &str) -> Option<(u16, Value)> {
        let answer = self.ask(&format!("GET /.auth/me\nAuthorization: Bearer {bearer}\r\n"), &Value::Null).await;
        self.figures.requests.fetch_add(usize::from(answer.is_some()), Ordering::Relaxed);
        answer
    }

    /// Whether the app behind is reached, through every layer.
    async fn app(&self, bearer: &str) -> Option<u16> {
        let (status, _) = self.decided(&format!("GET /page\nAuthorization: Bearer {bearer}\r\n"), "").await?;
        self.figures.requests.fetch_add(1, Ordering::Relaxed);
        Some(status)
    }

    async fn visit(&self, number: usize) {
        for turn in 0.. {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            let email = format!("v{number}-{turn}@example.com");
            let account = json!({ "email": email, "password": PASSWORD });
            self.ask("POST /.auth/register", &account).await;
            let Some((200, tokens)) = self.ask("POST /.auth/login/local-userpass", &account).await else { continue };
            self.figures.sign_ins.fetch_add(1, Ordering::Relaxed);
            let id = text(&tokens["user_id"]);
            let before = self.log.lock().unwrap().users.insert(email.clone(), id.clone());
            assert!(before.is_none_or(|before| before == id), "{email} is of two users");
            let mut tokens = tokens;
            for _ in 0..3 {
                self.look(&text(&tokens["access_token"]), &id).await;
            }
            self.link(&text(&tokens["access_token"]), &id, &format!("s{number}-{turn}")).await;
            let refresh = json!({ "refresh_token": tokens["refresh_token"] });
            // Unanswered, it is asked again: within the grace the same tokens come.
            for _ in 0..2 {
                if let Some((200, next)) = self.ask("POST /.auth/token/refresh", &refresh).await {
                    self.figures.refreshes.fetch_add(1, Ordering::Relaxed);
                    tokens = next;
                    self.look(&text(&tokens["access_token"]), &id).await;
                    break;
                }
            }
            self.end(&tokens).await;
            self.look_back().await;
        }
    }

    /// A good session gets in, as itself and nobody else.
    async fn look(&self, bearer: &str, id: &str) {
        match self.me(bearer).await {
            Some((200, me)) if me["user_id"] != *id => {
                self.log.lock().unwrap().wrong.push(format!("{id} was taken for {}", me["user_id"]));
            }
            Some((status @ 400..500, _)) => self.log.lock().unwrap().refused.push(format!("{id}: {status}")),
            _ => {}
        }
        if let Some(status @ 400..500) = self.app(bearer).await {
            self.log.lock().unwrap().refused.push(format!("{id} at the app: {status}"));
        }
    }

    async fn link(&self, bearer: &str, id: &str, subject: &str) {
        let claims = json!({ "sub": subject, "aud": "app", "iat": now(), "exp": now() + 600 });
        let token = json!({ "token": Signer::secret(KEY.as_bytes()).sign(&claims) });
        let head = format!("POST /.auth/login/custom-token?link=true\nAuthorization: Bearer {bearer}\r\n");
        if let Some((200, linked)) = self.ask(&head, &token).await {
            assert_eq!(linked["user_id"], *id, "a link leaves the user who is signed in");
            self.log.lock().unwrap().links.insert(subject.to_owned(), id.to_owned());
        }
    }

    /// Ends the session, and looks how long others still take it.
    async fn end(&self, tokens: &Value) {
        let refresh = json!({ "refresh_token": tokens["refresh_token"] });
        let Some((200..300, _)) = self.ask("POST /.auth/token/revoke", &refresh).await else { return };
        let (bearer, ended) = (text(&tokens["access_token"]), Instant::now());
        self.log.lock().unwrap().ended.push((bearer.clone(), ended));
        let mut last = Duration::ZERO;
        // Each of the instances says no, one after the other.
        for _ in 0..2 * INSTANCES {
            let asked = Instant::now();
            if let Some(200) = self.app(&bearer).await {
                last = asked - ended;
                self.judge(last);
            }
        }
        self.log.lock().unwrap().lasted.push(last);
    }

    /// Sessions that ended a while ago stay ended, whoever was killed meanwhile.
    async fn look_back(&self) {
        let some: Vec<_> = self.log.lock().unwrap().ended.iter().rev().step_by(7).take(3).cloned().collect();
        for (bearer, ended) in some {
            let asked = Instant::now();
            if let Some(200) = self.app(&bearer).await {
                self.judge(asked - ended);
            }
        }
    }

    fn judge(&self, after: Duration) {
        if after > CACHE {
            self.log.lock().unwrap().wrong.push(format!("a session was taken {after:?} after its end"));
        }
    }

    fn acknowledged(&self) -> usize {
        let log = self.log.lock().unwrap();
        log.users.len() + log.links.len() + log.ended.len()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What can be killed, and how it comes back.
struct House {
    instances: Vec<Option<Vestibule>>,
    postgres: postgres::Server,
    redis: redis::Server,
    kills: BTreeMap<&'static str, usize>,
}

impl House {
    async fn kill(&mut self, dice: u8) {
        let what = match dice % 8 {
            0..4 => {
                let place = &mut self.instances[usize::from(dice / 8) % INSTANCES];
                let instance = place.take().unwrap();
                instance.signal(Signal::KILL);
                *place = Some(instance.kill_and_restart().await);
                "instance"
            }
            4 => {
                self.postgres.signal("KILL");
                self.postgres.restart();
                "postgres"
            }
            5 => {
                self.redis.signal("KILL");
                self.redis.restart();
                "redis"
            }
            6 => {
                self.says("Redis is there").await;
                self.redis.signal("STOP");
                self.says("Redis is away").await;
                self.redis.signal("CONT");
                "redis stopped"
            }
            _ => {
                self.redis.signal("KILL");
                let place = &mut self.instances[usize::from(dice / 8) % INSTANCES];
                let instance = place.take().unwrap();
                instance.signal(Signal::KILL);
                *place = Some(instance.kill_and_restart().await);
                self.redis.restart();
                "instance and redis"
            }
        };
        *self.kills.entry(what).or_default() += 1;
    }

    /// Waits until this is the last word of the first instance about Redis.
    async fn says(&self, words: &str) {
        let log = self.instances[0].as_ref().unwrap().log();
        let said = async {
            while !log.with("Redis is ").last().is_some_and(|line| line.contains(words)) {
                tokio::task::yield_now().await;
            }
        };
        within(words, said).await;
    }
}

async fn run(span: Duration) {
    let (Some(postgres), Some(redis)) = (postgres::Server::start(&[]), redis::Server::start(&[])) else { return };
    let (url, ports) = (postgres.url(), [(); INSTANCES].map(|()| free_port()));
    let Some(balancer) = Balancer::start(&ports) else { return };
    let app = RecordingUpstream::start();
    let mut instances = Vec::new();
    for port in ports {
        let site = Site::new(&app, &rules(port, &url, &redis.url())).env("TOKEN_KEY", KEY);
        instances.push(Some(site.start().await));
    }
    let load = Arc::new(Load {
        balancer: balancer.address(),
        log: Mutex::default(),
        figures: Figures::default(),
        over: AtomicBool::new(false),
    });
    let visitors: Vec<_> = (0..VISITORS)
        .map(|number| {
            let load = load.clone();
            tokio::spawn(async move { load.visit(number).await })
        })
        .collect();
    let mut house = House { instances, postgres, redis, kills: BTreeMap::new() };
    let begun = Instant::now();
    let dice = vestibule::secret::random::<64>();
    for die in dice.iter().cycle() {
        let next = load.acknowledged() + 12;
        let served = async {
            while load.acknowledged() < next {
                tokio::task::yield_now().await;
            }
        };
        within(&format!("visitors to be served after {:?}", house.kills), served).await;
        if begun.elapsed() >= span {
            break;
        }
        house.kill(*die).await;
    }
    load.over.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.await.unwrap();
    }
    let took = begun.elapsed();
    let log = std::mem::take(&mut *load.log.lock().unwrap());
    check(&log, &house, &url).await;
    report(&log, &load.figures, &house.kills, took);
}

/// Reads the log of what was acknowledged against the store, and against every instance.
async fn check(log: &Log, house: &House, url: &str) {
    assert!(log.wrong.is_empty(), "wrong permissions: {:#?}", log.wrong);
    assert!(log.refused.is_empty(), "good sessions were refused: {:#?}", log.refused);
    let address = Address::Postgres(Box::new(PostgresSettings::new(PostgresUrl::parse(url).unwrap())));
    let store: Arc<dyn Store> = open(&address).unwrap();
    for (email, id) in &log.users {
        let found = store.user_by_email(Email::parse(email).unwrap().key()).await.unwrap();
        let user = found.unwrap_or_else(|| panic!("{email} was acknowledged and is not there"));
        assert_eq!(user.id.to_string(), *id, "{email}");
        for (subject, _) in log.links.iter().filter(|(_, owner)| *owner == id) {
            let linked = user.identities.iter().any(|own| own.provider == "custom-token" && own.subject == *subject);
            assert!(linked, "the link of {email} with {subject} was acknowledged and is not there");
        }
    }
    for instance in house.instances.iter().flatten() {
        for (bearer, ended) in log.ended.iter().rev().step_by(5) {
            // What ended last may go on for that long where Redis was away.
            loop {
                let after = ended.elapsed();
                let reply = instance.client().get("/.auth/me").bearer(bearer).await;
                if after > CACHE || reply.status == 401 {
                    reply.is(401);
                    break;
                }
            }
        }
    }
    let schema = url.rsplit("%3D").next().unwrap();
    let twice = format!(
        "SET search_path = {schema}; SELECT count(*) FROM (SELECT email_key FROM users GROUP BY 1 HAVING count(*) > 1) t"
    );
    assert_eq!(house.postgres.sql("postgres", &twice), "0");
}

fn report(log: &Log, figures: &Figures, kills: &BTreeMap<&'static str, usize>, took: Duration) {
    let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
    let mut lasted = log.lasted.clone();
    lasted.sort();
    let at = |part: usize| lasted.get(lasted.len() * part / 100).copied().unwrap_or_default();
    println!(
        "{:.0} s, {INSTANCES} instances: {} requests, {} sign-ins, {} refreshes, {} links, {} revocations, {} unanswered; \
         killed {:?}; seen after a revocation: {:?} (median), {:?} (99 %), {:?} (most); wrong permissions {}, lost \
         acknowledgements 0",
        took.as_secs_f64(),
        count(&figures.requests),
        count(&figures.sign_ins),
        count(&figures.refreshes),
        log.links.len(),
        log.ended.len(),
        count(&figures.unanswered),
        kills,
        at(50),
        at(99),
        lasted.last().copied().unwrap_or_default(),
        log.wrong.len(),
    );
    let all: usize = kills.values().sum();
    assert!(all >= 2 && !log.links.is_empty() && !log.ended.is_empty(), "{kills:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_open_no_door_and_lose_nothing() {
    run(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: cargo test --test it -- --ignored --nocapture cluster::"]
async fn a_minute_of_random_kills_opens_no_door_and_loses_nothing() {
    run(Duration::from_mins(1)).await;
}
