use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildCx, BuildError, KeySpec, Member, PickCx, Policy};
use crate::types::Random;

use super::bounded::LoadBound;
use super::hashed::{HashRules, Hashed, Placement, Site, mixed, sites};

/// Chooses by a key of the request on a ring of points, so that an endpoint that comes or goes moves the keys of its
/// own share and no others. Unless load comes between, a key has the same endpoint in every process.
///
/// For endpoints that keep what they have computed or fetched: caches, and services that hold sessions in memory. Of
/// the hashed policies it moves the fewest keys; `maglev` spreads them more evenly.
///
/// A pick looks at one place of an index and some two points, whatever the number of endpoints; where the member is
/// full, at up to 32 more. A point takes 10 bytes at most, so 1000 endpoints take 1.6 MB. It is built in the time that
/// it takes to sort the points. Slow start plays no part, since it would send keys away from where they belong and back
/// again; weights do.
#[derive(Debug)]
pub struct Ring(Hashed<Points>);

/// Chooses by a key of the request on a ring of points (ketama): an endpoint that comes or goes moves the keys of its
/// own share and no others. Slow start does not apply.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RingSettings {
    /// What decides: `client_ip`, `host`, `path`, `{ header: NAME }`, `{ cookie: NAME }` or `{ query: NAME }`. Requests
    /// that lack it, or have it empty, are balanced as by `p2c`. Default: `client_ip`.
    pub key: KeySpec,
    /// How many points an endpoint has for each unit of its weight, 1 to 10000. With 160 the shares of equal endpoints
    /// differ from each other by some 8 %, with four times as many by half of that. Where weights average above 16, and
    /// above 1048576 points in all, they have fewer in proportion, and then some keys of others move as well when an
    /// endpoint comes or goes.
    #[schemars(range(min = 1, max = 10_000))]
    pub replicas: u32,
    /// So many requests in flight an endpoint may have, in percent of its fair share of the pool's and rounded up:
    /// `100%` to `1000%`, or `off`. What is above goes to another endpoint, the same one again where it can. The lower,
    /// the more even; while few requests are in flight, two at once of one key may already be one too many, so
    /// endpoints that must see all requests of a key need `off`.
    pub bounded: LoadBound,
}

/// The points of all members, in the order of their places on a ring of 2³².
#[derive(Debug)]
struct Points {
    /// A place in the upper half, and the index of the member in the lower.
    points: Box<[u64]>,
    /// For equal parts of the ring, as many as a power of two: the first point that is not before the part.
    starts: Box<[u32]>,
    /// By so many bits a place is shifted to the number of its part.
    shift: u32,
}

const MOST_REPLICAS: u32 = 10_000;

/// More points make no ring more even, only slower to build.
const MOST_POINTS: u64 = 1 << 20;

/// So many points, or up to twice as many, come to a part of the index: they lie in one or two lines of the cache.
const POINTS_A_PART: usize = 2;

/// Weights that average above this are scaled down to it. Dividing all by a common divisor would save more, but then
/// a change of one weight from 100 to 99 would move all points.
const MEAN_WEIGHT: u64 = 16;

impl Ring {
    /// Makes of the settings what builds the policy for a set of members.
    ///
    /// # Errors
    /// When `replicas` is not 1 to 10000.
    pub fn build(
        settings: RingSettings,
        cx: &BuildCx<'_>,
    ) -> Result<impl Fn(&[Member]) -> Self + Send + Sync + use<>, BuildError> {
        let RingSettings { key, replicas, bounded } = settings;
        if !(1..=MOST_REPLICAS).contains(&replicas) {
            let error = BuildError::new(format!("{replicas} points; 1 to {MOST_REPLICAS} are allowed"));
            return Err(error.at("replicas"));
        }
        let rules = HashRules { key, ipv6_prefix: cx.ipv6_prefix(), bound: bounded };
        Ok(move |members: &[Member]| {
            Self(Hashed::new(Points::new(members, replicas.into()), rules.clone(), members))
        })
    }
}

impl Policy for Ring {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        self.0.pick(members, cx, random)
    }
}

impl Default for RingSettings {
    fn default() -> Self {
        Self { key: KeySpec::default(), replicas: 160, bounded: LoadBound::default() }
    }
}

// === Points ===

impl Points {
    fn new(members: &[Member], replicas: u64) -> Self {
        let sites = sites(members);
        let counts = point_counts(&sites, replicas);
        let mut points = Vec::with_capacity(counts.iter().sum::<u64>() as usize);
        for ((site, rank), count) in sites.iter().zip(0..).zip(counts) {
            // Where two meet, the order of the sites decides, which does not depend on that of the members.
            points.extend((0..count).map(|number| point(mixed(site.seed, number) >> 32, rank)));
        }
        points.sort_unstable();
        for point in &mut points {
            *point = self::point(place_of(*point), sites[*point as u32 as usize].index);
        }
        let bits = (points.len() / POINTS_A_PART).max(1).ilog2();
        let shift = u32::BITS - bits;
        let mut next = 0;
        let start_of = |part: u64| {
            next += points[next..].iter().take_while(|&&point| place_of(point) < part << shift).count();
            next as u32
        };
        let starts = (0..1 << bits).map(start_of).collect();
        Self { points: points.into(), starts, shift }
    }
}

impl Placement for Points {
    /// The member of the first point at or after the key's place.
    fn place(&self, hash: u64) -> usize {
        let place = hash >> 32;
        let start = self.starts[(place >> self.shift) as usize] as usize;
        let found = self.points[start..].iter().find(|&&point| place_of(point) >= place);
        *found.unwrap_or(&self.points[0]) as u32 as usize
    }
}

fn point(place: u64, number: u32) -> u64 {
    place << 32 | u64::from(number)
}

fn place_of(point: u64) -> u64 {
    point >> 32
}

/// How many points each site has: in proportion to its weight, and one at least.
fn point_counts(sites: &[Site], replicas: u64) -> Vec<u64> {
    let total: u64 = sites.iter().map(|site| site.weight).sum();
    let most = (replicas * MEAN_WEIGHT * sites.len() as u64).min(MOST_POINTS);
    let count = |site: &Site| match replicas * total {
        wanted if wanted <= most => replicas * site.weight,
        _ => (site.weight * most / total).max(1),
    };
    sites.iter().map(count).collect()
}
