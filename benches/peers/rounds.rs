use crate::{
    figures::{Figures, Metric},
    idle, latency, load,
    options::Options,
    peer::{Peer, Proxy},
    site::Site,
    support::{Outcome, turns::rotated},
    usage::{CpuWatch, resident},
    verify::verify,
};

const MIB: f64 = 1024.0 * 1024.0;

/// Measures all `peers` and returns what was found.
pub(crate) fn measure(options: &Options, peers: &[Peer], site: &Site) -> Outcome<Figures> {
    let mut figures = Figures::default();
    measure_idle(options, peers, site, &mut figures)?;
    let proxies = start_all(options, peers, site)?;
    for proxy in &proxies {
        eprintln!("{}: warming up", proxy.peer.name());
        load::run(site, proxy.address, 1)?;
    }
    for round in 0..options.rounds {
        for proxy in rotated(&proxies, round) {
            measure_round(options, site, proxy, &mut figures)?;
        }
    }
    for proxy in &proxies {
        figures.add(proxy.peer, Metric::Resident, resident(&proxy.process.tree())? / MIB);
    }
    Ok(figures)
}

/// Idle connections, on a process of its own for each peer: one that has been under load has memory to spare.
fn measure_idle(options: &Options, peers: &[Peer], site: &Site, figures: &mut Figures) -> Outcome<()> {
    for &peer in peers {
        let proxy = peer.start(options, site)?;
        verify(&proxy, site)?;
        let bytes = idle::bytes_per_connection(&proxy)?;
        eprintln!("{}: checked; {:.1} KiB an idle connection", peer.name(), bytes / 1024.0);
        figures.add(peer, Metric::Idle, bytes / 1024.0);
    }
    Ok(())
}

fn start_all(options: &Options, peers: &[Peer], site: &Site) -> Outcome<Vec<Proxy>> {
    let mut proxies = Vec::with_capacity(peers.len());
    for &peer in peers {
        let proxy = peer.start(options, site)?;
        verify(&proxy, site)?;
        proxies.push(proxy);
    }
    Ok(proxies)
}

fn measure_round(options: &Options, site: &Site, proxy: &Proxy, figures: &mut Figures) -> Outcome<()> {
    let pids = proxy.process.tree();
    let watch = CpuWatch::start(&pids)?;
    let load = load::run(site, proxy.address, options.seconds)?;
    let cpu = watch.stop()?;
    let added = latency::added(proxy.address, site.endpoints[0])?;
    let found = [
        (Metric::Cpu, cpu.total / load.requests),
        (Metric::CpuUser, cpu.user / load.requests),
        (Metric::CpuSystem, cpu.system / load.requests),
        (Metric::Rate, load.rate),
        (Metric::P50, load.p50),
        (Metric::P99, load.p99),
        (Metric::Added, added),
    ];
    for (metric, value) in found {
        figures.add(proxy.peer, metric, value);
    }
    let (name, per_request) = (proxy.peer.name(), cpu.total / load.requests);
    eprintln!("{name}: {per_request:.2} µs a request, {:.0} requests/s, +{added:.1} µs", load.rate);
    Ok(())
}
