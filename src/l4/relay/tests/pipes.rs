use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::Pipes;

#[test]
fn bytes_go_through() {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"hello").unwrap();
    let pipes = Pipes::new(1);
    let mut pipe = pipes.lend().unwrap();
    assert_eq!(pipe.fill(&far).unwrap(), 5);
    assert_eq!(pipe.filled(), 5);
    assert_eq!(pipe.drain(&far).unwrap(), 5);
    assert_eq!(pipe.filled(), 0);
    let mut back = [0; 5];
    near.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}

#[test]
fn no_more_are_lent_than_may_exist() {
    let pipes = Pipes::new(2);
    let (first, _second) = (pipes.lend().unwrap(), pipes.lend().unwrap());
    assert!(pipes.lend().is_none());
    drop(first);
    assert_eq!((pipes.lent(), pipes.open()), (1, 2));
    assert!(pipes.lend().is_some());
    assert_eq!(pipes.open(), 2);
}

#[test]
fn one_that_still_holds_bytes_is_not_lent_again() {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"hello").unwrap();
    let pipes = Pipes::new(1);
    let mut pipe = pipes.lend().unwrap();
    pipe.fill(&far).unwrap();
    drop(pipe);
    assert_eq!((pipes.lent(), pipes.open()), (0, 0));
    assert_eq!(pipes.lend().unwrap().filled(), 0);
}
