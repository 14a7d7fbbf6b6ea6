use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use memchr::memmem;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::{Error, ErrorType, Result};
use tokio::net::UdpSocket;

use crate::config::spec::{UdpCheckSpec, show_payload};

use super::failure::{PORT_UNREACHABLE, unhealthy};

/// Datagrams get lost, and one lost datagram tells nothing of an endpoint.
const TRIES: u32 = 3;

/// UDP has 16 bits for a datagram's length.
const LONGEST_DATAGRAM: usize = 65_535;

/// A datagram that has to be answered, on a socket of its own for each probe, so that no answer comes too late for one
/// and counts for the next.
pub(super) struct UdpCheck {
    spec: UdpCheckSpec,
    timeout: Duration,
}

impl UdpCheck {
    /// A check whose probes are given up after `timeout` by whoever runs them.
    pub(super) fn new(spec: UdpCheckSpec, timeout: Duration) -> Self {
        Self { spec, timeout }
    }

    pub(super) async fn ask(&self, target: &PingoraAddr) -> Result<String> {
        let Some(target) = target.as_inet() else {
            return Err(unhealthy("UDP does not reach a Unix socket"));
        };
        let answer = self.exchange(*target).await.map_err(failure)?;
        self.judge(&answer)
    }

    async fn exchange(&self, target: SocketAddr) -> io::Result<Vec<u8>> {
        let socket = connected(target).await?;
        let mut answer = vec![0; LONGEST_DATAGRAM];
        tokio::select! {
            Err(error) = self.keep_sending(&socket) => return Err(error),
            received = socket.recv(&mut answer) => answer.truncate(received?),
        }
        Ok(answer)
    }

    /// Sends the datagram until the tries are used up, evenly over the time that there is.
    async fn keep_sending(&self, socket: &UdpSocket) -> io::Result<Infallible> {
        for _ in 0..TRIES {
            socket.send(self.spec.send.as_bytes()).await?;
            tokio::time::sleep(self.timeout / TRIES).await;
        }
        std::future::pending().await
    }

    fn judge(&self, answer: &[u8]) -> Result<String> {
        let answered = match answer {
            [] => "answered with an empty datagram".to_owned(),
            _ => format!("answered with {}", show_payload(answer)),
        };
        match &self.spec.expect {
            Some(expected) if memmem::find(answer, expected.as_bytes()).is_none() => {
                let expected = show_payload(expected.as_bytes());
                Err(unhealthy(format!("{answered}, which does not contain {expected}")))
            }
            _ => Ok(answered),
        }
    }
}

/// A socket that hears of nobody but `target`, and also what ICMP reports of it.
async fn connected(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    Ok(socket)
}

fn failure(error: io::Error) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => PORT_UNREACHABLE,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ErrorType::ConnectNoRoute,
        _ => ErrorType::SocketError,
    };
    Error::because(kind, "during a probe by UDP", error)
}

#[cfg(test)]
mod tests {
    use crate::pools::health::failure::reason;

    use super::*;

    /// An endpoint, what it is sent, and the probe's result.
    struct Probed {
        seen: Vec<Vec<u8>>,
        told: Result<String, String>,
    }

    fn check(keys: &str) -> UdpCheck {
        UdpCheck::new(serde_yaml::from_str(keys).unwrap(), Duration::from_secs(30))
    }

    /// Probes an endpoint at `bind` that answers the datagram after the first `lost` ones.
    async fn probed(bind: &str, keys: &str, lost: usize, answer: &[u8]) -> Probed {
        let endpoint = UdpSocket::bind(bind).await.unwrap();
        let target = PingoraAddr::Inet(endpoint.local_addr().unwrap());
        let check = check(keys);
        let mut seen = Vec::new();
        let serve = async {
            let mut datagram = [0; 2048];
            loop {
                let (length, from) = endpoint.recv_from(&mut datagram).await.unwrap();
                seen.push(datagram[..length].to_vec());
                if seen.len() > lost {
                    endpoint.send_to(answer, from).await.unwrap();
                }
            }
        };
        let told = tokio::select! {
            told = tokio::time::timeout(check.timeout, check.ask(&target)) => told.unwrap(),
            () = serve => unreachable!("it serves on"),
        };
        Probed { seen, told: told.map_err(|error| reason(&error)) }
    }

    const LOCAL: &str = "127.0.0.1:0";

    #[tokio::test]
    async fn the_bytes_are_sent_and_any_answer_is_good_by_default() {
        let probed = probed(LOCAL, "send: { hex: ff ff 00 }", 0, b"\xff\xff\0stats").await;
        assert_eq!(probed.seen, [[0xff, 0xff, 0]]);
        assert_eq!(probed.told, Ok("answered with `ff ff 00 73 74 61 74 73`".to_owned()));
        let empty = self::probed("[::1]:0", "send: PING", 0, b"").await;
        assert_eq!(empty.told, Ok("answered with an empty datagram".to_owned()));
    }

    #[tokio::test]
    async fn the_answer_has_to_contain_what_is_expected() {
        let keys = "{ send: PING, expect: PONG }";
        let good = probed(LOCAL, keys, 0, b"+PONG\r\n").await;
        assert_eq!(good.told, Ok(r"answered with `+PONG\r\n`".to_owned()));
        let wrong = probed(LOCAL, keys, 0, b"-LOADING\r\n").await;
        let reason = r"answered with `-LOADING\r\n`, which does not contain `PONG`";
        assert_eq!(wrong.told, Err(reason.to_owned()));
        let long =
            probed(LOCAL, "{ send: { hex: 1234 }, expect: { hex: 1234 8180 } }", 0, &[0x12; 9000]).await;
        let reason = format!("answered with `{}12…`, which does not contain `12 34 81 80`", "12 ".repeat(23));
        assert_eq!(long.told, Err(reason));
    }

    #[tokio::test(start_paused = true)]
    async fn a_datagram_that_got_lost_is_forgiven() {
        let probed = probed(LOCAL, "send: PING", 2, b"PONG").await;
        assert_eq!((probed.seen.len(), probed.told.is_ok()), (3, true));
    }

    #[tokio::test(start_paused = true)]
    async fn three_are_sent_while_nobody_answers() {
        let endpoint = UdpSocket::bind(LOCAL).await.unwrap();
        let target = PingoraAddr::Inet(endpoint.local_addr().unwrap());
        let check = check("send: PING");
        assert!(tokio::time::timeout(check.timeout, check.ask(&target)).await.is_err());
        let mut datagram = [0; 16];
        for _ in 0..3 {
            assert_eq!(endpoint.recv(&mut datagram).await.unwrap(), 4);
        }
        assert!(endpoint.try_recv(&mut datagram).is_err());
    }

    #[tokio::test]
    async fn a_closed_port_fails_the_probe_at_once() {
        // Bound, so that nobody else gets the port, and deaf to all but itself.
        let closed = UdpSocket::bind(LOCAL).await.unwrap();
        let address = closed.local_addr().unwrap();
        closed.connect(address).await.unwrap();
        let begun = tokio::time::Instant::now();
        let check = check("send: PING");
        let error = check.ask(&PingoraAddr::Inet(address)).await.unwrap_err();
        assert_eq!(reason(&error), "the port is closed (ICMP: port unreachable)");
        assert!(begun.elapsed() < check.timeout / TRIES, "it was sent once");
    }
}
