use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use tokio::time::Instant;

use crate::hooks::{Load, Member, PickCx, Policy};
use crate::types::{EndpointAddr, Random, Weight};

/// Members of a pool, on which a test calls a policy as the pool would.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    loads: Vec<Arc<CachePadded<Load>>>,
}

impl Fleet {
    /// One idle member for each weight, at 10.0.0.0:1 and so on.
    ///
    /// # Panics
    /// When a weight is not 1 to 1000.
    pub fn new(weights: &[u16]) -> Self {
        let loads: Vec<Arc<CachePadded<Load>>> = weights.iter().map(|_| Arc::default()).collect();
        let members = weights.iter().zip(&loads).zip(1..).map(|((weight, load), place)| {
            let address = EndpointAddr::Inet(
                (Ipv4Addr::from_bits(0x0a00_0000 + place / 60_000), (place % 60_000) as u16 + 1).into(),
            );
            #[expect(clippy::expect_used, reason = "what is written in a test is the test's to get right")]
            let weight: Weight = weight.to_string().parse().expect("a weight of 1 to 1000");
            Member::new(Arc::new(address), weight, load.clone())
        });
        Self { members: members.collect(), loads }
    }

    /// The members, as policies see them.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Sends a request to a member, which stays in flight.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn begin(&self, member: usize) {
        self.loads[member].begin();
    }

    /// Ends a request that was sent to a member.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn end(&self, member: usize) {
        self.loads[member].end();
    }

    /// Lets a policy pick for a request of 192.0.2.1 for `www.example.com/`.
    pub fn pick(&self, policy: &dyn Policy, now: Instant, random: &mut Random) -> usize {
        self.pick_for("/", policy, now, random)
    }

    /// Lets a policy pick for a request of 192.0.2.1 for `path` of `www.example.com`.
    pub fn pick_for(&self, path: &str, policy: &dyn Policy, now: Instant, random: &mut Random) -> usize {
        let client_ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        policy.pick(&self.members, &PickCx { client_ip, now, host: "www.example.com", path }, random)
    }
}
