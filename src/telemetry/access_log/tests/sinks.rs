//! Lines on their way to syslog and the journal.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::*;

fn syslog(address: &str) -> AccessSpec {
    spec(&format!("{{ to: syslog, syslog: {{ address: '{address}', tag: edge }}, format: '{{target}}' }}"))
}

fn bind(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn received(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Whether it is a message of syslog for this line.
fn assert_is_message(text: &str, line: &str) {
    let parts: Vec<_> = text.splitn(8, ' ').collect();
    let process = std::process::id().to_string();
    let [priority, time, _, tag, pid, kind, data, message] = parts[..] else { panic!("{text}") };
    assert_eq!((priority, tag, pid, kind, data, message), ("<190>1", "edge", &*process, "access", "-", line));
    assert!(humantime::parse_rfc3339(time).is_ok(), "{text}");
}

#[test]
fn syslog_gets_a_datagram_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let server = bind(&path);
    let log = AccessLog::open(&syslog(&format!("unix:{}", path.display()))).unwrap();
    ["/1", "/2"].iter().for_each(|target| write(&log, &line(target)));
    assert_is_message(&received(&server), "/1");
    assert_is_message(&received(&server), "/2");

    let server = UdpSocket::bind("127.83.1.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let log = AccessLog::open(&syslog(&format!("udp://{}", server.local_addr().unwrap()))).unwrap();
    write(&log, &line("/3"));
    let mut buffer = [0; 4096];
    let length = server.recv(&mut buffer).unwrap();
    assert_is_message(std::str::from_utf8(&buffer[..length]).unwrap(), "/3");
}

#[test]
fn a_server_that_comes_late_or_goes_costs_only_what_was_said_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = AccessLog::open(&syslog(&format!("unix:{}", path.display()))).unwrap();
    write(&log, &line("/to-nobody"));
    log.settle(PATIENCE);
    assert_eq!(log.counts().failed, 1);
    let server = bind(&path);
    write(&log, &line("/1"));
    assert_is_message(&received(&server), "/1");
    drop(server);
    std::fs::remove_file(&path).unwrap();
    write(&log, &line("/to-nobody"));
    log.settle(PATIENCE);
    let server = bind(&path);
    write(&log, &line("/2"));
    assert_is_message(&received(&server), "/2");
    log.settle(PATIENCE);
    assert_eq!((log.counts().written, log.counts().failed), (2, 2));
}

/// The next message of a connection, by the length before it.
fn read_frame(stream: &mut TcpStream) -> String {
    let mut length = 0;
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        match byte[0] {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).unwrap();
    String::from_utf8(message).unwrap()
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_connection_has_lengths_before_its_lines_and_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let log = AccessLog::open(&syslog(&format!("tcp://{}", listener.local_addr().unwrap()))).unwrap();
    write(&log, &line("/1"));
    write(&log, &line("/second line"));
    let mut stream = accept(&listener);
    assert_is_message(&read_frame(&mut stream), "/1");
    assert_is_message(&read_frame(&mut stream), "/second line");
    log.settle(PATIENCE);
    drop(stream);
    // The end of the connection has to be here, or the kernel takes the line for it.
    write(&log, &line("/3"));
    let mut stream = accept(&listener);
    assert_is_message(&read_frame(&mut stream), "/3");
    log.settle(PATIENCE);
    assert_eq!((log.counts().written, log.counts().failed), (3, 0));
}

#[test]
fn nobody_to_connect_to_costs_the_lines() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let log = AccessLog::open(&syslog(&format!("tcp://{address}"))).unwrap();
    (0..10).for_each(|_| write(&log, &line("/")));
    log.settle(PATIENCE);
    assert_eq!((log.counts().written, log.counts().failed, log.counts.waiting()), (0, 10, 0));
}

#[test]
fn a_full_socket_costs_lines_and_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let server = bind(&path);
    let log = AccessLog::open(&syslog(&format!("unix:{}", path.display()))).unwrap();
    (0..2 * QUEUE).for_each(|_| write(&log, &line("/")));
    assert!(log.counts().dropped > 0);
    let waiting = log.counts.waiting();
    assert!(waiting > 0, "the socket is full");
    for _ in 0..2 * QUEUE as u64 - log.counts().dropped {
        received(&server);
    }
    log.settle(PATIENCE);
    assert_eq!(log.counts.waiting(), 0);
}

#[test]
fn the_journal_gets_fields() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let server = bind(&path);
    let form = format!(
        "{{ to: journald, journald: {{ socket: '{}' }}, fields: [status, route, cause, target] }}",
        path.display()
    );
    let log = AccessLog::open(&spec(&form)).unwrap();
    write(&log, &AccessLine { cause: Some("a\nPRIORITY=0"), ..line("/x") });
    assert_eq!(
        received(&server),
        "PRIORITY=6\nSYSLOG_IDENTIFIER=evener\nEVENER_STATUS=200\nEVENER_ROUTE=api\nEVENER_CAUSE=a\\nPRIORITY=0\n\
         MESSAGE={\"status\":200,\"route\":\"api\",\"cause\":\"a\\nPRIORITY=0\",\"target\":\"/x\"}\n"
    );
}
