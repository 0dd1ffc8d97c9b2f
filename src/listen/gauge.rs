use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

use futures_util::task::AtomicWaker;
use tokio::sync::OwnedSemaphorePermit;

use super::framing::Refusal;
use super::streams::Streams;

/// What a connection is doing, for the one sweep of its worker: plain counters instead of a timer per operation.
#[derive(Default)]
pub(super) struct Gauge {
    /// The stage in the low bits, counted up at every change: the same stage again is another one.
    stage: AtomicU32,
    received: AtomicU32,
    sent: AtomicU32,
    wants_bytes: AtomicBool,
    cannot_send: AtomicBool,
    /// Bytes that nobody reads yet, or the end of the client's side, hide from the task whatever comes after them.
    blind: AtomicBool,
    /// Requests whose answer has not ended.
    in_progress: AtomicU32,
    order: AtomicU8,
    /// The task of the connection, or of the tunnel it became.
    pub(super) task: AtomicWaker,
    /// Of HTTP/2; empty else.
    pub(super) streams: Streams,
    refused: AtomicBool,
    refusal: Mutex<Option<Refusal>>,
    #[expect(dead_code, reason = "given back when dropped")]
    permit: Option<OwnedSemaphorePermit>,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing has come yet.
    Fresh,
    /// The TLS handshake.
    Handshake,
    /// Between two requests of HTTP/1.1.
    Between,
    /// In a header block.
    Head,
    /// In the body of a request.
    Body,
    /// HTTP/2.
    Http2,
    /// No longer HTTP.
    Tunnel,
    /// Answered for the last time, while the client may still be sending.
    Lingering,
}

/// The gauge at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) stage: Stage,
    /// Which stage of this connection it is.
    pub(super) turn: u32,
    pub(super) received: u32,
    pub(super) sent: u32,
    pub(super) wants_bytes: bool,
    pub(super) cannot_send: bool,
    pub(super) in_progress: u32,
}

/// What a connection is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Order {
    /// Go on.
    None,
    /// End after the requests in progress.
    Retire,
    /// End now.
    Cut,
}

impl Gauge {
    /// For a connection that counts against the limit as long as anything of it is left.
    pub(super) fn holding(permit: OwnedSemaphorePermit) -> Self {
        Self { permit: Some(permit), ..Self::default() }
    }

    pub(super) fn enter(&self, stage: Stage) {
        let before = self.stage.load(Relaxed);
        self.stage.store((before & !STAGE_BITS).wrapping_add(STAGE_BITS + 1) | stage as u32, Relaxed);
    }

    pub(super) fn stage(&self) -> Stage {
        STAGES[(self.stage.load(Relaxed) & STAGE_BITS) as usize]
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.store(self.received.load(Relaxed).wrapping_add(bytes as u32), Relaxed);
        self.wants_bytes.store(false, Relaxed);
    }

    pub(super) fn wants_bytes(&self) {
        self.wants_bytes.store(true, Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.store(self.sent.load(Relaxed).wrapping_add(bytes as u32), Relaxed);
        self.cannot_send.store(false, Relaxed);
    }

    pub(super) fn cannot_send(&self) {
        self.cannot_send.store(true, Relaxed);
    }

    pub(super) fn is_blind(&self) {
        self.blind.store(true, Relaxed);
    }

    /// Has the task look at its connection if nothing else would.
    pub(super) fn lead(&self) {
        if self.blind.swap(false, Relaxed) {
            self.task.wake();
        }
    }

    pub(super) fn began(&self) {
        self.in_progress.fetch_add(1, Relaxed);
    }

    pub(super) fn ended(&self) {
        self.in_progress.fetch_sub(1, Relaxed);
    }

    /// Whether a request has been taken and its answer has not ended.
    pub(super) fn is_busy(&self) -> bool {
        self.in_progress.load(Relaxed) > 0
    }

    pub(super) fn read(&self) -> Reading {
        let stage = self.stage.load(Relaxed);
        Reading {
            stage: STAGES[(stage & STAGE_BITS) as usize],
            turn: stage & !STAGE_BITS,
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            wants_bytes: self.wants_bytes.load(Relaxed),
            cannot_send: self.cannot_send.load(Relaxed),
            in_progress: self.in_progress.load(Relaxed),
        }
    }

    pub(super) fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::None,
            1 => Order::Retire,
            _ => Order::Cut,
        }
    }

    /// Gives an order; a milder one does not take back a harder one.
    pub(super) fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Relaxed);
        self.task.wake();
    }

    /// Notes that a request of this connection is not to be served.
    pub(super) fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        self.refused.store(true, Relaxed);
    }

    /// Why the request of this number (from 1) is not to be served.
    pub(super) fn refusal(&self, request: u32) -> Option<Refusal> {
        if !self.refused.load(Relaxed) {
            return None;
        }
        let refusal = *self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.filter(|refusal| refusal.request <= request)
    }
}

const STAGE_BITS: u32 = 7;
const STAGES: [Stage; 8] = [
    Stage::Fresh,
    Stage::Handshake,
    Stage::Between,
    Stage::Head,
    Stage::Body,
    Stage::Http2,
    Stage::Tunnel,
    Stage::Lingering,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_reads_back_and_the_same_one_again_is_another_turn() {
        let gauge = Gauge::default();
        for stage in &STAGES {
            gauge.enter(*stage);
            assert_eq!(gauge.read().stage, *stage);
        }
        let before = gauge.read();
        gauge.enter(before.stage);
        assert_ne!(gauge.read(), before);
    }

    #[test]
    fn a_harder_order_stays() {
        let gauge = Gauge::default();
        gauge.give(Order::Cut);
        gauge.give(Order::Retire);
        assert_eq!(gauge.order(), Order::Cut);
    }
}
