use std::sync::Arc;

use crate::{
    compare::{
        comparison::Comparison,
        figures::Figures,
        memory::resident,
        words::{Compared, Work},
    },
    cost::usage::CpuWatch,
    idle, latency, load,
    metric::Metric,
    options::Options,
    peer::{Peer, Proxy},
    rows::Row,
    site::Site,
    support::{Outcome, turns::rotated},
    tls::{client, tickets::Tickets},
    verify::verify,
    wire::Wire,
};

const MIB: f64 = 1024.0 * 1024.0;

/// Measures all peers and returns what was found: first in the clear, then over TLS.
pub(crate) fn measure(options: &Options, site: &Site) -> Outcome<Figures<Row>> {
    let peers = options.peers();
    let mut figures = Figures::default();
    let (secure, plain): (Vec<Row>, Vec<Row>) = options.rows().into_iter().partition(|row| row.is_tls());
    for (wire, rows) in [(Wire::Plain, plain), (tls(site)?, secure)] {
        let stage = Stage { options, site, peers: &peers, wire };
        stage.measure_idle(&rows, &mut figures)?;
        stage.measure_load(&rows, &mut figures)?;
    }
    Ok(figures)
}

/// How clients speak TLS whose requests are what matters.
fn tls(site: &Site) -> Outcome<Wire> {
    let tickets = Arc::new(Tickets::new(false));
    let exchange = client::Exchange::X25519;
    Ok(Wire::Tls(client::config(&site.certificate, exchange, client::HTTP1, tickets)?))
}

/// Measurements over one wire.
struct Stage<'a> {
    options: &'a Options,
    site: &'a Site,
    peers: &'a [Peer],
    wire: Wire,
}

impl Stage<'_> {
    /// Idle connections, on a process of its own for each peer: one that has been under load has memory to spare.
    fn measure_idle(&self, rows: &[Row], figures: &mut Figures<Row>) -> Outcome<()> {
        for &row in rows.iter().filter(|row| row.holds_idle()) {
            for &peer in self.peers.iter().filter(|&&peer| row.is_for(peer)) {
                let proxy = self.start(peer)?;
                let bytes = idle::bytes_per_connection(&proxy)?;
                eprintln!("{}: checked; {:.1} KiB an idle connection", peer.name(), bytes / 1024.0);
                figures.add(row, peer, Metric::Idle, bytes / 1024.0);
            }
        }
        Ok(())
    }

    fn measure_load(&self, rows: &[Row], figures: &mut Figures<Row>) -> Outcome<()> {
        let rows: Vec<Row> = rows.iter().copied().filter(|row| row.is_loaded()).collect();
        let is_needed = |peer: &Peer| rows.iter().any(|row| row.is_for(*peer));
        let peers = self.peers.iter().copied().filter(is_needed);
        let proxies = peers.map(|peer| self.start(peer)).collect::<Outcome<Vec<Proxy>>>()?;
        let each = |row: Row, round| rotated(&proxies, round).filter(move |proxy| row.is_for(proxy.peer));
        for &row in &rows {
            eprintln!("{}: warming up", row.title());
            for proxy in each(row, 0) {
                load::run(self.site, proxy, row, 1)?;
            }
        }
        for round in 0..self.options.common.rounds {
            for &row in &rows {
                for proxy in each(row, round) {
                    self.measure_round(row, proxy, figures)?;
                }
            }
        }
        if rows.contains(&Row::Plain) {
            for proxy in &proxies {
                figures.add(Row::Plain, proxy.peer, Metric::Resident, resident(&proxy.process.tree())? / MIB);
            }
        }
        Ok(())
    }

    fn start(&self, peer: Peer) -> Outcome<Proxy> {
        let proxy = peer.start(self.options, self.site, &self.wire)?;
        verify(&proxy, self.site)?;
        Ok(proxy)
    }

    fn measure_round(&self, row: Row, proxy: &Proxy, figures: &mut Figures<Row>) -> Outcome<()> {
        let pids = proxy.process.tree();
        let watch = CpuWatch::start(&pids)?;
        let load = load::run(self.site, proxy, row, self.options.common.seconds)?;
        let cpu = watch.stop()?;
        let (name, unit, each) = (proxy.peer.name(), row.unit(), cpu.total / load.done);
        eprintln!("{}: {name}: {each:.2} µs a {unit}, {:.0} {unit}s/s", row.title(), load.rate);
        let mut found = vec![
            (Metric::Cpu, each),
            (Metric::CpuUser, cpu.user / load.done),
            (Metric::CpuSystem, cpu.system / load.done),
            (Metric::Rate, load.rate),
        ];
        if let Some(latency) = load.latency {
            found.extend([(Metric::P50, latency.p50), (Metric::P99, latency.p99)]);
        }
        if row == Row::Plain {
            found.push((Metric::Added, latency::added(proxy.address, self.site.origin.endpoints[0])?));
        }
        for (metric, value) in found {
            figures.add(row, proxy.peer, metric, value);
        }
        Ok(())
    }
}
