use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::time::Instant;

use crate::hooks::{Member, PickCx, PickedBy, Policy};
use crate::types::{Percent, Random, ZoneName};

use super::endpoint::{Endpoint, State};
use super::generation::{Generation, PolicyFactory};
use super::lease::Lease;
use super::policy::least_loaded_of;
use super::standing::Standing;

/// Who gets work at one moment, and the policy built for them. Never changes; each flip publishes a new one.
pub(super) struct Picker {
    pub(super) generation: Arc<Generation>,
    /// All of the generation, whether they get work or not.
    all: Arc<[Arc<Endpoint>]>,
    members: Vec<Member>,
    endpoints: Vec<Arc<Endpoint>>,
    /// The weights that the policy was built for.
    weights: Vec<u16>,
    /// None for no members, and when building it panicked.
    policy: Option<Arc<dyn Policy>>,
    /// Fit endpoints that serve when none of the others has room: those of other zones, and backups.
    spare: Vec<Arc<Endpoint>>,
    pub(super) is_panic: bool,
}

/// What a pick came to.
#[derive(Debug)]
pub(crate) enum Pick {
    /// This endpoint; it counts as in flight from now on.
    Endpoint(Lease),
    /// Every endpoint that gets work has as many requests as it may: wait for a place.
    NoRoom,
    /// No endpoint is fit.
    NobodyFit,
    /// The policy panicked or answered out of range.
    PolicyFailed,
}

/// Who gets work, and who else could.
struct Selection {
    active: Vec<Arc<Endpoint>>,
    spare: Vec<Arc<Endpoint>>,
    is_panic: bool,
}

impl Picker {
    /// Who gets work as things stand. The policy is built anew only where that or a weight is different from what it was
    /// `before`: tables cost time, and turns go on.
    pub(super) fn new(
        generation: &Arc<Generation>,
        endpoints: &Arc<[Arc<Endpoint>]>,
        standings: &[Standing],
        before: Option<&Self>,
        random: &mut Random,
    ) -> Self {
        let Selection { active, spare, is_panic } = select(endpoints, standings, generation);
        let members: Vec<_> = active.iter().map(|endpoint| endpoint.member().clone()).collect();
        let weights: Vec<_> = members.iter().map(Member::weight).collect();
        let is_as_before = |before: &&Self| before.weights == weights && is_same(&before.endpoints, &active);
        let kept = before.filter(is_as_before).and_then(|before| before.policy.clone());
        let policy = kept.or_else(|| build_policy(&members, &generation.new_policy, random));
        let (generation, all) = (generation.clone(), endpoints.clone());
        Self { generation, all, members, endpoints: active, weights, policy, spare, is_panic }
    }

    /// Tells each of all the pool's endpoints whether it may be picked.
    pub(super) fn tell(&self) {
        let mut gets_work = vec![false; self.all.len()];
        self.endpoints.iter().chain(&self.spare).for_each(|endpoint| gets_work[endpoint.index()] = true);
        let told = self.all.iter().zip(gets_work);
        told.for_each(|(endpoint, gets_work)| endpoint.record().set_gets_work(gets_work));
    }

    /// The endpoint of this generation that stands for the address of `endpoint`.
    pub(super) fn find(&self, endpoint: &Endpoint) -> Option<&Arc<Endpoint>> {
        let at_its_place = self.all.get(endpoint.index()).filter(|one| one.is_same(endpoint));
        at_its_place.or_else(|| self.all.iter().find(|one| one.is_same(endpoint)))
    }

    /// Asks the policy; where its choice was `tried` another one serves instead, and where it has no room the least loaded that
    /// has some.
    pub(super) fn pick(&self, cx: &PickCx<'_>, tried: &[Arc<Endpoint>], random: &mut Random) -> Pick {
        cx.begin_notes();
        if self.members.is_empty() {
            return Pick::NobodyFit;
        }
        let Some(policy) = &self.policy else { return Pick::PolicyFailed };
        // A user's policy may panic; that is the end of this request alone.
        let picked = catch_unwind(AssertUnwindSafe(|| policy.pick(&self.members, cx, random)));
        let Some(endpoint) = picked.ok().and_then(|index| self.endpoints.get(index)) else {
            return Pick::PolicyFailed;
        };
        if !is_among(tried, endpoint)
            && let Some(lease) = endpoint.try_lease(cx.now())
        {
            return Pick::Endpoint(lease);
        }
        if !tried.is_empty()
            && let Some(lease) = self.pick_untried(tried, cx.now(), random)
        {
            cx.decided_by(PickedBy::NotTried);
            return Pick::Endpoint(lease);
        }
        cx.decided_by(PickedBy::Room);
        self.any_with_room(cx.now(), random).map_or(Pick::NoRoom, Pick::Endpoint)
    }

    /// Whom the policy would pick; a policy that goes by turns takes one for that.
    pub(super) fn preview(&self, cx: &PickCx<'_>, random: &mut Random) -> Option<&Arc<Endpoint>> {
        let policy = self.policy.as_ref()?;
        let picked = catch_unwind(AssertUnwindSafe(|| policy.pick(&self.members, cx, random)));
        self.endpoints.get(picked.ok()?)
    }

    fn any_with_room(&self, now: Instant, random: &mut Random) -> Option<Lease> {
        let has_room = |endpoint: &Arc<Endpoint>| endpoint.load().has_room();
        lease_least_loaded(&self.endpoints, has_room, now, random)
            .or_else(|| lease_least_loaded(&self.spare, has_room, now, random))
    }

    /// Another endpoint than those that were `tried`: a fit one first, in a panic any. Only where all were tried, one of
    /// them again.
    pub(super) fn pick_another(
        &self,
        tried: &[Arc<Endpoint>],
        now: Instant,
        random: &mut Random,
    ) -> Option<Lease> {
        if self.has_tried_all(tried) {
            return self.any_with_room(now, random);
        }
        self.pick_untried(tried, now, random)
    }

    /// The same without those that were tried.
    pub(super) fn pick_untried(
        &self,
        tried: &[Arc<Endpoint>],
        now: Instant,
        random: &mut Random,
    ) -> Option<Lease> {
        let is_new = |one: &Arc<Endpoint>| !is_among(tried, one) && one.load().has_room();
        let is_fit = |one: &Arc<Endpoint>| is_new(one) && one.state() == State::Fit;
        lease_least_loaded(&self.endpoints, is_fit, now, random)
            .or_else(|| lease_least_loaded(&self.spare, is_fit, now, random))
            .or_else(|| lease_least_loaded(&self.endpoints, is_new, now, random))
    }

    /// Whether another pick would be one of `tried` again.
    pub(super) fn would_repeat(&self, tried: &[Arc<Endpoint>]) -> bool {
        let mut all = self.endpoints.iter().chain(&self.spare);
        self.has_tried_all(tried) && all.any(|one| one.load().has_room())
    }

    fn has_tried_all(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.endpoints.iter().chain(&self.spare).all(|one| is_among(tried, one))
    }

    /// Whether an endpoint that is not among `tried`, and not `but` either, has room.
    pub(super) fn has_another(&self, tried: &[Arc<Endpoint>], but: &Arc<Endpoint>) -> bool {
        let mut all = self.endpoints.iter().chain(&self.spare);
        all.any(|one| !is_among(tried, one) && !one.is_same(but) && one.load().has_room())
    }

    /// Whether nobody gets work.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Lets those that wait have whatever room there is.
    pub(super) fn serve_waiting(&self) {
        self.endpoints.iter().chain(&self.spare).for_each(|endpoint| endpoint.record().serve_waiting());
    }
}

fn lease_least_loaded(
    endpoints: &[Arc<Endpoint>],
    is_wanted: impl Fn(&Arc<Endpoint>) -> bool,
    now: Instant,
    random: &mut Random,
) -> Option<Lease> {
    let wanted = endpoints.iter().enumerate().filter(|(_, endpoint)| is_wanted(endpoint));
    let members = wanted.map(|(index, endpoint)| (index, endpoint.member()));
    let index = least_loaded_of(members, now, random)?;
    // Between the look and this the room may have gone to others; then the request is told that there is none.
    endpoints[index].try_lease(now)
}

fn is_same(a: &[Arc<Endpoint>], b: &[Arc<Endpoint>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// A user's factory may panic; what already runs must not end with it.
fn build_policy(
    members: &[Member],
    new_policy: &PolicyFactory,
    random: &mut Random,
) -> Option<Arc<dyn Policy>> {
    if members.is_empty() {
        return None;
    }
    let built = catch_unwind(AssertUnwindSafe(|| new_policy(members, random)));
    if built.is_err() {
        log::error!("policy panicked while it was built members={}", members.len());
    }
    built.ok().map(Arc::from)
}

/// Whether its address is one of those that were tried.
pub(crate) fn is_among(tried: &[Arc<Endpoint>], endpoint: &Arc<Endpoint>) -> bool {
    tried.iter().any(|one| one.is_same(endpoint))
}

// === Who gets work ===

/// The first tier with anybody fit serves: all but the backups, else the backups. Within it the own zone goes first. If
/// fewer than the panic threshold are fit, all of the tier serve that can be connected to.
fn select(endpoints: &[Arc<Endpoint>], standings: &[Standing], generation: &Generation) -> Selection {
    let (primaries, backups): (Vec<_>, Vec<_>) = endpoints.iter().partition(|endpoint| !endpoint.is_backup());
    let fit_of = |tier: &[&Arc<Endpoint>]| -> Vec<Arc<Endpoint>> {
        let fit = tier.iter().filter(|endpoint| standings[endpoint.index()].state() == State::Fit);
        fit.map(|&endpoint| endpoint.clone()).collect()
    };
    let (fit_primaries, fit_backups) = (fit_of(&primaries), fit_of(&backups));
    let (tier, fit, backups) = match fit_primaries.is_empty() && !fit_backups.is_empty() {
        true => (&backups, fit_backups, Vec::new()),
        false => (&primaries, fit_primaries, fit_backups),
    };
    if let Some(active) = in_panic(tier, &fit, standings, generation.config.panic) {
        return Selection { active, spare: backups, is_panic: true };
    }
    let (active, mut spare) = prefer_zone(fit, generation.own_zone.as_ref());
    spare.extend(backups);
    Selection { active, spare, is_panic: false }
}

/// All that may serve while too few are fit; `None` while enough are. Endpoints that wait for their first probe, or
/// that an operator took out, do not count.
fn in_panic(
    tier: &[&Arc<Endpoint>],
    fit: &[Arc<Endpoint>],
    standings: &[Standing],
    threshold: Percent,
) -> Option<Vec<Arc<Endpoint>>> {
    let is_judged = |endpoint: &&&Arc<Endpoint>| {
        matches!(standings[endpoint.index()].state(), State::Fit | State::Unfit | State::Ejected)
    };
    let judged = tier.iter().filter(is_judged).count();
    if fit.len() * 100 >= judged * usize::from(threshold.get()) {
        return None;
    }
    let may_serve = |endpoint: &&&Arc<Endpoint>| standings[endpoint.index()].may_serve_in_panic();
    let active: Vec<_> = tier.iter().filter(may_serve).map(|&endpoint| endpoint.clone()).collect();
    (active.len() > fit.len()).then_some(active)
}

/// Splits the fit ones into those of the own zone and the rest, as long as the own zone holds at least its fair share
/// of what is fit: as much as each zone with fit endpoints would if all were equal. Then a zone's edges do not overload
/// its endpoints.
fn prefer_zone(
    fit: Vec<Arc<Endpoint>>,
    own_zone: Option<&ZoneName>,
) -> (Vec<Arc<Endpoint>>, Vec<Arc<Endpoint>>) {
    let Some(own_zone) = own_zone else { return (fit, Vec::new()) };
    let mut zones: Vec<_> = fit.iter().filter_map(|endpoint| endpoint.zone()).collect();
    zones.sort_unstable();
    zones.dedup();
    let zones = zones.len();
    let is_own = |endpoint: &Arc<Endpoint>| endpoint.zone() == Some(own_zone);
    let weight = |endpoint: &Arc<Endpoint>| usize::from(endpoint.weight());
    let all: usize = fit.iter().map(weight).sum();
    let own: usize = fit.iter().filter(|endpoint| is_own(endpoint)).map(weight).sum();
    if own > 0 && own * zones >= all { fit.into_iter().partition(is_own) } else { (fit, Vec::new()) }
}
