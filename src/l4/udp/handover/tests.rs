//! Both sides of a channel that loses nothing but what it has no room for, and a model of where every datagram should be.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::message::{Kind, Message};
use super::taker::{Held, Route, Taker};
use super::{Giver, Side};
use crate::l4::udp::flows::FlowKey;
use crate::l4::udp::io::Train;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A client sends the next of its datagrams.
    Sends(u16),
    /// A message arrives at the process that has the flows.
    Gives,
    /// A message arrives at the one that reads the socket.
    Takes,
    /// A flow of the process that read before ends.
    Ends(u16),
    /// That process does.
    Dies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Datagram {
    client: u16,
    number: u64,
}

#[derive(Debug)]
enum Packet {
    List(Vec<u8>),
    Train(Datagram),
}

/// Everything there is, and what became of each datagram.
struct World {
    giver: Option<Giver>,
    taker: Taker,
    /// Whose flows the process that read before still has.
    flows: HashSet<u16>,
    to_giver: VecDeque<Packet>,
    to_taker: VecDeque<Packet>,
    /// So many messages are in the channel at most, each way.
    room: usize,
    /// What nobody has read yet.
    unread: VecDeque<Datagram>,
    sent: HashMap<u16, u64>,
    served: Vec<Datagram>,
    dropped: HashSet<Datagram>,
}

fn key(client: u16) -> FlowKey {
    FlowKey {
        client: SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), client)),
        reached: Ipv4Addr::LOCALHOST.into(),
    }
}

fn client(key: FlowKey) -> u16 {
    key.client.port()
}

fn heard(list: &[u8]) -> (Kind, Vec<FlowKey>) {
    let (head, rest) = list.split_at(list.len().min(super::message::HEAD));
    match Message::read(head, rest) {
        Ok(Message::List(kind, keys)) => (kind, keys),
        other => panic!("{other:?} is no list"),
    }
}

/// Puts as many lists on the way as there is room for.
fn write(side: &mut impl Side, way: &mut VecDeque<Packet>, room: usize) {
    while way.len() < room
        && let Some((kind, keys)) = side.lists().first()
    {
        way.push_back(Packet::List(Message::list(kind, keys)));
        side.lists().remove_first();
    }
}

impl World {
    fn new(flows: HashSet<u16>, room: usize) -> Self {
        Self {
            giver: Some(Giver::new(flows.iter().map(|client| key(*client)))),
            taker: Taker::default(),
            flows,
            to_giver: VecDeque::new(),
            to_taker: VecDeque::new(),
            room,
            unread: VecDeque::new(),
            sent: HashMap::new(),
            served: Vec::new(),
            dropped: HashSet::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Sends(client) => {
                let number = self.sent.entry(client).or_default();
                *number += 1;
                self.unread.push_back(Datagram { client, number: *number });
            }
            Event::Gives => self.give(),
            Event::Takes => self.take(),
            Event::Ends(client) => {
                if let Some(giver) = self.giver.as_mut().filter(|_| self.flows.remove(&client)) {
                    giver.ended(key(client));
                }
            }
            Event::Dies => self.die(),
        }
        self.read();
        if let Some(giver) = &mut self.giver {
            write(&mut self.taker, &mut self.to_giver, self.room);
            write(giver, &mut self.to_taker, self.room);
        }
    }

    /// The process that takes over reads what clients sent.
    fn read(&mut self) {
        while self.taker.is_told()
            && let Some(datagram) = self.unread.pop_front()
        {
            match self.taker.route(&key(datagram.client)) {
                Route::Ours => self.served.push(datagram),
                Route::Theirs if self.to_giver.len() < self.room && self.taker.lists().is_empty() => {
                    self.to_giver.push_back(Packet::Train(datagram));
                }
                Route::Theirs => drop(self.dropped.insert(datagram)),
                Route::Held => {
                    let number = datagram.number.to_le_bytes();
                    let is_held = self.taker.hold(key(datagram.client), Train::new(8, None), &number);
                    assert!(is_held, "there is room for more than come here");
                }
            }
        }
    }

    fn give(&mut self) {
        let Some(giver) = &mut self.giver else { return };
        match self.to_giver.pop_front() {
            Some(Packet::List(list)) => {
                let (kind, keys) = heard(&list);
                giver.hear(kind, keys).expect("the other side keeps the rules");
            }
            Some(Packet::Train(datagram)) if self.flows.contains(&datagram.client) => {
                self.served.push(datagram);
            }
            Some(Packet::Train(datagram)) if self.to_taker.len() < self.room && giver.lists().is_empty() => {
                self.to_taker.push_back(Packet::Train(datagram));
            }
            Some(Packet::Train(datagram)) => drop(self.dropped.insert(datagram)),
            None => {}
        }
    }

    fn take(&mut self) {
        match self.to_taker.pop_front() {
            Some(Packet::List(list)) => {
                let (kind, keys) = heard(&list);
                self.taker.hear(kind, keys).expect("the other side keeps the rules");
                self.serve_free();
            }
            Some(Packet::Train(datagram)) => self.served.push(datagram),
            None => {}
        }
    }

    fn serve_free(&mut self) {
        for Held { key, bytes, .. } in self.taker.take_free() {
            let number = u64::from_le_bytes(bytes[..].try_into().expect("it is a number"));
            self.served.push(Datagram { client: client(key), number });
        }
    }

    /// What it has not read is lost; what it wrote is not.
    fn die(&mut self) {
        self.giver = None;
        self.flows.clear();
        for packet in self.to_giver.drain(..) {
            if let Packet::Train(datagram) = packet {
                self.dropped.insert(datagram);
            }
        }
        while !self.to_taker.is_empty() {
            self.take();
        }
        self.taker.forget();
        self.serve_free();
    }

    fn is_quiet(&mut self) -> bool {
        let Some(giver) = &mut self.giver else { return self.to_taker.is_empty() };
        let has_said_all = giver.lists().is_empty() && self.taker.lists().is_empty();
        has_said_all && self.to_giver.is_empty() && self.to_taker.is_empty()
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.is_quiet() {
                return;
            }
            self.happen(Event::Gives);
            self.happen(Event::Takes);
        }
        panic!("there is no end to it");
    }

    fn check(&mut self) {
        self.settle();
        for client in self.flows.clone() {
            self.happen(Event::Ends(client));
        }
        self.settle();
        let all = self
            .sent
            .iter()
            .flat_map(|(client, last)| (1..=*last).map(|number| Datagram { client: *client, number }));
        for datagram in all {
            let served = self.served.iter().filter(|served| **served == datagram).count();
            let expected = usize::from(!self.dropped.contains(&datagram));
            assert_eq!(served, expected, "{datagram:?}");
        }
        for client in self.sent.keys() {
            let of_one: Vec<_> = self.served.iter().filter(|served| served.client == *client).collect();
            assert!(of_one.is_sorted_by_key(|served| served.number), "{of_one:?}");
        }
        assert!(self.taker.is_settled() && self.giver.as_ref().is_none_or(|giver| giver.is_settled()));
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (1..5u16).prop_map(Event::Sends),
        6 => Just(Event::Gives),
        6 => Just(Event::Takes),
        2 => (1..5u16).prop_map(Event::Ends),
    ];
    prop::collection::vec(event, 0..120)
}

fn flows() -> impl Strategy<Value = HashSet<u16>> {
    prop::collection::hash_set(1..5u16, 0..4)
}

proptest! {
    #[test]
    fn each_datagram_is_served_once_and_in_order(flows in flows(), events in events()) {
        let mut world = World::new(flows, usize::MAX);
        events.into_iter().for_each(|event| world.happen(event));
        world.check();
        assert_eq!(world.dropped.len(), 0, "there was room for all");
    }

    #[test]
    fn a_full_channel_drops_and_repeats_nothing(flows in flows(), events in events(), room in 1..4usize) {
        let mut world = World::new(flows, room);
        events.into_iter().for_each(|event| world.happen(event));
        world.check();
    }

    #[test]
    fn a_death_loses_only_what_was_on_its_way_there(
        flows in flows(), before in events(), after in events(), room in 1..9usize,
    ) {
        let mut world = World::new(flows, room);
        before.into_iter().for_each(|event| world.happen(event));
        let lost = world.dropped.len() + world.to_giver.len();
        world.happen(Event::Dies);
        after.into_iter().for_each(|event| world.happen(event));
        world.check();
        assert!(world.dropped.len() <= lost, "nothing is lost later");
    }
}

/// Without this the properties would hold for want of occasion.
#[test]
fn what_is_passed_too_late_comes_back_before_what_came_later() {
    let mut world = World::new(HashSet::from([1]), usize::MAX);
    for event in [Event::Takes, Event::Takes, Event::Takes, Event::Sends(1), Event::Ends(1), Event::Sends(1)]
    {
        world.happen(event);
    }
    assert_eq!(world.to_giver.len(), 2, "both were passed");
    world.happen(Event::Takes);
    world.happen(Event::Sends(1));
    assert_eq!(world.taker.route(&key(1)), Route::Held);
    assert!(world.served.is_empty());
    world.check();
    assert_eq!(world.served, [1, 2, 3].map(|number| Datagram { client: 1, number }));
}

#[test]
fn what_is_not_agreed_on_ends_the_channel() {
    let mut giver = Giver::new([key(1)]);
    assert!(giver.hear(Kind::Release, vec![key(1)]).is_err(), "the flow has not ended");
    assert!(giver.hear(Kind::Ended, vec![]).is_err(), "only the other side says so");
    let mut taker = Taker::default();
    assert!(taker.hear(Kind::Ended, vec![key(1)]).is_err(), "no such flow was told of");
    taker.hear(Kind::Keys, vec![key(1)]).unwrap();
    assert!(taker.hear(Kind::Released, vec![key(1)]).is_err(), "the flow has not ended");
    taker.hear(Kind::Told, vec![]).unwrap();
    assert!(taker.hear(Kind::Keys, vec![key(2)]).is_err(), "all was told");
    assert!(taker.hear(Kind::Release, vec![]).is_err(), "only this side says so");
}

#[test]
fn what_is_held_is_bounded() {
    let mut taker = Taker::default();
    taker.hear(Kind::Keys, vec![key(1)]).unwrap();
    taker.hear(Kind::Ended, vec![key(1)]).unwrap();
    let long = vec![0; 60_000];
    let held = (0..100).filter(|_| taker.hold(key(1), Train::new(long.len(), None), &long)).count();
    assert_eq!(held, (1 << 20) / 60_000);
    taker.hear(Kind::Released, vec![key(1)]).unwrap();
    assert_eq!(taker.take_free().len(), held);
    let short = (0..1000).filter(|_| taker.hold(key(1), Train::new(1, None), &[0])).count();
    assert_eq!(short, 256);
}
