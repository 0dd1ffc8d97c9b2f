//! What it costs to find out who is calling: with 1,000 and with 1,000,000 sessions, known and forgotten.
//!
//! `cargo bench --bench session`

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use tokio::runtime::Runtime;
use vestibule::account::{Kind, User};
use vestibule::clock::Clock;
use vestibule::id::UserId;
use vestibule::secret::{self, Digest};
use vestibule::session::cookie::Name;
use vestibule::session::{Device, Sessions, Settings};
use vestibule::store::{self, Address, Store};

type Outcome<T> = Result<T, Box<dyn Error>>;

const MILLION: usize = 1_000_000;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut criterion = Criterion::default().configure_from_args();
    header(&mut criterion)?;
    for (name, live, at_work) in [
        ("known: 1,000 sessions", 1000, 1000),
        ("known: 1,000 of 1,000,000 sessions", MILLION, 1000),
        ("known: any of 100,000 sessions", 100_000, 100_000),
        ("known: any of 1,000,000 sessions", MILLION, MILLION),
    ] {
        let mut site = runtime.block_on(Site::open(live, at_work))?;
        criterion.bench_function(name, |bench| bench.iter(|| site.sessions.cached(black_box(site.tokens.next()))));
    }
    for (name, live) in [("forgotten: 1,000 sessions", 1000), ("forgotten: 1,000,000 sessions", MILLION)] {
        let mut site = runtime.block_on(Site::open(live, live.min(100_000)))?;
        forgotten(&mut criterion, &runtime, name, &mut site);
    }
    criterion.final_summary();
    Ok(())
}

/// From the `Cookie` field to the digest: what every look-up costs before it begins.
fn header(criterion: &mut Criterion) -> Outcome<()> {
    let mut headers = HeaderMap::new();
    let field = format!("theme=dark; __Host-vestibule={}", secret::token().expose());
    headers.insert(COOKIE, HeaderValue::try_from(field)?);
    criterion.bench_function("read the cookie", |bench| bench.iter(|| Name::new(true).read(black_box(&headers))));
    Ok(())
}

/// The whole way through the store (in memory) and back into the cache.
fn forgotten(criterion: &mut Criterion, runtime: &Runtime, name: &str, site: &mut Site) {
    let sessions = site.sessions.clone();
    let mut forget = || {
        let token = *site.tokens.next();
        if let Some(caller) = sessions.cached(&token) {
            sessions.forget_user(caller.user.id);
        }
        token
    };
    let find = |token| runtime.block_on(sessions.by_cookie(&token)).is_ok_and(|caller| caller.is_some());
    criterion.bench_function(name, |bench| bench.iter_batched(&mut forget, find, BatchSize::SmallInput));
}

/// A site, and who comes to it.
struct Site {
    sessions: Sessions,
    tokens: Tokens,
}

/// The digests of cookies, in an order that has nothing to do with that of their sessions in memory; the list
/// itself is read in its own order, so that it does not add to what is measured.
struct Tokens(Vec<Digest>, usize);

impl Site {
    /// With so many live sessions, and so many of them in the cache.
    async fn open(live: usize, at_work: usize) -> Outcome<Self> {
        let clock = Clock::system();
        let store: Arc<dyn Store> = store::open(&Address::Memory)?;
        let settings = Settings { cache: Duration::from_secs(3600), cache_entries: 2_000_000, ..Settings::default() };
        let url = "https://blog.example.com".parse()?;
        let sessions = Sessions::open(store.clone(), clock.clone(), settings, &url).await?;
        let mut tokens = Vec::with_capacity(live);
        for _ in 0..live {
            let user = User::new(UserId::generate(clock.now()), Kind::User, clock.now());
            store.save_user(&user).await?;
            let token = sessions.start(&user, "local-userpass", Device::default()).await?;
            tokens.push(Digest::of(token.expose()));
        }
        tokens.truncate(at_work);
        for token in &tokens {
            sessions.by_cookie(token).await?.ok_or("a session that was opened is not found")?;
        }
        // A digest is as good as a random number.
        tokens.sort_unstable();
        Ok(Self { sessions, tokens: Tokens(tokens, 0) })
    }
}

impl Tokens {
    fn next(&mut self) -> &Digest {
        self.1 = (self.1 + 1) % self.0.len();
        &self.0[self.1]
    }
}
