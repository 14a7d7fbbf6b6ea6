use crate::runtime::Registry;

use super::SimulateError;
use super::command::SimulateArgs;
use super::engine::Plan;
use super::input::{read_access_log, read_table};
use super::scenario::Scenario;
use super::traffic::{Costs, MEAN_COST_MS, ONE_LONG_IN, Request, Traffic};

/// The scenario as the arguments change it.
pub(super) struct Setting {
    scenario: Scenario,
    /// Instead of drawn ones.
    requests: Option<Vec<Request>>,
    /// Where the requests come from, as it is told.
    origin: String,
}

impl Setting {
    pub(super) fn of(args: &SimulateArgs) -> Result<Self, SimulateError> {
        let scenario = Scenario::named(&args.scenario)
            .ok_or_else(|| SimulateError::new(format!("there is no scenario `{}`", args.scenario)))?;
        let scenario = Scenario {
            endpoints: args.endpoints.map_or(scenario.endpoints, usize::from),
            slots: args.slots.map_or(scenario.slots, |slots| slots as usize),
            requests: args.requests.map_or(scenario.requests, |requests| requests as usize),
            rate: args.rate.unwrap_or(scenario.rate),
            ..scenario
        };
        let is_read = args.csv.is_some() || args.log.is_some();
        if is_read && !scenario.is_about_endpoints() {
            return Err(SimulateError::new(format!(
                "the scenario `{}` is about requests, which come from a file here; choose one about endpoints",
                scenario.name
            )));
        }
        let (requests, origin) = match (&args.csv, &args.log) {
            (Some(file), _) => (Some(read_table(file)?), format!("from {}", file.display())),
            (None, Some(file)) => {
                let replay = read_access_log(file, args.log_pool.as_deref())?;
                let tells = match replay.left_out {
                    0 => String::new(),
                    1 => ", where 1 line tells of no answer of an endpoint of the pool".to_owned(),
                    lines => format!(", where {lines} lines tell of no answer of an endpoint of the pool"),
                };
                (Some(replay.requests), format!("from {}{tells}", file.display()))
            }
            (None, None) => (None, drawn(&scenario)),
        };
        Ok(Self { scenario, requests, origin })
    }

    pub(super) fn plan(&self, seed: u64) -> Plan {
        let Scenario { fleet, costs, endpoints, slots, requests, rate, .. } = self.scenario;
        let requests = self.requests.clone().unwrap_or_else(|| Traffic { requests, rate, costs }.draw(seed));
        let is_endless = costs == Costs::Endless;
        let mut plan =
            Plan { endpoints: fleet.endpoints(endpoints), slots, changes: Vec::new(), requests, is_endless };
        plan.changes = fleet.changes(endpoints, plan.length());
        plan
    }

    pub(super) fn policies(&self, args: &SimulateArgs, registry: &Registry) -> Vec<String> {
        match (&args.policy[..], self.scenario.policies) {
            ([], []) => registry.policy_names().map(str::to_owned).collect(),
            ([], compared) => compared.iter().map(|&name| name.to_owned()).collect(),
            (chosen, _) => chosen.to_vec(),
        }
    }

    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.scenario.name, self.scenario.about)
    }

    pub(super) fn notes(&self, plan: &Plan) -> Vec<String> {
        let Scenario { endpoints, slots, .. } = self.scenario;
        let work = if slots == 1 { "one request".to_owned() } else { format!("{slots} requests") };
        let (count, length) = (plan.requests.len(), plan.length().as_secs_f64());
        vec![
            format!("endpoints  {endpoints}, each works on {work} at once"),
            format!("requests   {count} within {length:.1} s, {}; latencies in ms", self.origin),
        ]
    }
}

fn drawn(scenario: &Scenario) -> String {
    let rate = scenario.rate;
    match scenario.costs {
        Costs::Usual => format!("{rate}/s at random, {MEAN_COST_MS} ms each on average"),
        Costs::SomeLong(factor) => format!(
            "{rate}/s at random, {MEAN_COST_MS} ms each on average but one in {ONE_LONG_IN} {factor} times longer"
        ),
        Costs::Endless => format!("{rate}/s at random, and none ends"),
    }
}
