use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Wrong tokens by the network that they come from, so that nobody tries one after the other.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    minutes: Mutex<HashMap<Option<IpAddr>, Minute, RandomState>>,
}

/// Wrong tokens since a moment.
#[derive(Clone, Copy, Debug)]
struct Minute {
    begun: Instant,
    count: u32,
}

/// So many wrong tokens may come from one network in a minute.
const MOST: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// Networks that are remembered; of more the one whose minute began first is forgotten.
const MOST_NETWORKS: usize = 1024;

impl Guesses {
    /// How long no more tokens are looked at that come from there; `None` while they are. No address stands for all Unix
    /// sockets.
    pub(super) fn barred_for(&self, from: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let minutes = self.minutes.lock();
        let minute = minutes.get(&network(from)).filter(|minute| minute.count >= MOST)?;
        let left = MINUTE.saturating_sub(now.saturating_duration_since(minute.begun));
        (!left.is_zero()).then_some(left)
    }

    /// Notes a wrong one.
    pub(super) fn note(&self, from: Option<IpAddr>, now: Instant) {
        let mut minutes = self.minutes.lock();
        let is_over = |minute: &Minute| now.saturating_duration_since(minute.begun) >= MINUTE;
        let from = network(from);
        if minutes.len() == MOST_NETWORKS && !minutes.contains_key(&from) {
            minutes.retain(|_, minute| !is_over(minute));
            if minutes.len() == MOST_NETWORKS {
                let oldest = minutes.iter().min_by_key(|(_, minute)| minute.begun).map(|(from, _)| *from);
                if let Some(oldest) = oldest {
                    minutes.remove(&oldest);
                }
            }
        }
        let minute = minutes.entry(from).or_insert(Minute { begun: now, count: 0 });
        if is_over(minute) {
            *minute = Minute { begun: now, count: 0 };
        }
        minute.count += 1;
    }
}

/// One client may have all addresses of a /64.
fn network(from: Option<IpAddr>) -> Option<IpAddr> {
    Some(match from?.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
        address => address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn after_some_wrong_tokens_in_a_minute_no_more_are_looked_at() {
        let (guesses, begun) = (Guesses::default(), Instant::now());
        let bad = address("192.0.2.1");
        for second in 0..20 {
            assert_eq!(guesses.barred_for(bad, begun), None);
            guesses.note(bad, begun + Duration::from_secs(second));
        }
        let later = begun + Duration::from_secs(20);
        assert_eq!(guesses.barred_for(bad, later), Some(Duration::from_secs(40)));
        assert_eq!(guesses.barred_for(address("::ffff:192.0.2.1"), later), Some(Duration::from_secs(40)));
        assert_eq!(guesses.barred_for(address("192.0.2.2"), later), None);
        assert_eq!(guesses.barred_for(None, later), None);
        assert_eq!(guesses.barred_for(bad, begun + MINUTE), None);
        guesses.note(bad, begun + MINUTE);
        assert_eq!(guesses.barred_for(bad, begun + MINUTE), None);
    }

    #[test]
    fn a_client_is_no_other_by_another_address_of_its_network() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        (1..=20).for_each(|host| guesses.note(address(&format!("2001:db8::{host}")), now));
        assert!(guesses.barred_for(address("2001:db8::ffff"), now).is_some());
        assert!(guesses.barred_for(address("2001:db8:0:1::1"), now).is_none());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_whoever_came_first() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let of = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
        (0..20).for_each(|_| guesses.note(of(0), now));
        for number in 1..=2000 {
            guesses.note(of(number), now + Duration::from_millis(number.into()));
        }
        assert_eq!(guesses.minutes.lock().len(), MOST_NETWORKS);
        assert_eq!(guesses.barred_for(of(0), now), None);
    }
}
