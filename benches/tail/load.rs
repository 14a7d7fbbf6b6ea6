use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};

use crate::{client::Client, origin, schedule::Request, support::Outcome, timer::Timer};

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of one request.
#[derive(Debug)]
pub(crate) struct Sample {
    /// From the start of the run on.
    pub(crate) due: Duration,
    /// From the moment when it was due to the last byte of the answer.
    pub(crate) latency: Duration,
    /// How long after that moment the generator turned to it.
    pub(crate) late: Duration,
    pub(crate) result: Result<(), Fault>,
}

/// Why an answer is no good.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum Fault {
    #[error("status {0}")]
    Status(u16),
    #[error("a wrong body")]
    Body,
    #[error("no answer")]
    Timeout,
    #[error("{0}")]
    Connection(String),
}

/// Sends each of the requests to `target` when it is due, whatever became of the others.
pub(crate) fn drive(
    target: SocketAddr,
    requests: Vec<Request>,
    start: Instant,
    timer: &Timer,
) -> Outcome<Vec<Sample>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Arc::new(Client::new(target));
        let mut tasks = JoinSet::new();
        for request in requests {
            timer.sleep_until(start + request.due).await?;
            tasks.spawn(sample(Arc::clone(&client), request, start));
        }
        Ok(tasks.join_all().await)
    })
}

async fn sample(client: Arc<Client>, request: Request, start: Instant) -> Sample {
    let due = start + request.due;
    let late = due.elapsed();
    let result = timeout(PATIENCE, ask(&client, request)).await.unwrap_or(Err(Fault::Timeout));
    Sample { due: request.due, latency: due.elapsed(), late, result }
}

async fn ask(client: &Client, request: Request) -> Result<(), Fault> {
    let path = origin::path(request.number, request.cost);
    let answer = client.get(&path).await.map_err(|error| Fault::Connection(error.to_string()))?;
    match answer.status {
        200 if answer.body == origin::body(request.number).as_bytes() => Ok(()),
        200 => Err(Fault::Body),
        status => Err(Fault::Status(status)),
    }
}
