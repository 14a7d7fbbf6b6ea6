use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq)]
struct Value(u32, usize);

impl Weigh for Value {
    fn weight(&self) -> usize {
        self.1
    }
}

/// Spreads small numbers over the shards.
fn key(number: u64) -> u128 {
    u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)
}

fn put(memory: &S3Fifo<Value>, number: u64, weight: usize) -> bool {
    memory.insert(key(number), Arc::new(Value(0, weight)))
}

fn has(memory: &S3Fifo<Value>, number: u64) -> bool {
    memory.get(key(number)).is_some()
}

#[test]
fn what_is_asked_for_outlives_what_is_not() {
    let memory = S3Fifo::new(1000);
    for number in 0..5 {
        put(&memory, number, 100);
        assert!(has(&memory, number) && has(&memory, number));
    }
    for number in 100..200 {
        put(&memory, number, 100);
    }
    assert!((0..5).all(|number| has(&memory, number)), "a scan does not drive out what is in use");
    assert_eq!((memory.len(), memory.bytes()), (10, 1000));
}

#[test]
fn what_comes_back_soon_stays_longer() {
    let memory = S3Fifo::new(1000);
    for number in 0..11 {
        put(&memory, number, 100);
    }
    assert!(!has(&memory, 0));
    put(&memory, 0, 100);
    for number in 20..60 {
        put(&memory, number, 100);
    }
    assert!(has(&memory, 0));
}

#[test]
fn what_takes_half_of_all_room_is_not_kept() {
    let memory = S3Fifo::new(1000);
    assert!(put(&memory, 1, 500));
    assert!(!put(&memory, 1, 501), "nor is what it was to replace");
    assert_eq!((memory.len(), memory.bytes()), (0, 0));
}

#[test]
fn many_shards_keep_to_one_budget() {
    let memory = S3Fifo::new(8 << 20);
    for number in 0..1000 {
        put(&memory, number, 60_000);
        assert!(memory.bytes() <= 8 << 20);
    }
    assert!(memory.len() > 130, "{}", memory.len());
}

#[test]
fn only_what_is_meant_is_replaced() {
    let memory = S3Fifo::new(1000);
    assert!(memory.insert_if_due(1, Arc::new(Value(1, 10)), || true));
    assert!(!memory.insert_if_due(1, Arc::new(Value(2, 10)), || false));
    assert!(!memory.replace(1, |value| value.0 == 2, Arc::new(Value(3, 10))));
    assert!(memory.replace(1, |value| value.0 == 1, Arc::new(Value(3, 20))));
    assert!(!memory.replace(2, |_| true, Arc::new(Value(3, 10))));
    assert_eq!((memory.get(1), memory.bytes()), (Some(Arc::new(Value(3, 20))), 20));
}

#[test]
fn places_of_what_is_gone_do_not_pile_up() {
    let memory = S3Fifo::new(1000);
    for number in 0..100_000 {
        put(&memory, number, 10);
        memory.remove(key(number));
    }
    assert_eq!((memory.len(), memory.bytes()), (0, 0));
    assert!(format!("{memory:?}").len() < 10_000);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u32, usize),
    Get(u64),
    Remove(u64),
    RemoveOdd,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..60u64, any::<u32>(), 1..400usize).prop_map(|(key, value, weight)| Step::Insert(key, value, weight)),
        4 => (0..60u64).prop_map(Step::Get),
        1 => (0..60u64).prop_map(Step::Remove),
        1 => Just(Step::RemoveOdd),
    ]
}

proptest! {
    /// Whatever is done: what is found is what was put there last, the bytes are those of what is there, and within the
    /// budget.
    #[test]
    fn it_is_a_map_that_forgets(steps in proptest::collection::vec(step(), 1..400)) {
        let memory = S3Fifo::new(2000);
        let mut model: HashMap<u64, (u32, usize)> = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(number, value, weight) => {
                    if memory.insert(key(number), Arc::new(Value(value, weight))) {
                        model.insert(number, (value, weight));
                    } else {
                        model.remove(&number);
                    }
                }
                Step::Get(number) => {
                    let found = memory.get(key(number));
                    let known = model.get(&number).copied();
                    if let Some(found) = found {
                        prop_assert_eq!(Some((found.0, found.1)), known);
                    }
                }
                Step::Remove(number) => {
                    memory.remove(key(number));
                    model.remove(&number);
                }
                Step::RemoveOdd => {
                    memory.remove_if(|value| value.0 % 2 == 1);
                    model.retain(|_, (value, _)| *value % 2 == 0);
                }
            }
            model.retain(|number, _| memory.get(key(*number)).is_some());
            prop_assert_eq!(memory.len(), model.len());
            prop_assert_eq!(memory.bytes(), model.values().map(|(_, weight)| weight).sum::<usize>());
            prop_assert!(memory.bytes() <= 2000);
        }
    }
}
