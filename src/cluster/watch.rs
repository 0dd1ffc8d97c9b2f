//! Keeps the connections: looks for Redis while it is away, listens while it is there, and notices when it goes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{PubSub, PubSubStream};
use redis::{RedisError, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::forgotten::Forgotten;
use super::link::{Answer, Link, State};
use super::messages::{Incoming, Outgoing, channel, instance};
use super::{LOOK, connect};

/// Between two signs of life: what a Redis that stopped without a word is noticed by.
const BEAT: Duration = Duration::from_millis(500);

const UNANSWERED: &str = "a command was not answered";

/// Never ends by itself.
pub(super) async fn keep(link: Arc<Link>, outgoing: Arc<Outgoing>, forgotten: Arc<Forgotten>) {
    let own = instance();
    tokio::join!(outgoing.send(&link, &own), forgotten.remove(&link), listen(&link, &outgoing, &own));
}

async fn listen(link: &Link, outgoing: &Outgoing, own: &str) {
    loop {
        let error = match begin(link, own).await {
            Ok(heard) => {
                // Whatever was said meanwhile was missed; whatever is read from here on is not older than what is heard.
                outgoing.miss(link.numbers());
                link.set_up();
                follow(link, outgoing, own, heard).await
            }
            Err(error) => error,
        };
        link.fail(&error);
        sleep(LOOK).await;
    }
}

/// Connects, and listens before anything counts.
async fn begin(link: &Link, own: &str) -> Result<PubSubStream, RedisError> {
    let settings = link.settings();
    let (connection, mut ear): (_, PubSub) = connect::both(settings).await?;
    let channels = [channel(settings), pulse(link, own)];
    let subscribed = timeout(settings.timeout, ear.subscribe(&channels[..])).await;
    subscribed.unwrap_or_else(|_| Err(silent("it does not let us listen")))?;
    link.put(connection);
    Ok(ear.into_on_message())
}

/// Hears what the others say until the connection is of no use any more.
async fn follow(link: &Link, outgoing: &Outgoing, own: &str, mut heard: PubSubStream) -> RedisError {
    let mut incoming = Incoming::new(own);
    let (pulse, beats) = (pulse(link, own), watch::Sender::new(0_u64));
    let mut away = link.state();
    let mut beating = std::pin::pin!(beat(link, &pulse, beats.subscribe()));
    loop {
        tokio::select! {
            message = heard.next() => match message {
                None => return silent("the connection was closed"),
                Some(message) => {
                    let text: String = message.get_payload().unwrap_or_default();
                    match text.parse() {
                        Ok(number) if message.get_channel_name() == pulse => _ = beats.send_replace(number),
                        _ => outgoing.hear(&text, &mut incoming, link.numbers()),
                    }
                }
            },
            error = &mut beating => return error,
            _ = away.wait_for(|state| *state == State::Away) => return silent(UNANSWERED),
        }
    }
}

/// Says something to itself through Redis, again and again, until it does not come back in time. Writing comes first:
/// a server that has become a replica, or is full, still passes messages on.
async fn beat(link: &Link, pulse: &str, mut heard: watch::Receiver<u64>) -> RedisError {
    let limit = link.settings().timeout;
    for number in 1_u64.. {
        let begun = Instant::now();
        let (mut write, mut say) = (redis::cmd("SET"), redis::cmd("PUBLISH"));
        write.arg(pulse).arg(number).arg("PX").arg(10_000);
        say.arg(pulse).arg(number);
        for command in [write, say] {
            let Answer::Is(_) = link.ask::<Value>(&command).await else { return silent(UNANSWERED) };
        }
        let said = Instant::now();
        match timeout(limit, heard.wait_for(|heard| *heard >= number)).await {
            Ok(Ok(_)) => link.numbers().set_lag(said.elapsed()),
            _ => return silent("what is said does not come back"),
        }
        sleep(BEAT.saturating_sub(begun.elapsed())).await;
    }
    silent("the connection is old")
}

/// The channel and the key that only this instance uses.
fn pulse(link: &Link, own: &str) -> String {
    format!("{}:pulse:{own}", link.settings().name)
}

fn silent(why: &'static str) -> RedisError {
    RedisError::from(std::io::Error::other(why))
}
