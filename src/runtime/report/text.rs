//! The report for people, in the words and columns of `explain`.

use std::fmt::{self, Display, Write};

use super::{AttemptReport, EndReport, FilterReport, PickReport, RequestReport, SampledReport, SplitReport};
use crate::runtime::explain::write_candidate;

impl RequestReport {
    /// What became of the request, in lines.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let Self { method, scheme, host, target, protocol, .. } = self;
        writeln!(out, "request    {method} {scheme}://{host}{target}  ({protocol}, {})", self.time)?;
        writeln!(out, "client     {}  (request {})", self.client, self.request_id)?;
        writeln!(out, "listener   {}", self.listener)?;
        self.write_candidates(out)?;
        self.write_filters(out)?;
        self.split.iter().try_for_each(|split| write_split(split, out))?;
        self.cache.iter().try_for_each(|word| writeln!(out, "cache      {word}"))?;
        self.picks.iter().try_for_each(|pick| write_pick(pick, out))?;
        self.write_attempts(out)?;
        if self.left_out > 0 {
            writeln!(out, "  ({} more steps are not told)", self.left_out)?;
        }
        self.end.iter().try_for_each(|end| write_end(end, out))
    }

    fn write_candidates(&self, out: &mut String) -> fmt::Result {
        if self.candidates.is_empty() {
            return Ok(());
        }
        writeln!(out, "candidates, the most specific first")?;
        for (place, candidate) in self.candidates.iter().enumerate() {
            let host = candidate.host.as_deref();
            write_candidate(out, place, &candidate.route, host, &candidate.verdict)?;
        }
        Ok(())
    }

    fn write_filters(&self, out: &mut String) -> fmt::Result {
        if self.filters.is_empty() {
            return Ok(());
        }
        writeln!(out, "filters, in their order")?;
        for (place, run) in self.filters.iter().enumerate() {
            let FilterReport { filter, took_ms, verdict, .. } = run;
            write!(out, "  {}. {filter:<20} {verdict}", place + 1)?;
            write_optional(out, " with ", run.status.as_ref())?;
            write_optional(out, ", ", run.cause.as_ref())?;
            writeln!(out, "  ({took_ms} ms)")?;
        }
        Ok(())
    }

    fn write_attempts(&self, out: &mut String) -> fmt::Result {
        if self.attempts.is_empty() {
            return Ok(());
        }
        writeln!(out, "attempts, in their order")?;
        let mut attempts = self.attempts.iter().enumerate();
        attempts.try_for_each(|(place, attempt)| write_attempt(place, attempt, out))
    }
}

fn write_optional(out: &mut String, before: &str, value: Option<&impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(out, "{before}{value}"))
}

fn write_split(split: &SplitReport, out: &mut String) -> fmt::Result {
    let by = split.by.as_deref().unwrap_or("chance");
    let shares: Vec<_> = split.shares.iter().map(|(pool, percent)| format!("{pool} {percent} %")).collect();
    writeln!(out, "split      {} by {by}, of {}", split.pool, shares.join(", "))
}

fn write_pick(pick: &PickReport, out: &mut String) -> fmt::Result {
    write!(out, "pool       {}: {}", pick.pool, pick.policy)?;
    match (&pick.endpoint, &pick.cause) {
        (Some(endpoint), _) => write!(out, " picks {endpoint}")?,
        (None, cause) => {
            write!(out, " has nobody")?;
            write_optional(out, ": ", cause.as_ref())?;
        }
    }
    write_optional(out, " by ", pick.by.as_deref().map(in_words).as_ref())?;
    match &pick.waited_for {
        Some(what) => writeln!(out, ", after {} ms of waiting for {}", pick.took_ms, what.replace('_', "-"))?,
        None => writeln!(out)?,
    }
    pick.sampled.iter().try_for_each(|sampled| write_sampled(out, sampled))?;
    if pick.more_sampled > 0 {
        writeln!(out, "  and {} more were compared", pick.more_sampled)?;
    }
    pick.out.iter().try_for_each(|(endpoint, state)| writeln!(out, "  {endpoint:<24} {state}"))
}

/// `  127.0.0.1:9001           cost 24.2: 1 in flight, 0.5 recent picks, weight 1, 12.1 ms`
pub(in crate::runtime) fn write_sampled(out: &mut String, sampled: &SampledReport) -> fmt::Result {
    let SampledReport { endpoint, cost, in_flight, recent_picks, weight, latency_ms, has_room } = sampled;
    write!(
        out,
        "  {endpoint:<24} cost {cost}: {in_flight} in flight, {recent_picks} recent picks, weight {weight}"
    )?;
    match latency_ms {
        Some(latency) => write!(out, ", {latency} ms")?,
        None => write!(out, ", no answer yet")?,
    }
    writeln!(out, "{}", if *has_room { "" } else { ", no room" })
}

/// What decided a pick.
pub(in crate::runtime) fn in_words(by: &str) -> &str {
    match by {
        "key" => "the request's key",
        "key_moved_on" => "the request's key, whose own place has its share already",
        "cookie" => "the client's cookie",
        "room" => "room: the policy's choice had none",
        "not_tried" => "load, of those that were not tried",
        other => other,
    }
}

fn write_attempt(place: usize, attempt: &AttemptReport, out: &mut String) -> fmt::Result {
    let AttemptReport { endpoint, why, at_ms, .. } = attempt;
    write!(out, "  {}. {endpoint:<20} ", place + 1)?;
    match (why.as_str(), &attempt.retry_of) {
        (_, Some(cause)) => write!(out, "retry after {cause}, ")?,
        ("hedge", _) => write!(out, "hedge, ")?,
        ("anew", _) => write!(out, "again, its kept connection had been closed, ")?,
        _ => {}
    }
    write!(out, "at {at_ms} ms")?;
    if let Some(connected) = attempt.connected_ms {
        write!(out, ", {} connection at {connected}", if attempt.reused { "kept" } else { "new" })?;
    }
    write_optional(out, ", head at ", attempt.first_byte_ms.as_ref())?;
    write_optional(out, ", over at ", attempt.ended_ms.as_ref())?;
    write_optional(out, ": ", attempt.status.as_ref())?;
    write_optional(out, ": ", attempt.cause.as_ref())?;
    writeln!(out, "{}", if attempt.outrun { ": the other one answered first" } else { "" })
}

fn write_end(end: &EndReport, out: &mut String) -> fmt::Result {
    let EndReport { status, cause, bytes_in, bytes_out, total_ms, .. } = end;
    match status {
        Some(status) => write!(out, "answer     {status}")?,
        None => write!(out, "answer     none")?,
    }
    write_optional(out, ": ", cause.as_ref())?;
    write_optional(out, ", grpc-status ", end.grpc_status.as_ref())?;
    writeln!(out, "  ({total_ms} ms, {bytes_in} bytes in, {bytes_out} bytes out)")
}
