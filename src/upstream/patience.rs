use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is kept for the life of a connection: to make one for each request, and to take it away again when
/// the answer is in time, costs more than to look now and then whether it was set too early.
pub(super) struct Patience(Pin<Box<Sleep>>);

impl Patience {
    pub(super) fn new(deadline: Instant) -> Self {
        Self(Box::pin(sleep_until(deadline)))
    }

    /// Waits for an answer, from `now` on for `limit`, and for as long again whenever `goes_on` says so; `None` if it
    /// does not come.
    pub(super) async fn wait<T>(
        &mut self,
        answer: impl Future<Output = T>,
        goes_on: impl Fn() -> bool,
        now: Instant,
        limit: Duration,
    ) -> Option<T> {
        let mut answer = pin!(answer);
        let mut deadline = now + limit;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            while let Poll::Ready(now) = self.poll(deadline, cx) {
                if !goes_on() {
                    return Poll::Ready(None);
                }
                deadline = now + limit;
            }
            Poll::Pending
        })
        .await
    }

    /// Ready once the deadline is past, with the time it is then.
    pub(super) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<Instant> {
        // Set for an earlier request, or for a later one that ended before.
        if deadline < self.0.deadline() {
            self.0.as_mut().reset(deadline);
        }
        loop {
            ready!(self.0.as_mut().poll(cx));
            let now = Instant::now();
            if now >= deadline {
                return Poll::Ready(now);
            }
            self.0.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_the_deadline_of_the_moment_whatever_it_was_set_to() {
        let start = Instant::now();
        let mut patience = Patience::new(start + Duration::from_secs(10));
        for (from, length) in [(0, 60), (100, 10), (200, 60)] {
            tokio::time::sleep_until(start + Duration::from_secs(from)).await;
            let deadline = Instant::now() + Duration::from_secs(length);
            let ended = poll_fn(|cx| patience.poll(deadline, cx)).await;
            assert!(ended >= deadline && ended < deadline + Duration::from_millis(5), "{:?}", ended - deadline);
        }
    }
}
