use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use http::HeaderMap;
use tokio::time::Instant;

use crate::hooks::{Load, Member, PickCx, Policy, PoolLoad, Variables};
use crate::types::{EndpointAddr, Random, Weight};

/// Members of a pool, on which a test calls a policy as the pool would.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
}

impl Fleet {
    /// One idle member for each weight, at 10.0.0.0:1 and so on, none of which starts slowly.
    ///
    /// # Panics
    /// When a weight is not 1 to 1000.
    pub fn new(weights: &[u16]) -> Self {
        Self::with_limit(weights, u32::MAX)
    }

    /// The same with room for `limit` requests at each member.
    ///
    /// # Panics
    /// When a weight is not 1 to 1000.
    pub fn with_limit(weights: &[u16], limit: u32) -> Self {
        let pool = Arc::<PoolLoad>::default();
        let now = Instant::now();
        let members = weights.iter().zip(1..).map(|(weight, place)| {
            let address = EndpointAddr::Inet(
                (Ipv4Addr::from_bits(0x0a00_0000 + place / 60_000), (place % 60_000) as u16 + 1).into(),
            );
            #[expect(clippy::expect_used, reason = "what is written in a test is the test's to get right")]
            let weight: Weight = weight.to_string().parse().expect("a weight of 1 to 1000");
            let load = Load::new(weight, limit, Duration::ZERO, pool.clone(), now);
            Member::new(Arc::new(address), Arc::new(CachePadded::new(load)))
        });
        Self { members: members.collect() }
    }

    /// The same without some members, which share their counts with the originals, as after a flip.
    pub fn without(&self, is_gone: impl Fn(usize) -> bool) -> Self {
        let stays = self.members.iter().enumerate().filter(|(index, _)| !is_gone(*index));
        Self { members: stays.map(|(_, member)| member.clone()).collect() }
    }

    /// The members, as policies see them.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Sends a request to a member, which stays in flight.
    ///
    /// # Panics
    /// When there is no such member, or it has no room.
    pub fn begin(&self, member: usize, now: Instant) {
        let load = self.members[member].load();
        assert!(load.try_begin().is_some(), "no room at member {member}");
        load.note_pick(now);
    }

    /// Ends a request that was sent to a member.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn end(&self, member: usize) {
        self.members[member].load().end();
    }

    /// Tells the member's average of an answer that took so long.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn observe(&self, member: usize, latency: Duration, now: Instant) {
        self.members[member].load().observe(latency, now);
    }

    /// Lets a policy pick for a request of 192.0.2.1 for `www.example.com/`.
    pub fn pick(&self, policy: &dyn Policy, now: Instant, random: &mut Random) -> usize {
        self.pick_for("/", policy, now, random)
    }

    /// Lets a policy pick for a request of 192.0.2.1 for `path` of `www.example.com`.
    pub fn pick_for(&self, path: &str, policy: &dyn Policy, now: Instant, random: &mut Random) -> usize {
        let headers = HeaderMap::new();
        let cx = PickCx {
            client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            now,
            host: "www.example.com",
            path,
            query: None,
            headers: &headers,
            variables: Variables::NONE,
            notes: None,
        };
        policy.pick(&self.members, &cx, random)
    }

    /// Lets a policy pick for a request that begins and ends at once.
    pub fn serve(&self, policy: &dyn Policy, now: Instant, random: &mut Random) -> usize {
        let picked = self.pick(policy, now, random);
        self.begin(picked, now);
        self.end(picked);
        picked
    }
}
