use crate::{
    compare::{
        comparison::Comparison,
        figures::Figures,
        words::{Compared, Work},
    },
    cost::usage::CpuWatch,
    idle, load,
    metric::Metric,
    options::Options,
    peer::{Peer, Proxy},
    rows::Row,
    site::Site,
    support::{Outcome, turns::rotated},
    verify::verify,
};

/// Measures all peers and returns what was found.
pub(crate) fn measure(options: &Options, site: &Site) -> Outcome<Figures<Row>> {
    let rows = options.rows();
    let (idle, loaded): (Vec<Row>, Vec<Row>) = rows.iter().copied().partition(|&row| row == Row::Idle);
    let stage = Stage { options, site, peers: options.peers(), rows };
    let mut figures = Figures::default();
    if !idle.is_empty() {
        stage.measure_idle(&mut figures)?;
    }
    stage.measure_load(&loaded, &mut figures)?;
    Ok(figures)
}

struct Stage<'a> {
    options: &'a Options,
    site: &'a Site,
    peers: Vec<Peer>,
    rows: Vec<Row>,
}

impl Stage<'_> {
    /// Idle connections, on a process of its own for each peer: one that has been under load has memory to spare.
    fn measure_idle(&self, figures: &mut Figures<Row>) -> Outcome<()> {
        for &peer in &self.peers {
            let kib = idle::bytes_per_connection(&self.start(peer)?)? / 1024.0;
            eprintln!("{}: checked; {kib:.2} KiB an idle connection", peer.name());
            figures.add(Row::Idle, peer, Metric::Idle, kib);
        }
        Ok(())
    }

    fn measure_load(&self, rows: &[Row], figures: &mut Figures<Row>) -> Outcome<()> {
        let proxies = self.peers.iter().map(|&peer| self.start(peer)).collect::<Outcome<Vec<Proxy>>>()?;
        let each = |row: Row, round| rotated(&proxies, round).filter(move |proxy| row.is_for(proxy.peer));
        for &row in rows {
            eprintln!("{}: warming up", row.title());
            for proxy in each(row, 0) {
                load::run(self.site, proxy, row, 1)?;
            }
        }
        for round in 0..self.options.common.rounds {
            for &row in rows {
                for proxy in each(row, round) {
                    self.measure_round(row, proxy, figures)?;
                }
            }
        }
        Ok(())
    }

    fn start(&self, peer: Peer) -> Outcome<Proxy> {
        let proxy = peer.start(self.options, self.site)?;
        verify(&proxy, &self.rows)?;
        Ok(proxy)
    }

    fn measure_round(&self, row: Row, proxy: &Proxy, figures: &mut Figures<Row>) -> Outcome<()> {
        let name = proxy.peer.name();
        let pids = proxy.process.tree();
        let watch = CpuWatch::start(&pids)?;
        let load = load::run(self.site, proxy, row, self.options.common.seconds)
            .map_err(|error| format!("{}: {name}: {error}", row.title()))?;
        let cpu = watch.stop()?;
        let (unit, each) = (row.unit(), cpu.total / load.done);
        eprintln!("{}: {name}: {each:.2} µs a {unit}, {:.0} {unit}s/s", row.title(), load.rate);
        let found = [
            (Metric::Cpu, each),
            (Metric::CpuUser, cpu.user / load.done),
            (Metric::CpuSystem, cpu.system / load.done),
            (Metric::Rate, load.rate),
        ];
        for (metric, value) in found {
            figures.add(row, proxy.peer, metric, value);
        }
        Ok(())
    }
}
