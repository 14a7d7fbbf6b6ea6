//! A program with a balancing policy of its own: the same path goes to the same endpoint, whose cache is warm for
//! it, as long as that endpoint has no more than its share of the load.
//!
//! ```text
//! cargo run --example custom_policy -- run -c examples/conf/custom-policy.yaml
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::ExitCode;

use evener::app::App;
use evener::hooks::{BuildCx, BuildError, Member, PickCx, Policy};
use evener::types::Random;
use serde::Deserialize;

fn main() -> ExitCode {
    evener::cli::main(&App::builder().policy("sticky_path", StickyPath::build))
}

/// What stands in the configuration file under `sticky_path`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StickySettings {
    /// How many times its share of the requests in flight an endpoint may have before its paths go elsewhere:
    /// 1 to 10.
    #[serde(default = "default_bound")]
    pub(crate) bound: f64,
}

fn default_bound() -> f64 {
    1.25
}

/// Rendezvous hashing with bounded loads: of all members that have room, the one with the highest score for the
/// path. When a member comes or goes, only the paths that it wins or had won move.
#[derive(Debug)]
pub(crate) struct StickyPath {
    bound: f64,
    total_weight: f64,
    /// One for each member, by its address, so that it is the same in every process.
    seeds: Box<[u64]>,
}

impl StickyPath {
    /// Checks the settings once, and gives what makes a policy for the members that are fit at a time.
    pub(crate) fn build(
        settings: StickySettings,
        _: &BuildCx<'_>,
    ) -> Result<impl Fn(&[Member]) -> Self + use<>, BuildError> {
        let StickySettings { bound } = settings;
        if !(1.0..=10.0).contains(&bound) {
            let error = BuildError::new(format!("a bound of {bound}; 1 to 10 is allowed")).at("bound");
            return Err(error.with_help("1.25 lets an endpoint have a quarter more than its share"));
        }
        Ok(move |members: &[Member]| Self::new(bound, members))
    }

    fn new(bound: f64, members: &[Member]) -> Self {
        Self {
            bound,
            total_weight: members.iter().map(|member| f64::from(member.weight())).sum(),
            seeds: members.iter().map(|member| hash(member.address())).collect(),
        }
    }

    /// The weighted score of a member for a path: the member with twice the weight wins twice as many paths.
    fn score(&self, member: usize, weight: u16, path: u64) -> f64 {
        let mixed = hash((self.seeds[member], path));
        // 53 bits, as many as a float holds, in the open interval from 0 to 1.
        let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        f64::from(weight) / -uniform.ln()
    }
}

impl Policy for StickyPath {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, _: &mut Random) -> usize {
        let path = hash(cx.path());
        let in_flight: u32 = members.iter().map(Member::in_flight).sum();
        let share = self.bound * f64::from(in_flight + 1) / self.total_weight;
        let has_room = |member: &Member| f64::from(member.in_flight()) < share * f64::from(member.weight());
        let score = |index: usize| self.score(index, members[index].weight(), path);
        let best =
            |indices: &mut dyn Iterator<Item = usize>| indices.max_by(|a, b| score(*a).total_cmp(&score(*b)));
        // Not all can have more than their share; but other threads change the counts while these are read.
        let roomy = best(&mut (0..members.len()).filter(|&index| has_room(&members[index])));
        roomy.or_else(|| best(&mut (0..members.len()))).unwrap_or(0)
    }
}

fn hash(value: impl Hash) -> u64 {
    // Its keys are constants, so it gives the same in every process that this program runs in.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
