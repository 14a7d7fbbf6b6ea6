use std::io;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::hello::without_dot;

/// What a client says first, as it came. Nothing is answered: it is for whoever passes the connection on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FirstWords {
    /// All that was read: the ClientHello, and perhaps more.
    pub(crate) bytes: Vec<u8>,
    /// What the ClientHello asks for; `None` if it is none.
    pub(crate) hello: Option<Wishes>,
}

/// What a client asks for when it begins TLS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The server name (SNI), in lower case and without a closing dot. Where the client encrypts its hello, it is the
    /// name of those who can decrypt it.
    pub(crate) server_name: Option<Box<str>>,
    /// The protocols that it offers by ALPN, the best first.
    pub(crate) protocols: Vec<Vec<u8>>,
}

/// No ClientHello is longer: those with post-quantum key shares have 1.8 KiB or so.
const LONGEST: usize = 16 * 1024;
/// What is read at once.
const CHUNK: usize = 2048;

impl FirstWords {
    /// Reads until the ClientHello is complete, over however many records and packets it comes, or until it is clear
    /// that there is none. The caller keeps the deadline.
    ///
    /// A ClientHello without signature algorithms, which only clients that know nothing newer than TLS 1.1 send, counts
    /// as none: rustls reads none of it.
    ///
    /// # Errors
    /// When the connection breaks; its end is none.
    pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Self> {
        let mut acceptor = Acceptor::default();
        let mut bytes = Vec::with_capacity(CHUNK);
        let mut seen = 0;
        loop {
            bytes.reserve(CHUNK);
            let is_over = stream.read_buf(&mut bytes).await? == 0;
            if is_over || !is_handshake(&bytes) {
                return Ok(Self { bytes, hello: None });
            }
            while seen < bytes.len() {
                seen += acceptor.read_tls(&mut &bytes[seen..])?;
                match acceptor.accept() {
                    Ok(None) => {}
                    Ok(Some(accepted)) => return Ok(Self { hello: Some(Wishes::of(&accepted)), bytes }),
                    Err(_) => return Ok(Self { bytes, hello: None }),
                }
            }
            if bytes.len() >= LONGEST {
                return Ok(Self { bytes, hello: None });
            }
        }
    }
}

/// Whether the bytes may be the beginning of a handshake (RFC 8446 §5.1); rustls judges whole records only.
fn is_handshake(bytes: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const MAJOR_VERSION: u8 = 3;

    matches!(bytes, [HANDSHAKE] | [HANDSHAKE, MAJOR_VERSION, ..])
}

impl Wishes {
    fn of(accepted: &rustls::server::Accepted) -> Self {
        let hello = accepted.client_hello();
        Self {
            server_name: hello.server_name().map(|name| without_dot(name).to_ascii_lowercase().into()),
            protocols: hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use tokio::io::ReadBuf;

    use crate::tls::provider::provider;

    use super::*;

    /// What a client says that asks for `name`.
    fn hello(name: &'static str, protocols: &[&[u8]]) -> Vec<u8> {
        let config = ClientConfig::builder_with_provider(provider());
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The same message in records of `size` bytes.
    fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
        let records = hello[5..].chunks(size).map(|piece| {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[22, 3, 1][..], &length, piece].concat()
        });
        records.collect::<Vec<_>>().concat()
    }

    async fn read(pieces: &[&[u8]]) -> FirstWords {
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        FirstWords::read(&mut Packets(pieces)).await.unwrap()
    }

    /// A stream that comes in these pieces.
    struct Packets(VecDeque<Vec<u8>>);

    impl AsyncRead for Packets {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some(mut packet) = self.0.pop_front() {
                let rest = packet.split_off(packet.len().min(buffer.remaining()));
                buffer.put_slice(&packet);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn name_and_protocols_are_found_however_the_hello_is_cut() {
        let hello = hello("DB.Example.com", &[b"h2", b"acme-tls/1"]);
        assert!(hello.len() > 1200, "it has a post-quantum key share: {}", hello.len());
        let wishes = Wishes {
            server_name: Some("db.example.com".into()),
            protocols: vec![b"h2".to_vec(), b"acme-tls/1".to_vec()],
        };
        for size in [1, 100, 16_000] {
            let bytes = in_records(&hello, size);
            for packet in [1, 1000, 100_000] {
                let words = read(&bytes.chunks(packet).collect::<Vec<_>>()).await;
                assert_eq!(words.hello.as_ref(), Some(&wishes), "records of {size}, packets of {packet}");
                assert_eq!(words.bytes, bytes);
            }
        }
    }

    #[tokio::test]
    async fn what_follows_the_hello_is_kept() {
        let bytes = [hello("a.example", &[]), b"early".to_vec()].concat();
        let words = read(&[&bytes]).await;
        assert_eq!(words.hello.unwrap().protocols, Vec::<Vec<u8>>::new());
        assert_eq!(words.bytes, bytes);
    }

    #[tokio::test]
    async fn anything_else_is_known_at_once_and_kept() {
        for text in [&b"S"[..], b"SSH-2.0-x\r\n", b"\x16\x02", b"\x16\x03\x01\x00\x05hello"] {
            assert_eq!(read(&[text]).await, FirstWords { bytes: text.to_vec(), hello: None });
        }
    }

    #[tokio::test]
    async fn no_more_is_read_than_the_longest_hello_has() {
        let endless = [&[22, 3, 1, 0x3f, 0xff, 1, 0, 0xff, 0xff][..], &[0; LONGEST]].concat();
        let words = read(&[&endless]).await;
        assert_eq!(words.hello, None);
        assert!(words.bytes.len() <= LONGEST + CHUNK, "{}", words.bytes.len());
    }
}
