//! Figures for Prometheus, read where they are counted. Labels come from the configuration and from this program, never
//! from a request: what somebody sends can neither name nor multiply them.

use std::fmt::Error;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Admin;
use super::answer::typed;
use crate::body::Body;
use crate::cluster::Cluster;
use crate::limit::Limits;
use crate::mail::Mailer;
use crate::provider::Providers;
use crate::session::Sessions;
use crate::store::Store;
use crate::tally::{Reloads, Spread, Traffic};
use crate::upstream::Upstreams;

/// Where the figures are.
#[derive(Clone, Debug)]
struct Figures {
    traffic: Arc<Traffic>,
    sessions: Sessions,
    limits: Arc<Limits>,
    providers: Providers,
    upstreams: Arc<Upstreams>,
    store: Arc<dyn Store>,
    reloads: Arc<Reloads>,
    mailer: Mailer,
    cluster: Option<Cluster>,
    certificate_ends: Option<SystemTime>,
}

impl Admin {
    /// The text of all figures (OpenMetrics 1.0).
    pub(super) fn metrics(&self, certificate_ends: Option<SystemTime>) -> Response<Body> {
        let mut registry = Registry::with_prefix("vestibule");
        registry.register_collector(Box::new(Figures {
            traffic: self.traffic.clone(),
            sessions: self.sessions.clone(),
            limits: self.limits.clone(),
            providers: self.providers.clone(),
            upstreams: self.upstreams.clone(),
            store: self.store.clone(),
            reloads: self.reloads.clone(),
            mailer: self.mailer.clone(),
            cluster: self.cluster.clone(),
            certificate_ends,
        }));
        let mut page = String::new();
        match text::encode(&mut page, &registry) {
            Ok(()) => typed(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", page),
            Err(error) => {
                tracing::error!(%error, "the figures cannot be written");
                super::answer::empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

impl Collector for Figures {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), Error> {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let mut about = to.encode_descriptor("build", "The program.", None, MetricType::Info)?;
        about.encode_info(&version)?;
        self.configuration(&mut to)?;
        self.certificate(&mut to)?;
        self.requests(&mut to)?;
        self.sign_ins(&mut to)?;
        let (known, read) = self.sessions.looks();
        let looks = [("hit", known), ("miss", read)].map(|(result, count)| ([("result", result)], count));
        counters(&mut to, "session_cache", "Look-ups of sessions and keys, by whether the cache knew.", looks)?;
        let hits = self.limits.hits().map(|(limit, count)| ([("limit", limit)], count));
        counters(&mut to, "limits_hit", "Requests that a rate limit turned away.", hits)?;
        self.mails(&mut to)?;
        self.upstreams(&mut to)?;
        self.store(&mut to)?;
        self.cluster(&mut to)
    }
}

impl Figures {
    fn configuration(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "How often another configuration was to come into force, and whether it did.";
        let counted = self.reloads.counted().map(|(result, count)| ([("result", result)], count));
        counters(to, "config_reloads", help, counted)?;
        let help = "Since when the configuration in force is, in seconds since 1970.";
        let unit = Unit::Other("timestamp_seconds".to_owned());
        let mut family = to.encode_descriptor("config_last_success", help, Some(&unit), MetricType::Gauge)?;
        family.encode_gauge(&self.reloads.last())
    }

    fn certificate(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(ends) = self.certificate_ends else { return Ok(()) };
        let help = "When the certificate in force ends, in seconds since 1970.";
        let unit = Unit::Other("timestamp_seconds".to_owned());
        let mut family = to.encode_descriptor("certificate_expires", help, Some(&unit), MetricType::Gauge)?;
        family.encode_gauge(&ends.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    fn requests(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let counted = self.traffic.counted();
        let counted = counted.map(|c| ([("route", c.route), ("outcome", c.outcome.as_str())], c.count));
        counters(to, "requests", "Requests by route and by what became of them.", counted)?;
        let refusals = self.traffic.refusals();
        let refusals = refusals.iter().map(|(code, count)| ([("code", *code)], *count));
        counters(to, "refusals", "Requests that went no further than us, by reason.", refusals)?;
        let mut own = to.encode_descriptor(
            "own",
            "How long a request was with us and not with the app behind.",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        let Spread { sum, count, classes } = self.traffic.own_time();
        own.encode_histogram::<NoLabelSet>(sum, count, &classes, None)
    }

    fn sign_ins(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let counted = self.providers.sign_ins().counted();
        let counted = counted.map(|(provider, end, n)| ([("provider", provider), ("outcome", end.as_str())], n));
        counters(to, "sign_ins", "Sign-ins by provider and by how they ended.", counted)?;
        let help = "Whether what a provider said of itself could be read when it was last looked for.";
        let mut family = to.encode_descriptor("provider_up", help, None, MetricType::Gauge)?;
        for (name, up) in self.providers.states() {
            family.encode_family(&[("provider", name)])?.encode_gauge(&u64::from(up))?;
        }
        Ok(())
    }

    fn mails(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(figures) = self.mailer.figures() else { return Ok(()) };
        let mut waiting =
            to.encode_descriptor("mails_waiting", "Mails that have not left.", None, MetricType::Gauge)?;
        waiting.encode_gauge(&(figures.waiting as u64))?;
        let ended = [("sent", figures.sent), ("failed", figures.failed)].map(|(end, n)| ([("outcome", end)], n));
        counters(to, "mails", "Mails by how they ended.", ended)
    }

    fn upstreams(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Whether the last connection to the app behind came about.";
        let mut family = to.encode_descriptor("upstream_up", help, None, MetricType::Gauge)?;
        for (address, up) in self.upstreams.states() {
            let labels = [("upstream", address.to_string())];
            family.encode_family(&labels)?.encode_gauge(&u64::from(up))?;
        }
        Ok(())
    }

    fn cluster(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let numbers = cluster.numbers();
        let mut up = to.encode_descriptor("cluster_up", "Whether Redis is there.", None, MetricType::Gauge)?;
        up.encode_gauge(&u64::from(cluster.is_up()))?;
        let help = "How long Redis took to answer.";
        let mut took = to.encode_descriptor("cluster", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let Spread { sum, count, classes } = numbers.answers.spread();
        took.encode_histogram::<NoLabelSet>(sum, count, &classes, None)?;
        let unanswered = [([], numbers.unanswered())];
        counters(to, "cluster_unanswered", "What Redis did not answer, or by an error.", unanswered)?;
        let told = [("sent", numbers.sent()), ("seen", numbers.seen())].map(|(way, n)| ([("direction", way)], n));
        counters(to, "cluster_revocations", "Revocations that instances told each other.", told)?;
        let help = "How often everybody was read from the store again for want of messages.";
        counters(to, "cluster_missed", help, [([], numbers.missed())])?;
        let shelved = self.sessions.shelved().map(|(outcome, n)| ([("outcome", outcome)], n));
        counters(to, "cluster_documents", "Key sets of issuers that instances fetched for each other.", shelved)?;
        let help = "How long the last message took through Redis and back.";
        let mut lag = to.encode_descriptor("cluster_lag", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        lag.encode_gauge(&numbers.lag().as_secs_f64())
    }

    fn store(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(timings) = self.store.timings() else { return Ok(()) };
        let help = "How long the store took.";
        let mut family = to.encode_descriptor("store", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (kind, spread) in [("read", timings.read.spread()), ("write", timings.write.spread())] {
            let labels = [("kind", kind)];
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(spread.sum, spread.count, &spread.classes, None)?;
        }
        let Some(pool) = self.store.connections() else { return Ok(()) };
        let mut family =
            to.encode_descriptor("store_connections", "Connections to the store.", None, MetricType::Gauge)?;
        for (state, count) in [("busy", pool.busy), ("idle", pool.idle), ("most", pool.most)] {
            family.encode_family(&[("state", state)])?.encode_gauge(&(count as u64))?;
        }
        Ok(())
    }
}

/// A family of counters.
fn counters<'a, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: impl IntoIterator<Item = ([(&'static str, &'a str); N], u64)>,
) -> Result<(), Error> {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in counts {
        let mut one = family.encode_family(&labels)?;
        one.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
    }
    Ok(())
}
