use std::fmt;
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::runtime::{Action, Decision, HandshakeEnd, Listener, RouteStats, Snapshot};
use crate::telemetry::{CLASS_NAMES, LineCounts};

use super::families as f;
use super::writer::{Series, Writer};
use super::{Scraped, pools, process};

/// Reads all counts when somebody asks for them; until then they are nobody's concern.
impl Collector for Scraped {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.control.live().snapshot();
        let mut writer = Writer(encoder);
        self.state(&mut writer)?;
        listeners(&mut writer, &snapshot)?;
        requests(&mut writer, &snapshot)?;
        decisions(&mut writer, &snapshot)?;
        splits(&mut writer, &snapshot)?;
        caches(&mut writer, &snapshot)?;
        stores(&mut writer, &snapshot)?;
        pools::write(&mut writer, &snapshot.pools)?;
        spans(&mut writer, &snapshot)?;
        process::write(&mut writer)
    }
}

impl Scraped {
    fn state(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let counts = self.control.changes().counts();
        writer.family(&f::BUILD_INFO)?.gauge([env!("CARGO_PKG_VERSION")], 1_i64)?;
        writer.gauge(&f::DRAINING, i64::from(self.control.live().is_draining()))?;
        writer.gauge(&f::CONFIG_GENERATION, counts.generation)?;
        let lines = self.log.counts();
        let mut series = writer.family(&f::LOG_LINES)?;
        log_lines(&mut series, lines)?;
        series.counter(["left_out"], self.log.left_out())?;
        let mut series = writer.family(&f::AUDIT_LINES)?;
        if let Some(lines) = self.control.changes().audit().line_counts() {
            log_lines(&mut series, lines)?;
        }
        let mut changes = writer.family(&f::CONFIG_CHANGES)?;
        changes.counter(["made"], counts.made)?;
        changes.counter(["refused"], counts.refused)
    }
}

fn log_lines(series: &mut Series<'_>, lines: LineCounts) -> fmt::Result {
    let LineCounts { written, dropped, failed } = lines;
    [("written", written), ("dropped", dropped), ("failed", failed)]
        .into_iter()
        .try_for_each(|(result, count)| series.counter([result], count))
}

fn listeners(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let all = || snapshot.listeners.iter().map(|listener| (listener.name.as_str(), &**listener));
    let mut series = writer.family(&f::CONNECTIONS)?;
    all().try_for_each(|(name, listener)| series.gauge([name], listener.counts().open as u64))?;
    let mut series = writer.family(&f::ACCEPTED)?;
    all().try_for_each(|(name, listener)| series.counter([name], listener.stats.accepted()))?;
    let mut series = writer.family(&f::TURNED_AWAY)?;
    all().try_for_each(|(name, listener)| series.counter([name], listener.counts().refused))?;
    let mut series = writer.family(&f::DATAGRAMS_DROPPED)?;
    let mut datagrams = all().filter(|(_, listener)| listener.udp().is_some());
    datagrams.try_for_each(|(name, listener)| series.counter([name], listener.counts().dropped))?;
    let mut series = writer.family(&f::REFUSALS)?;
    for (name, listener) in all() {
        for (cause, count) in listener.stats.refused.iter() {
            series.counter([name, cause], count)?;
        }
    }
    let speaks_tls = |(_, listener): &(&str, &Listener)| listener.tls.is_some();
    let mut series = writer.family(&f::HANDSHAKES)?;
    for (name, listener) in all().filter(speaks_tls) {
        for (result, count) in HandshakeEnd::NAMES.into_iter().zip(listener.stats.handshakes()) {
            series.counter([name, result], count)?;
        }
    }
    let mut series = writer.family(&f::CERTIFICATE_EXPIRY)?;
    for (name, listener) in all() {
        for certificate in listener.tls.iter().flat_map(|tls| tls.certificates()) {
            let expiry = certificate.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
            let host = certificate.names.first().map_or("", String::as_str);
            series.gauge([name, host, certificate.key], expiry.as_secs())?;
        }
    }
    Ok(())
}

fn requests(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let routed = snapshot.routes.iter().map(|route| (route.name.as_str(), &*route.stats));
    let all: Vec<(&str, &RouteStats)> = routed.chain([("", &*snapshot.unrouted)]).collect();
    let mut series = writer.family(&f::REQUESTS)?;
    for (route, stats) in &all {
        for (class, count) in CLASS_NAMES.into_iter().zip(stats.requests.by_class()) {
            series.counter([route, class], count)?;
        }
    }
    let mut series = writer.family(&f::REQUESTS_IN_FLIGHT)?;
    let routed = || all[..all.len() - 1].iter();
    routed().try_for_each(|(route, stats)| series.gauge([route], stats.requests.in_flight()))?;
    let mut series = writer.family(&f::ERRORS)?;
    for (route, stats) in &all {
        for (cause, count) in stats.errors.iter() {
            series.counter([route, cause], count)?;
        }
    }
    let mut series = writer.family(&f::REQUEST_DURATION)?;
    all.iter().try_for_each(|(route, stats)| series.histogram([route], &stats.requests.latencies()))?;
    let mut series = writer.family(&f::REQUEST_BYTES)?;
    all.iter().try_for_each(|(route, stats)| series.counter([route], stats.requests.received()))?;
    let mut series = writer.family(&f::RESPONSE_BYTES)?;
    all.iter().try_for_each(|(route, stats)| series.counter([route], stats.requests.sent()))
}

fn decisions(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut series = writer.family(&f::DECISIONS)?;
    for route in &snapshot.routes {
        for step in &route.filters {
            let number = step.number.to_string();
            for (decision, count) in Decision::NAMES.into_iter().zip(step.stats.decisions()) {
                series.counter([route.name.as_str(), &step.name, &number, decision], count)?;
            }
        }
    }
    Ok(())
}

fn splits(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut series = writer.family(&f::SPLIT_SHARE)?;
    for route in &snapshot.routes {
        let Action::Split(split) = &route.action else { continue };
        for side in split.shares() {
            series.gauge([route.name.as_str(), side.name.as_str()], side.share.percent() / 100.0)?;
        }
    }
    Ok(())
}

fn caches(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let all = || snapshot.caches.iter().map(|cache| (cache.name.as_str(), cache));
    let mut series = writer.family(&f::CACHE_REQUESTS)?;
    for (name, cache) in all() {
        for (result, count) in cache.store.results.iter() {
            series.counter([name, result], count)?;
        }
    }
    let mut series = writer.family(&f::CACHE_EVICTIONS)?;
    all().try_for_each(|(name, cache)| series.counter([name], cache.evictions()))?;
    let mut series = writer.family(&f::CACHE_MEMORY)?;
    all().try_for_each(|(name, cache)| series.gauge([name], cache.memory().0 as u64))?;
    let mut series = writer.family(&f::CACHE_DISK)?;
    let mut disks = all().filter_map(|(name, cache)| Some((name, cache.disk.as_ref()?)));
    disks.try_for_each(|(name, disk)| series.gauge([name], disk.state().bytes as u64))
}

fn stores(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let all = || snapshot.stores.iter().map(|store| (&*store.settings().name, store));
    let mut series = writer.family(&f::STORE_ASKED)?;
    all().try_for_each(|(name, store)| series.counter([name], store.asked()))?;
    let mut series = writer.family(&f::STORE_MISSED)?;
    all().try_for_each(|(name, store)| series.counter([name], store.missed()))
}

fn spans(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let Some(tracing) = &snapshot.tracing else { return Ok(()) };
    let (exporter, counts) = (tracing.exporter(), tracing.exporter().counts());
    writer.family(&f::SPANS_EXPORTED)?.counter([], counts.exported.get())?;
    writer.family(&f::SPANS_DROPPED)?.counter([], counts.dropped.get())?;
    writer.gauge(&f::SPANS_WAITING, exporter.waiting() as u64)?;
    writer.family(&f::EXPORT_FAILURES)?.counter([], counts.failures.get())
}
