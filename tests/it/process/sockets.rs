//! Sockets that were opened before the process began.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use tokio::net::{UdpSocket, UnixStream};
use tokio::time::timeout;

use crate::support::{Client, PATIENCE};

use super::run::Running;
use super::{Place, told};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The command, in a shell that makes its standard input and output the descriptors 3 and 4 and then becomes the process.
fn handed(place: &Place, sockets: [Option<OwnedFd>; 2], variables: &str) -> Command {
    let script = format!("exec 3<&0 4<&1 0</dev/null 1>/dev/null; {variables} exec \"$0\" run -c edge.yaml");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_evener")]).current_dir(place.path());
    let [first, second] = sockets.map(|socket| socket.map_or_else(Stdio::null, Stdio::from));
    command.stdin(first).stdout(second);
    command
}

async fn serving(config: &str, sockets: [Option<OwnedFd>; 2], variables: &str) -> Running {
    let place = Place::with(config);
    let command = handed(&place, sockets, variables);
    Running::launch(place, command, 1).await
}

fn config(binds: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: [{binds}] }} }}
routes: [{{ respond: {{}} }}]
log: {{ access: {{ format: off }} }}
"
    )
}

fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The flags of a descriptor of the process, as the kernel has them.
fn flags(running: &Running, descriptor: u32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{}/fdinfo/{descriptor}", running.id())).unwrap();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    i32::from_str_radix(flags.trim(), 8).unwrap()
}

#[tokio::test]
async fn sockets_that_are_open_are_used_for_the_listeners_at_their_addresses() {
    let (listener, address) = tcp();
    let place = Place::with(&config(&format!("'{address}', 'unix:edge.sock', '127.0.0.1:0'")));
    let path = place.path().join("edge.sock");
    let unix = UnixListener::bind(&path).unwrap();
    // The test keeps both bound, so that nobody else can bind their addresses.
    let sockets = [listener.try_clone().unwrap().into(), unix.try_clone().unwrap().into()].map(Some);
    let variables = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:local";
    let command = handed(&place, sockets, variables);
    let running = Running::launch(place, command, 1).await;
    let mut client = Client::connect(address).await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
    let mut client = Client::over(UnixStream::connect(&path).await.unwrap());
    client.send(GET).await;
    assert_eq!(client.response().await.status, 200);
    // A child gets neither, and no wait for a client blocks a thread.
    let wanted = nix::libc::O_CLOEXEC | nix::libc::O_NONBLOCK;
    for descriptor in [3, 4] {
        assert_eq!(flags(&running, descriptor) & wanted, wanted);
    }
}

#[tokio::test]
async fn clients_wait_while_a_process_is_started_again() {
    let (listener, address) = tcp();
    let config = config(&format!("'{address}'"));
    let sockets = || [Some(OwnedFd::from(listener.try_clone().unwrap())), None];
    let variables = "LISTEN_PID=$$ LISTEN_FDS=1";
    let mut first = serving(&config, sockets(), variables).await;
    first.signal(Signal::TERM);
    assert_eq!(first.exit_code().await, Some(0));
    let mut client = Client::connect(address).await;
    client.send(GET).await;
    let _second = serving(&config, sockets(), variables).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn datagrams_come_to_all_sockets_of_an_address() {
    let shared = |address: SocketAddr| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket
    };
    let first = shared("127.0.0.1:0".parse().unwrap());
    let address = first.local_addr().unwrap().as_socket().unwrap();
    let second = shared(address);
    let endpoint = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = format!(
        "server: {{ threads: 1 }}
listeners: {{ dns: {{ bind: '{address}', udp: {{ pool: app }} }}, web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ respond: {{}} }}]
log: {{ access: {{ format: off }} }}
",
        endpoint.local_addr().unwrap()
    );
    let sockets = [Some(first.into()), Some(second.into())];
    let _running = serving(&config, sockets, "LISTEN_PID=$$ LISTEN_FDS=2").await;
    // Each client is one socket's; of so many, both have some.
    for number in 0..16_u8 {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(&[number], address).await.unwrap();
        let mut buffer = [0; 8];
        let (length, from) =
            timeout(PATIENCE, endpoint.recv_from(&mut buffer)).await.expect("in time").unwrap();
        assert_eq!(buffer[..length], [number]);
        endpoint.send_to(b"answer", from).await.unwrap();
        let (length, from) =
            timeout(PATIENCE, client.recv_from(&mut buffer)).await.expect("in time").unwrap();
        assert_eq!((&buffer[..length], from), (&b"answer"[..], address));
    }
}

#[tokio::test]
async fn what_no_listener_wants_is_closed_and_told() {
    let (spare, address) = tcp();
    let sockets = [Some(spare.try_clone().unwrap().into()), None];
    let running =
        serving(&config("'127.0.0.1:0'"), sockets, "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=spare").await;
    running
        .tells(&format!(
            "descriptor 3 `spare` at {address} was handed over, but no listener is bound to its address; it is closed"
        ))
        .await;
    running.tells("descriptor 4 was handed over, but it is no socket; it is closed").await;
    drop(spare);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

fn fails(config: &str, sockets: [Option<OwnedFd>; 2], variables: &str) -> String {
    let place = Place::with(config);
    let (code, _, err) = told(&handed(&place, sockets, variables).stderr(Stdio::piped()).output().unwrap());
    assert_eq!(code, 1, "{err}");
    err
}

#[test]
fn variables_for_another_process_mean_nothing() {
    let (listener, address) = tcp();
    for variables in ["LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_FDS=1", ""] {
        let sockets = [Some(listener.try_clone().unwrap().into()), None];
        let err = fails(&config(&format!("'{address}'")), sockets, variables);
        let expected = format!(
            "evener: listener `web` cannot listen on {address}: the address is in use by another process or listener\n"
        );
        assert_eq!(err, expected);
    }
}

#[test]
fn descriptors_that_are_not_there_fail_the_start() {
    let expected =
        "evener: the sockets that were handed over cannot be used: LISTEN_FDS says 60, but descriptor";
    let err = fails(&config("'127.0.0.1:0'"), [None, None], "LISTEN_PID=$$ LISTEN_FDS=60");
    assert!(err.starts_with(expected) && err.ends_with(" is not open\n"), "{err}");
    let err = fails(&config("'127.0.0.1:0'"), [None, None], "LISTEN_PID=$$ LISTEN_FDS=x");
    assert!(err.contains("LISTEN_FDS is not the number of descriptors"), "{err}");
}

#[test]
fn a_socket_for_both_families_fails_the_start() {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let err =
        fails(&config(&format!("'[::]:{port}'")), [Some(socket.into()), None], "LISTEN_PID=$$ LISTEN_FDS=1");
    assert!(
        err.contains(&format!(
            "descriptor 3 at [::]:{port} was handed over for clients of IPv4 and IPv6 alike"
        )),
        "{err}"
    );
    assert!(err.contains("BindIPv6Only=ipv6-only"), "{err}");
}
