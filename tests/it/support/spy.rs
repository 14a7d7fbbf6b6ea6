use std::sync::Arc;

use evener::app::AppBuilder;
use evener::hooks::{BuildCx, Member, PickCx, Policy};
use evener::types::Random;
use parking_lot::Mutex;
use serde::Deserialize;

use super::eventually;

/// The policy `spy`: picks the first of the least loaded members, and lets the test see who is fit and how loaded.
#[derive(Clone, Default)]
pub struct Spy {
    members: Arc<Mutex<Vec<Member>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

struct First;

impl Policy for First {
    fn pick(&self, members: &[Member], _: &PickCx<'_>, _: &mut Random) -> usize {
        (0..members.len()).min_by_key(|&index| members[index].in_flight()).unwrap()
    }
}

impl Spy {
    /// Adds the policy to a program.
    pub fn register(&self, builder: AppBuilder) -> AppBuilder {
        let spy = self.clone();
        builder.policy("spy", move |_: NoSettings, _: &BuildCx<'_>| {
            let spy = spy.clone();
            Ok(move |members: &[Member]| {
                *spy.members.lock() = members.to_vec();
                First
            })
        })
    }

    /// The addresses of the members that were fit when somebody last was.
    pub fn fit(&self) -> Vec<String> {
        self.members.lock().iter().map(|member| member.address().to_string()).collect()
    }

    /// The requests in flight, over all members.
    pub fn in_flight(&self) -> u32 {
        self.members.lock().iter().map(Member::in_flight).sum()
    }

    /// Waits until so many requests are in flight.
    pub async fn has_in_flight(&self, count: u32) {
        eventually(&format!("{count} requests are in flight"), async || self.in_flight() == count).await;
    }
}
