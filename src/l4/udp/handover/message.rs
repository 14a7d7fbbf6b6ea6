use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::l4::udp::flows::FlowKey;
use crate::l4::udp::io::Train;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::l4::udp) enum Kind {
    /// To the successor: such flows are here.
    Keys = 1,
    /// To the successor: these were all.
    Told = 2,
    /// To the successor: such flows have ended.
    Ended = 3,
    /// To the predecessor: nothing more is passed for these, which have ended.
    Release = 4,
    /// To the successor: nothing more is returned of these.
    Released = 5,
    /// To the predecessor: a train for a flow.
    Passed = 6,
    /// To the successor: a train for a flow that is not here.
    Returned = 7,
}

/// What came through a channel.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::l4::udp) enum Message {
    List(Kind, Vec<FlowKey>),
    /// The bytes follow the head.
    Train(Kind, FlowKey, Train),
}

/// The other end is gone, or says what cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::l4::udp) struct Broken;

/// Lists of flows that wait to be sent.
#[derive(Debug, Default)]
pub(in crate::l4::udp) struct Lists(VecDeque<(Kind, Vec<FlowKey>)>);

/// Kind, nothing, and the stride of a train.
const PREFIX: usize = 4;
/// Two families, port, address, flow information and scope of the client, and the address that it reached.
const KEY: usize = 44;
/// A message begins with so much; the rest are further keys, or the bytes of a train.
pub(in crate::l4::udp) const HEAD: usize = PREFIX + KEY;
/// So many flows in one message, so that it is no longer than the longest train.
const MOST_LISTED: usize = 1000;

// === Message ===

impl Kind {
    const ALL: [Self; 7] =
        [Self::Keys, Self::Told, Self::Ended, Self::Release, Self::Released, Self::Passed, Self::Returned];

    fn is_train(self) -> bool {
        matches!(self, Self::Passed | Self::Returned)
    }
}

impl Message {
    /// The head of a message with a train, whose bytes follow.
    pub(in crate::l4::udp) fn head_of(kind: Kind, key: FlowKey, train: Train) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[0] = kind as u8;
        head[2..PREFIX].copy_from_slice(&train.segment().unwrap_or(0).to_le_bytes());
        head[PREFIX..].copy_from_slice(&encoded(key));
        head
    }

    pub(in crate::l4::udp) fn list(kind: Kind, keys: &[FlowKey]) -> Vec<u8> {
        let mut bytes = vec![kind as u8, 0, 0, 0];
        bytes.extend(keys.iter().flat_map(|key| encoded(*key)));
        bytes
    }

    /// Reads a message of a head and what follows it.
    pub(in crate::l4::udp) fn read(head: &[u8], rest: &[u8]) -> Result<Self, Broken> {
        let (prefix, first) = head.split_at_checked(PREFIX).ok_or(Broken)?;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == prefix[0]).ok_or(Broken)?;
        if kind.is_train() {
            let stride = u16::from_le_bytes([prefix[2], prefix[3]]);
            if rest.len() > usize::from(u16::MAX) {
                return Err(Broken);
            }
            return Ok(Self::Train(kind, decoded(first)?, Train::new(rest.len(), Some(stride))));
        }
        let keys = [first, rest].into_iter().flat_map(|part| part.chunks(KEY)).map(decoded);
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        if keys.len() > MOST_LISTED {
            return Err(Broken);
        }
        Ok(Self::List(kind, keys))
    }
}

fn encoded(key: FlowKey) -> [u8; KEY] {
    let mut bytes = [0; KEY];
    let (flow, scope) = match key.client {
        SocketAddr::V4(_) => (0, 0),
        SocketAddr::V6(v6) => (v6.flowinfo(), v6.scope_id()),
    };
    bytes[0] = family(key.client.ip());
    bytes[1] = family(key.reached);
    bytes[2..4].copy_from_slice(&key.client.port().to_le_bytes());
    bytes[4..20].copy_from_slice(&octets(key.client.ip()));
    bytes[20..24].copy_from_slice(&flow.to_le_bytes());
    bytes[24..28].copy_from_slice(&scope.to_le_bytes());
    bytes[28..].copy_from_slice(&octets(key.reached));
    bytes
}

fn decoded(bytes: &[u8]) -> Result<FlowKey, Broken> {
    let bytes: &[u8; KEY] = bytes.try_into().map_err(|_| Broken)?;
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let port = u16::from_le_bytes([bytes[2], bytes[3]]);
    let client = match address(bytes[0], &bytes[4..20])? {
        IpAddr::V4(v4) => SocketAddrV4::new(v4, port).into(),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, port, number(20), number(24)).into(),
    };
    Ok(FlowKey { client, reached: address(bytes[1], &bytes[28..])? })
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 4 } else { 6 }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn address(family: u8, octets: &[u8]) -> Result<IpAddr, Broken> {
    let octets: [u8; 16] = octets.try_into().map_err(|_| Broken)?;
    let v6 = Ipv6Addr::from(octets);
    match family {
        4 => v6.to_ipv4_mapped().map(IpAddr::V4).ok_or(Broken),
        6 => Ok(v6.into()),
        _ => Err(Broken),
    }
}

// === Lists ===

impl Lists {
    pub(in crate::l4::udp) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one to those of its kind, if they are the last.
    pub(super) fn push(&mut self, kind: Kind, key: FlowKey) {
        match self.0.back_mut() {
            Some((last, keys)) if *last == kind && keys.len() < MOST_LISTED => keys.push(key),
            _ => self.0.push_back((kind, vec![key])),
        }
    }

    pub(super) fn push_told(&mut self) {
        self.0.push_back((Kind::Told, Vec::new()));
    }

    pub(in crate::l4::udp) fn first(&self) -> Option<(Kind, &[FlowKey])> {
        self.0.front().map(|(kind, keys)| (*kind, &keys[..]))
    }

    pub(in crate::l4::udp) fn remove_first(&mut self) {
        self.0.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<FlowKey> {
        let v6 = SocketAddrV6::new("fe80::1".parse().unwrap(), 65_535, 7, 3);
        let pairs: [(SocketAddr, &str); 3] = [
            ("192.0.2.1:53".parse().unwrap(), "10.0.0.1"),
            (v6.into(), "2001:db8::1"),
            ("[::ffff:192.0.2.1]:1".parse().unwrap(), "::ffff:10.0.0.1"),
        ];
        pairs.map(|(client, reached)| FlowKey { client, reached: reached.parse().unwrap() }).to_vec()
    }

    fn read(bytes: &[u8]) -> Result<Message, Broken> {
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD));
        Message::read(head, rest)
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in [Kind::Keys, Kind::Told, Kind::Ended, Kind::Release, Kind::Released] {
            for count in 0..=3 {
                let keys = &keys()[..count];
                assert_eq!(read(&Message::list(kind, keys)), Ok(Message::List(kind, keys.to_vec())));
            }
        }
        for kind in [Kind::Passed, Kind::Returned] {
            for (len, stride) in [(0, None), (1, None), (25, Some(10)), (65_535, Some(1400)), (65_535, None)]
            {
                let train = Train::new(len, stride);
                let bytes = [&Message::head_of(kind, keys()[1], train)[..], &vec![7; len]].concat();
                assert_eq!(read(&bytes), Ok(Message::Train(kind, keys()[1], train)));
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let list = Message::list(Kind::Ended, &keys());
        for len in
            (0..list.len()).filter(|len| *len != PREFIX && !(len - PREFIX.min(*len)).is_multiple_of(KEY))
        {
            assert_eq!(read(&list[..len]), Err(Broken), "{len} bytes");
        }
        assert_eq!(read(&[]), Err(Broken));
        let changed = |at: usize, byte: u8| {
            let mut bytes = list.clone();
            bytes[at] = byte;
            bytes
        };
        for (at, byte) in [(0, 0), (0, 8), (PREFIX, 5), (PREFIX + 1, 0), (PREFIX + 4, 1)] {
            assert_eq!(read(&changed(at, byte)), Err(Broken), "{byte} at {at}");
        }
        assert_eq!(read(&Message::list(Kind::Keys, &vec![keys()[0]; MOST_LISTED + 1])), Err(Broken));
        let train = Message::head_of(Kind::Passed, keys()[0], Train::new(1, None));
        assert_eq!(read(&train[..HEAD - 1]), Err(Broken));
        assert_eq!(read(&[&train[..], &vec![0; 65_536]].concat()), Err(Broken));
    }

    #[test]
    fn lists_of_one_kind_are_joined_up_to_a_bound() {
        let mut lists = Lists::default();
        let key = keys()[0];
        (0..MOST_LISTED + 1).for_each(|_| lists.push(Kind::Keys, key));
        lists.push_told();
        lists.push(Kind::Ended, key);
        let mut seen = Vec::new();
        while let Some((kind, keys)) = lists.first() {
            seen.push((kind, keys.len()));
            lists.remove_first();
        }
        assert_eq!(seen, [(Kind::Keys, MOST_LISTED), (Kind::Keys, 1), (Kind::Told, 0), (Kind::Ended, 1)]);
    }
}
