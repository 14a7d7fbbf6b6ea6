use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::stores::redis::resp::read_reply;
use crate::types::RedisAddr;

/// Somebody who speaks as Redis does, with a test in its place.
struct Fake {
    listener: TcpListener,
    address: SocketAddr,
}

/// One connection to it.
struct Peer {
    stream: TcpStream,
    input: BytesMut,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    fn client(&self, timeout: u64) -> Redis {
        Redis::new(settings(self.address, timeout), Instant::now())
    }

    async fn accept(&self) -> Peer {
        Peer { stream: self.listener.accept().await.unwrap().0, input: BytesMut::new() }
    }
}

impl Peer {
    /// The next command; `None` when nobody will send another one.
    async fn command(&mut self) -> Option<Vec<String>> {
        loop {
            if let Some((Reply::List(parts), length)) = read_reply(&self.input).unwrap() {
                let _ = self.input.split_to(length);
                return Some(parts.into_iter().map(text).collect());
            }
            if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn say(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
    }
}

fn text(reply: Reply) -> String {
    match reply {
        Reply::Text(text) => String::from_utf8(text.into()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn settings(address: SocketAddr, timeout: u64) -> RedisSettings {
    RedisSettings {
        name: "limits".to_owned(),
        address: RedisAddr::Tcp {
            host: address.ip().to_string(),
            port: address.port(),
            database: 0,
            is_tls: false,
        },
        tls: None,
        user: None,
        password: None,
        timeout: Duration::from_millis(timeout),
        connections: 1,
    }
}

async fn run(redis: &Redis) -> Result<Reply, StoreError> {
    redis.run(&Script::new("return 1"), b"key", &[b"7"], Some).await
}

const LONG: u64 = 10_000;

#[tokio::test]
async fn a_script_is_sent_once_and_called_by_its_name_after() {
    let fake = Fake::start().await;
    let redis = fake.client(LONG);
    let serve = async {
        let mut peer = fake.accept().await;
        let called = peer.command().await.unwrap();
        assert_eq!(called, ["EVALSHA", Script::new("return 1").name(), "1", "key", "7"]);
        peer.say("-NOSCRIPT No matching script.\r\n").await;
        assert_eq!(peer.command().await.unwrap(), ["EVAL", "return 1", "1", "key", "7"]);
        peer.say(":1\r\n").await;
        assert_eq!(peer.command().await.unwrap()[0], "EVALSHA");
        peer.say("-OOM command not allowed\r\n").await;
    };
    let ask = async {
        assert_eq!(run(&redis).await, Ok(Reply::Number(1)));
        assert_eq!(run(&redis).await, Err(StoreError::Refused("OOM command not allowed".into())));
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_connection_begins_with_password_and_database() {
    let fake = Fake::start().await;
    let mut settings = settings(fake.address, LONG);
    settings.user = Some("edge".to_owned());
    settings.password = Some(b"hunter2".as_slice().into());
    let RedisAddr::Tcp { database, .. } = &mut settings.address else { unreachable!() };
    *database = 3;
    assert!(!format!("{settings:?}").contains("hunter2"));
    let redis = Redis::new(settings, Instant::now());
    let serve = async {
        let mut peer = fake.accept().await;
        assert_eq!(peer.command().await.unwrap(), ["AUTH", "edge", "hunter2"]);
        assert_eq!(peer.command().await.unwrap(), ["SELECT", "3"]);
        peer.say("+OK\r\n+OK\r\n").await;
        assert_eq!(peer.command().await.unwrap()[0], "EVALSHA");
        peer.say("$-1\r\n").await;
    };
    let (answer, ()) = tokio::join!(run(&redis), serve);
    assert_eq!(answer, Ok(Reply::Nothing));
}

#[tokio::test]
async fn many_share_a_connection_and_each_gets_its_own_reply() {
    let fake = Fake::start().await;
    let redis = Arc::new(fake.client(LONG));
    let asking: Vec<_> = (0..1000_i64)
        .map(|number| {
            let redis = redis.clone();
            tokio::spawn(async move {
                let (script, key) = (Script::new("return 1"), number.to_string());
                let answer = redis.run(&script, key.as_bytes(), &[], Some).await;
                assert_eq!(answer, Ok(Reply::Number(number)));
            })
        })
        .collect();
    let mut peer = fake.accept().await;
    for _ in 0..1000 {
        let number = peer.command().await.unwrap()[3].clone();
        peer.say(&format!(":{number}\r\n")).await;
    }
    for asker in asking {
        asker.await.unwrap();
    }
}

#[tokio::test]
async fn a_reply_that_comes_late_is_nobody_elses() {
    let fake = Fake::start().await;
    let redis = fake.client(100);
    let serve = async {
        let mut peer = fake.accept().await;
        peer.command().await.unwrap();
        // The first asker has given up once the second command is there.
        peer.command().await.unwrap();
        peer.say(":1\r\n:2\r\n").await;
    };
    let ask = async {
        assert_eq!(run(&redis).await, Err(StoreError::Late));
        assert_eq!(run(&redis).await, Ok(Reply::Number(2)));
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_lost_connection_fails_those_who_wait_at_once_and_is_made_again() {
    let fake = Fake::start().await;
    let redis = fake.client(LONG);
    let serve = async {
        let mut peer = fake.accept().await;
        peer.command().await.unwrap();
        drop(peer);
        let mut peer = fake.accept().await;
        while peer.command().await.is_some() {
            peer.say(":1\r\n").await;
        }
    };
    let ask = async {
        assert_eq!(run(&redis).await, Err(StoreError::Lost));
        let begun = Instant::now();
        while run(&redis).await != Ok(Reply::Number(1)) {
            assert!(begun.elapsed() < Duration::from_secs(10), "it is not asked again");
            tokio::task::yield_now().await;
        }
        drop(redis);
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn who_speaks_something_else_is_not_believed() {
    let fake = Fake::start().await;
    let redis = fake.client(LONG);
    let serve = async {
        let mut peer = fake.accept().await;
        peer.command().await.unwrap();
        peer.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        assert!(peer.command().await.is_none(), "the connection is closed");
    };
    let (answer, ()) = tokio::join!(run(&redis), serve);
    assert_eq!(answer, Err(StoreError::Lost));
}

#[tokio::test]
async fn replies_that_nobody_asked_for_end_the_connection() {
    let fake = Fake::start().await;
    let redis = fake.client(LONG);
    let serve = async {
        let mut peer = fake.accept().await;
        peer.command().await.unwrap();
        peer.say(":1\r\n:2\r\n").await;
        assert!(peer.command().await.is_none(), "the connection is closed");
    };
    let (answer, ()) = tokio::join!(run(&redis), serve);
    assert_eq!(answer, Ok(Reply::Number(1)));
}

#[tokio::test]
async fn a_store_that_is_silent_is_soon_left_alone() {
    let fake = Fake::start().await;
    let redis = fake.client(5);
    let (told, mut commands) = mpsc::channel(100);
    let serve = tokio::spawn(async move {
        let mut peer = fake.accept().await;
        while peer.command().await.is_some() {
            told.try_send(()).unwrap();
        }
    });
    let mut asked = 0;
    while run(&redis).await != Err(StoreError::Resting) {
        asked += 1;
        assert!(asked <= 5, "five failures are enough");
    }
    assert_eq!(asked, 5);
    drop(redis);
    serve.await.unwrap();
    commands.close();
    let mut seen = 0;
    while commands.recv().await.is_some() {
        seen += 1;
    }
    assert!(seen <= 5, "{seen}");
}

#[tokio::test]
async fn the_connection_ends_with_the_client() {
    let fake = Fake::start().await;
    let redis = fake.client(LONG);
    let serve = async {
        let mut peer = fake.accept().await;
        peer.command().await.unwrap();
        peer.say(":1\r\n").await;
        assert!(peer.command().await.is_none());
    };
    let ask = async {
        assert_eq!(run(&redis).await, Ok(Reply::Number(1)));
        drop(redis);
    };
    tokio::join!(serve, ask);
}

/// A runtime that ends takes the tasks of those who asked in it along.
#[test]
fn who_asks_in_another_runtime_is_served_as_well() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let fake = second.block_on(Fake::start());
    let redis = Arc::new(fake.client(50));
    // Nobody has answered there, and the connection is gone.
    assert_eq!(first.block_on(run(&redis)), Err(StoreError::Late));
    drop(first);
    second.block_on(async {
        let asker = tokio::spawn(async move {
            while run(&redis).await != Ok(Reply::Number(1)) {
                tokio::task::yield_now().await;
            }
        });
        drop(fake.accept().await);
        let mut peer = fake.accept().await;
        while peer.command().await.is_some() {
            peer.say(":1\r\n").await;
        }
        asker.await.unwrap();
    });
}
