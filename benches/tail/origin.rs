use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{message::body_start, request::BODY, stage::Stage, timer::Timer, wire::Wire};

/// Requests that an origin works on at once; further ones wait, the oldest first.
const AT_ONCE: usize = 16;

/// An HTTP/1.1 server that answers when its script says so.
#[derive(Debug)]
pub(crate) struct Origin {
    index: usize,
    slots: Semaphore,
    stage: Arc<Stage>,
    timer: Timer,
}

/// The path that asks for `cost` of work; the number makes each answer one of its own.
pub(crate) fn path(number: u32, cost: Duration) -> String {
    format!("/{number}/{}", cost.as_nanos())
}

/// The right answer to a request.
pub(crate) fn body(number: u32) -> String {
    format!("{number}: {BODY}")
}

impl Origin {
    pub(crate) fn new(index: usize, stage: Arc<Stage>, timer: Timer) -> Self {
        Self { index, slots: Semaphore::new(AT_ONCE), stage, timer }
    }

    /// Serves all connections of `listener` until the task is dropped.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            self.stage.connected();
            let origin = Arc::clone(&self);
            // That a connection breaks shows at the balancer, whose answers are checked.
            tokio::spawn(async move { origin.serve(stream).await });
        }
    }

    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut wire = Wire::new(stream)?;
        while let Some(head) = wire.receive(|message| Ok(body_start(message))).await? {
            let Some((number, cost)) = asked(&head) else {
                return wire.send(&answer(400, "not a request of this bench")).await;
            };
            let status = self.work(cost).await?;
            wire.send(&answer(status, &body(number))).await?;
        }
        Ok(())
    }

    /// Works on a request even if nobody waits for it any more, as most servers do.
    async fn work(&self, cost: Duration) -> io::Result<u16> {
        self.stage.arrived(self.index);
        let _slot = self.slots.acquire().await.map_err(io::Error::other)?;
        let (due, status) = self.stage.begin(self.index, cost);
        self.timer.sleep_until(due).await?;
        self.stage.answered(due);
        Ok(status)
    }
}

/// The number and the cost out of a request for such a path.
fn asked(head: &[u8]) -> Option<(u32, Duration)> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let (number, cost) = line.strip_prefix("GET /")?.strip_suffix(" HTTP/1.1")?.split_once('/')?;
    Some((number.parse().ok()?, Duration::from_nanos(cost.parse().ok()?)))
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let reason = if status == 200 { "OK" } else { "Failed" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
