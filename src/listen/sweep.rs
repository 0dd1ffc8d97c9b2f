use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::gauge::{Gauge, Order, Reading, Stage};
use crate::limit::Timeouts;

/// The connections of a worker, looked over now and then for clients that stall.
pub(super) struct Sweep {
    watched: Vec<Watched>,
    timeouts: Timeouts,
}

struct Watched {
    gauge: Weak<Gauge>,
    record: Record,
}

/// What the last looks at a gauge showed.
struct Record {
    last: Reading,
    /// Since when the stage is the same, with requests in progress or without.
    stage_since: Instant,
    /// Since when, and from which count on, too little has come of a body that is wanted.
    drought: (Instant, u32),
    /// Since when the client has taken nothing of what is to be sent.
    clogged_since: Instant,
    /// When it was told to end for having no request: what is left of it then is bytes that nobody takes.
    retired: Option<Instant>,
}

impl Sweep {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Self { watched: Vec::new(), timeouts }
    }

    /// How often to look: often enough to be late by a quarter of the shortest span at most.
    pub(super) fn interval(&self) -> Duration {
        let Timeouts { handshake, header, stall, idle, .. } = self.timeouts;
        let shortest = handshake.min(header).min(stall).min(idle);
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    pub(super) fn watch(&mut self, gauge: &Arc<Gauge>, now: Instant) {
        self.watched.push(Watched { gauge: Arc::downgrade(gauge), record: Record::new(gauge.read(), now) });
    }

    /// Ends whoever is over time, and forgets who is gone.
    pub(super) fn look(&mut self, now: Instant) {
        self.watched.retain_mut(|watched| {
            let Some(gauge) = watched.gauge.upgrade() else { return false };
            gauge.streams.look(now, self.timeouts.stall);
            gauge.lead();
            if let Some((order, why)) = watched.record.judge(gauge.read(), now, &self.timeouts) {
                tracing::debug!(why, "connection ended");
                gauge.give(order);
            }
            true
        });
    }

    /// Tells every connection to end after its requests in progress.
    pub(super) fn retire_all(&self) {
        self.watched.iter().filter_map(|watched| watched.gauge.upgrade()).for_each(|gauge| gauge.give(Order::Retire));
    }
}

impl Record {
    fn new(last: Reading, now: Instant) -> Self {
        Self { last, stage_since: now, drought: (now, last.received), clogged_since: now, retired: None }
    }

    /// Nobody is cut for having nothing to say: only who owes a header block or a body, does not take what is to be
    /// sent, or keeps a connection without any request.
    fn judge(&mut self, reading: Reading, now: Instant, timeouts: &Timeouts) -> Option<(Order, &'static str)> {
        let last = std::mem::replace(&mut self.last, reading);
        let idle = reading.in_progress == 0;
        if (last.stage, last.turn, last.in_progress == 0) != (reading.stage, reading.turn, idle) {
            self.stage_since = now;
        }
        if !reading.cannot_send || reading.sent != last.sent {
            self.clogged_since = now;
        }
        let is_drought = reading.stage == Stage::Body && reading.wants_bytes;
        if !is_drought || reading.received.wrapping_sub(self.drought.1) >= LEAST {
            self.drought = (now, reading.received);
        }
        if now.duration_since(self.clogged_since) >= timeouts.stall {
            return Some((Order::Cut, "the client takes nothing"));
        }
        if now.duration_since(self.drought.0) >= timeouts.stall {
            return Some((Order::Cut, "the body of a request does not come"));
        }
        let spent = now.duration_since(self.stage_since);
        match reading.stage {
            Stage::Handshake if spent >= timeouts.handshake => Some((Order::Cut, "the handshake takes too long")),
            Stage::Fresh | Stage::Head if spent >= timeouts.header => {
                Some((Order::Cut, "the header block takes too long"))
            }
            Stage::Lingering if spent >= timeouts.header => Some((Order::Cut, "the client goes on sending")),
            Stage::Between | Stage::Http2 if idle && spent >= timeouts.idle => {
                let since = *self.retired.get_or_insert(now);
                let order = if now.duration_since(since) >= timeouts.stall { Order::Cut } else { Order::Retire };
                Some((order, "idle"))
            }
            _ => None,
        }
    }
}

/// The fewest bytes of a body that count as progress within the span for stalls: a byte now and then is none.
const LEAST: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn reading(stage: Stage) -> Reading {
        Reading { stage, turn: 0, received: 0, sent: 0, wants_bytes: true, cannot_send: false, in_progress: 0 }
    }

    /// Looks once a second, and tells after how many seconds it was ended.
    fn ended_after(mut at: impl FnMut(u32) -> Reading) -> Option<(u32, Order)> {
        let start = Instant::now();
        let mut record = Record::new(at(0), start);
        (1..200).find_map(|second| {
            let verdict = record.judge(at(second), start + SECOND * second, &Timeouts::default());
            verdict.map(|(order, _)| (second, order))
        })
    }

    #[test]
    fn a_header_block_must_come_whole_in_time_however_it_drips() {
        let dripping = |second| Reading { received: second * 100, ..reading(Stage::Head) };
        assert_eq!(ended_after(dripping), Some((10, Order::Cut)));
        let new_ones = |second| Reading { turn: second, ..reading(Stage::Head) };
        assert_eq!(ended_after(new_ones), None);
    }

    #[test]
    fn a_body_that_drips_is_cut_and_one_that_flows_is_not() {
        let busy = Reading { in_progress: 1, ..reading(Stage::Body) };
        assert_eq!(ended_after(|second| Reading { received: second / 10, ..busy }), Some((30, Order::Cut)));
        assert_eq!(ended_after(|second| Reading { received: second * 10, ..busy }), None);
        assert_eq!(ended_after(|_| Reading { wants_bytes: false, ..busy }), None);
    }

    #[test]
    fn a_client_that_takes_nothing_is_cut_and_a_slow_one_is_not() {
        for stage in [Stage::Between, Stage::Http2, Stage::Tunnel] {
            let clogged = Reading { cannot_send: true, in_progress: 1, ..reading(stage) };
            assert_eq!(ended_after(|_| clogged), Some((30, Order::Cut)));
            assert_eq!(ended_after(|second| Reading { sent: second / 20, ..clogged }), None);
        }
    }

    #[test]
    fn silence_in_both_directions_is_no_stall() {
        let event_stream = Reading { in_progress: 1, ..reading(Stage::Between) };
        assert_eq!(ended_after(|_| event_stream), None);
        assert_eq!(ended_after(|_| reading(Stage::Tunnel)), None);
    }

    #[test]
    fn a_connection_that_does_not_end_when_told_to_is_cut() {
        let start = Instant::now();
        let mut record = Record::new(reading(Stage::Http2), start);
        let mut order_at = |second: u32| {
            record.judge(reading(Stage::Http2), start + SECOND * second, &Timeouts::default()).map(|(order, _)| order)
        };
        assert_eq!(
            [59, 60, 89, 90].map(&mut order_at),
            [None, Some(Order::Retire), Some(Order::Retire), Some(Order::Cut)]
        );
    }

    #[test]
    fn a_connection_without_requests_retires() {
        assert_eq!(ended_after(|_| reading(Stage::Between)), Some((60, Order::Retire)));
        assert_eq!(ended_after(|_| reading(Stage::Http2)), Some((60, Order::Retire)));
        assert_eq!(ended_after(|second| Reading { turn: second / 50, ..reading(Stage::Between) }), None);
        assert_eq!(ended_after(|_| reading(Stage::Fresh)), Some((10, Order::Cut)));
        assert_eq!(ended_after(|_| reading(Stage::Handshake)), Some((10, Order::Cut)));
        assert_eq!(
            ended_after(|second| Reading { received: second * 1000, ..reading(Stage::Lingering) }),
            Some((10, Order::Cut))
        );
    }
}
