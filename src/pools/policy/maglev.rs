use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildCx, BuildError, KeySpec, Member, PickCx, Policy};
use crate::types::Random;

use super::bounded::LoadBound;
use super::hashed::{HashRules, Hashed, Placement, Site, mixed, scaled, sites};

/// Chooses by a key of the request in a table in which each endpoint has as many places as its weight earns, to one
/// place (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016). Unless load comes
/// between, a key has the same endpoint in every process.
///
/// For endpoints that profit from seeing the same keys again, where even shares matter more than that every key stays:
/// when an endpoint comes or goes, others' keys move besides its own, up to as many again with a hundred places for
/// each endpoint. `ring` moves none of these.
///
/// A pick is one look into the table, whatever the number of endpoints; where the member is full, up to 32 more. A
/// place takes 4 bytes, so the usual table 256 KiB. It is built in some 2 ms, more by the size of the table than by the
/// number of endpoints. Slow start plays no part, since it would send keys away from where they belong and back again;
/// weights do.
#[derive(Debug)]
pub struct Maglev(Hashed<Table>);

/// Chooses by a key of the request in a table (Maglev): even shares, and when an endpoint comes or goes little more
/// than its own keys move. Slow start does not apply.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaglevSettings {
    /// What decides: `client_ip`, `host`, `path`, `{ header: NAME }`, `{ cookie: NAME }` or `{ query: NAME }`. Requests
    /// that lack it, or have it empty, are balanced as by `p2c`. Default: `client_ip`.
    pub key: KeySpec,
    /// How many places the table has: a prime, 251 to 1048573. With a hundred times as many as there are endpoints the
    /// shares are even to about 1 %, and few keys move that need not. It takes 4 bytes a place.
    #[schemars(range(min = 251, max = 1_048_573))]
    pub table: u32,
    /// How much of the load an endpoint may carry, as told for `ring`: `100%` to `1000%` of its fair share, or `off`.
    pub bounded: LoadBound,
}

/// The member of each place.
#[derive(Debug)]
pub(super) struct Table(Box<[u32]>);

/// The size of a table of which nothing is said.
pub(super) const USUAL_SIZE: u32 = 65_537;
/// Both are primes.
const SMALLEST: u32 = 251;
const LARGEST: u32 = 1_048_573;

impl Maglev {
    /// Makes of the settings what builds the policy for a set of members.
    ///
    /// # Errors
    /// When `table` is no prime or not 251 to 1048573.
    pub fn build(
        settings: MaglevSettings,
        cx: &BuildCx<'_>,
    ) -> Result<impl Fn(&[Member]) -> Self + Send + Sync + use<>, BuildError> {
        let MaglevSettings { key, table, bounded } = settings;
        check_size(table).map_err(|error| error.at("table"))?;
        let rules = HashRules { key, ipv6_prefix: cx.ipv6_prefix(), bound: bounded };
        Ok(move |members: &[Member]| Self(Hashed::new(Table::new(members, table), rules.clone(), members)))
    }
}

impl Policy for Maglev {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        self.0.pick(members, cx, random)
    }
}

impl Default for MaglevSettings {
    fn default() -> Self {
        Self { key: KeySpec::default(), table: USUAL_SIZE, bounded: LoadBound::default() }
    }
}

/// Only in a table of a prime size does every step reach every place.
fn check_size(size: u32) -> Result<(), BuildError> {
    if !(SMALLEST..=LARGEST).contains(&size) {
        return Err(BuildError::new(format!(
            "a table of {size} places; a prime from {SMALLEST} to {LARGEST} is allowed"
        )));
    }
    if is_prime(size) {
        return Ok(());
    }
    let below = (SMALLEST..size).rev().find(|&number| is_prime(number)).unwrap_or(SMALLEST);
    let above = (size..=LARGEST).find(|&number| is_prime(number)).unwrap_or(LARGEST);
    let error = BuildError::new(format!("a table of {size} places, which is no prime"));
    Err(error.with_help(format!("the nearest primes are {below} and {above}")))
}

fn is_prime(number: u32) -> bool {
    number >= 2 && (2..=number.isqrt()).all(|divisor| !number.is_multiple_of(divisor))
}

// === Table ===

/// The places that a site would like to have, best first: all of them, each once.
struct Preferences {
    next: u32,
    step: u32,
}

impl Table {
    pub(super) fn new(members: &[Member], size: u32) -> Self {
        let sites = sites(members);
        let mut preferences: Vec<_> = sites.iter().map(|site| Preferences::new(site.seed, size)).collect();
        let mut table = vec![0; size as usize];
        // A bit for each place, which the fastest cache holds where it would not hold the table.
        let mut taken = vec![0_u64; (size as usize).div_ceil(64)];
        for rank in turns(&sites, size) {
            let mut place = preferences[rank].take(size);
            while taken[place / 64] >> (place % 64) & 1 == 1 {
                place = preferences[rank].take(size);
            }
            taken[place / 64] |= 1 << (place % 64);
            table[place] = sites[rank].index;
        }
        Self(table.into())
    }
}

impl Placement for Table {
    fn place(&self, hash: u64) -> usize {
        self.0[scaled(hash, self.0.len() as u32) as usize] as usize
    }
}

impl Preferences {
    fn new(seed: u64, size: u32) -> Self {
        Self { next: scaled(mixed(seed, 0), size), step: scaled(mixed(seed, 1), size - 1) + 1 }
    }

    fn take(&mut self, size: u32) -> usize {
        let place = self.next;
        let next = place + self.step;
        self.next = if next < size { next } else { next - size };
        place as usize
    }
}

/// In which order sites, by their number, choose the `size` places: in each round those of the largest weight, and the
/// others in proportion. All have a turn in the first round.
fn turns(sites: &[Site], size: u32) -> impl Iterator<Item = usize> {
    let heaviest = sites.iter().map(|site| site.weight).max().unwrap_or(1);
    let total: u64 = sites.iter().map(|site| site.weight).sum();
    // In so many rounds there are at least `size` turns.
    let rounds = (u64::from(size) * heaviest).div_ceil(total.max(1));
    let round_of = move |turn: u64, weight: u64| (turn * heaviest).div_ceil(weight);
    let turns_of = |(site, rank): (&Site, u64)| {
        let weight = site.weight;
        let due = (0..).map(move |turn| round_of(turn, weight)).take_while(move |&round| round < rounds);
        due.map(move |round| round << 32 | rank)
    };
    let mut turns: Vec<_> = sites.iter().zip(0..).flat_map(turns_of).collect();
    turns.sort_unstable();
    turns.truncate(size as usize);
    turns.into_iter().map(|turn| turn as u32 as usize)
}
