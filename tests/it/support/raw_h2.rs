use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Edge, PATIENCE};

/// A client of HTTP/2 that sends exactly the frames that it is told to, whether HTTP/2 allows them or not.
pub struct RawH2 {
    stream: TcpStream,
    read: Vec<u8>,
}

/// A frame as it stands on the wire (RFC 9113 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a frame that ends a stream or the connection.
    pub fn code(&self) -> Option<u32> {
        let code = match self.kind {
            RST_STREAM => &self.payload[..4],
            GOAWAY => &self.payload[4..8],
            _ => return None,
        };
        Some(u32::from_be_bytes(code.try_into().unwrap()))
    }
}

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

pub const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

pub const NO_ERROR: u32 = 0x0;
pub const PROTOCOL_ERROR: u32 = 0x1;
pub const FLOW_CONTROL_ERROR: u32 = 0x3;
pub const FRAME_SIZE_ERROR: u32 = 0x6;
pub const REFUSED_STREAM: u32 = 0x7;
pub const CANCEL: u32 = 0x8;
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The most that a window may be opened.
pub const WINDOW: u32 = (1 << 31) - 1;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The header block of `GET / HTTP/2` for a host, followed by more fields.
pub fn get_block(more: &[(&str, &str)]) -> Vec<u8> {
    // RFC 7541 appendix A: ":method: GET", ":path: /", ":scheme: http"; then ":authority" with a value of its own.
    let mut block = vec![0x82, 0x84, 0x86, 0x01];
    put_string(&mut block, "example.com");
    for (name, value) in more {
        block.push(0x00);
        put_string(&mut block, name);
        put_string(&mut block, value);
    }
    block
}

/// RFC 7541 §5.2, without Huffman's code.
fn put_string(block: &mut Vec<u8>, text: &str) {
    put_length(block, 0x00, 7, text.len());
    block.extend(text.as_bytes());
}

/// RFC 7541 §5.1: an integer with a prefix of so many bits.
pub fn put_length(block: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        block.push(first | u8::try_from(value).unwrap());
        return;
    }
    block.push(first | u8::try_from(most).unwrap());
    let mut rest = value - most;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// A whole GET request.
pub fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, get_block(&[]))
}

/// The beginning of a POST request whose body follows.
pub fn post(stream: u32) -> Vec<u8> {
    let mut block = get_block(&[]);
    block[0] = 0x83;
    frame(HEADERS, END_HEADERS, stream, block)
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, code.to_be_bytes())
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

impl RawH2 {
    /// Connects and greets with the default settings.
    pub async fn connect(edge: &Edge) -> Self {
        Self::connect_with(edge, &[]).await
    }

    /// Connects and greets with these settings.
    pub async fn connect_with(edge: &Edge, settings: &[(u16, u32)]) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(edge.address())).await.expect("connects").unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream, read: Vec::new() };
        let settings = settings
            .iter()
            .flat_map(|(name, value)| name.to_be_bytes().into_iter().chain(value.to_be_bytes()));
        let greeting = frame(SETTINGS, 0, 0, settings.collect::<Vec<_>>());
        client.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), greeting].concat()).await;
        client
    }

    /// Sends bytes; false when the edge takes none any more.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.expect("is taken in time").is_ok()
    }

    /// The next frame; `None` at the end of the connection, however it ends.
    pub async fn next(&mut self) -> Option<Frame> {
        let head = self.peek(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let bytes = self.peek(9 + length).await?.to_vec();
        self.read.drain(..bytes.len());
        let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
        Some(Frame { kind: bytes[3], flags: bytes[4], stream, payload: bytes[9..].to_vec() })
    }

    /// The next frame of that kind; those before it are dropped.
    pub async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("ends without a frame of kind {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads to the end of the connection; the code that it said goodbye with.
    pub async fn goodbye(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = frame.code();
            }
        }
        code
    }

    async fn peek(&mut self, count: usize) -> Option<&[u8]> {
        while self.read.len() < count {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            if read.expect("something comes in time").unwrap_or(0) == 0 {
                return None;
            }
        }
        Some(&self.read[..count])
    }
}
