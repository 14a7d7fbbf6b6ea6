use std::{net::SocketAddr, path::Path};

use clap::ValueEnum;

use crate::{
    scenario::Scenario,
    site::Site,
    support::{Outcome, ports, process::Running, program::Program},
};

/// A proxy with one way of balancing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Balancer {
    NginxRoundRobin,
    NginxLeastConn,
    NginxRandomTwo,
    /// Retries on 503; only in `fast-fail`
    NginxRetry,
    HaproxyRoundrobin,
    HaproxyLeastconn,
    HaproxyRandom,
    /// Retries on 503; only in `fast-fail`
    HaproxyRetry,
    /// No `balance` in the configuration
    EvenerDefault,
    EvenerRoundRobin,
    EvenerLeastRequests,
    EvenerRandom,
    EvenerP2c,
    EvenerPeakEwma,
    /// Retries on 503; only in `fast-fail`
    EvenerRetry,
    /// Retries on timeouts, with a limit for each attempt; only in `pause`
    EvenerPerTry,
}

/// Where a proxy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
    Evener,
}

/// A balancer that runs.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    _process: Running,
}

impl Balancer {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::NginxRoundRobin | Self::NginxLeastConn | Self::NginxRandomTwo | Self::NginxRetry => {
                Kind::Nginx
            }
            Self::HaproxyRoundrobin | Self::HaproxyLeastconn | Self::HaproxyRandom | Self::HaproxyRetry => {
                Kind::Haproxy
            }
            _ => Kind::Evener,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NginxRoundRobin => "nginx round robin",
            Self::NginxLeastConn => "nginx least_conn",
            Self::NginxRandomTwo => "nginx random two least_conn",
            Self::NginxRetry => "nginx least_conn, retries on 503",
            Self::HaproxyRoundrobin => "HAProxy roundrobin",
            Self::HaproxyLeastconn => "HAProxy leastconn",
            Self::HaproxyRandom => "HAProxy random",
            Self::HaproxyRetry => "HAProxy leastconn, retries on 503",
            Self::EvenerDefault => "Evener, default",
            Self::EvenerRoundRobin => "Evener round_robin",
            Self::EvenerLeastRequests => "Evener least_requests",
            Self::EvenerRandom => "Evener random",
            Self::EvenerP2c => "Evener p2c",
            Self::EvenerPeakEwma => "Evener peak_ewma",
            Self::EvenerRetry => "Evener, default, retries on 503",
            Self::EvenerPerTry => "Evener, default, retries on timeout",
        }
    }

    /// Whether it is measured in this scenario: what is tuned for one is not compared in the others.
    pub(crate) fn is_in(self, scenario: Scenario) -> bool {
        match self {
            Self::NginxRetry | Self::HaproxyRetry | Self::EvenerRetry => scenario == Scenario::FastFail,
            Self::EvenerPerTry => scenario == Scenario::Pause,
            _ => true,
        }
    }

    /// How it chooses, in the words of its configuration.
    fn policy(self) -> &'static str {
        match self {
            Self::NginxRoundRobin | Self::EvenerDefault | Self::EvenerRetry | Self::EvenerPerTry => "",
            Self::NginxLeastConn | Self::NginxRetry => "least_conn;",
            Self::NginxRandomTwo => "random two least_conn;",
            Self::HaproxyRoundrobin => "balance roundrobin",
            Self::HaproxyLeastconn | Self::HaproxyRetry => "balance leastconn",
            Self::HaproxyRandom => "balance random",
            Self::EvenerRoundRobin => "balance: round_robin",
            Self::EvenerLeastRequests => "balance: least_requests",
            Self::EvenerRandom => "balance: random",
            Self::EvenerP2c => "balance: p2c",
            Self::EvenerPeakEwma => "balance: peak_ewma",
        }
    }

    /// What it tries again, where that is not left at its default.
    pub(crate) fn retry(self) -> &'static str {
        match self {
            Self::NginxRetry => "proxy_next_upstream error timeout http_503;",
            // Without the 1 only the last of three retries would go to another server.
            Self::HaproxyRetry => "retry-on conn-failure 503\n    option redispatch 1",
            Self::EvenerRetry => "retry: { attempts: 1, on: [connect, 503] }",
            // Thirty times the mean cost: of origins that are as they should be practically no request takes so long,
            // and two attempts still end well within half a second.
            Self::EvenerPerTry => "retry: { attempts: 1, on: [connect, timeout], per_try: 150ms }",
            _ => "",
        }
    }

    /// Starts it on a free port in front of the origins, with no memory of earlier runs.
    pub(crate) fn start(self, site: &Site) -> Outcome<Proxy> {
        let [address] = ports::free()?;
        let kind = self.kind();
        let (name, template) = kind.template();
        let places = [
            ("@PORT@", address.port().to_string()),
            ("@ENDPOINTS@", kind.endpoints(&site.fleet.addresses)),
            ("@POLICY@", self.policy().to_owned()),
            ("@RETRY@", self.retry().to_owned()),
        ];
        let workspace = &site.workspace;
        let conf = workspace.write(name, template, &places)?;
        let command = kind.program(&site.evener).serve(&conf)?;
        let process = workspace.start(kind.name(), &workspace.cores.proxy, &command, address)?;
        Ok(Proxy { address, _process: process })
    }
}

impl Kind {
    pub(crate) fn program(self, evener: &Path) -> Program<'_> {
        match self {
            Self::Nginx => Program::Nginx,
            Self::Haproxy => Program::Haproxy,
            Self::Evener => Program::Evener(evener),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Evener => "evener",
        }
    }

    /// The name and the text of a configuration, with places to fill.
    fn template(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx => ("nginx.conf", include_str!("conf/nginx.conf")),
            Self::Haproxy => ("haproxy.cfg", include_str!("conf/haproxy.cfg")),
            Self::Evener => ("evener.yaml", include_str!("conf/evener.yaml")),
        }
    }

    /// How a configuration names these endpoints.
    fn endpoints(self, addresses: &[SocketAddr]) -> String {
        let line = |(index, address): (usize, &SocketAddr)| match self {
            Self::Nginx => format!("server {address};"),
            Self::Haproxy => format!("server origin{index} {address}"),
            Self::Evener => address.to_string(),
        };
        let lines: Vec<String> = addresses.iter().enumerate().map(line).collect();
        lines.join(if self == Self::Evener { ", " } else { "\n    " })
    }
}
