use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, split};
use tokio::time::{Instant, sleep, timeout};

use crate::config::spec::RetryOn;
use crate::pools::{
    Endpoint, Fault, Lease, Pool, RetryPermit, Streamed, StreamedLimits, Unanswered, is_our_own_fault,
    retry_after, send_streamed,
};
use crate::runtime::Outcome;
use crate::types::with_random;

use super::super::failure::cause_of;
use super::super::trace::NamedAttempt;
use super::relay::relay;
use super::result::{FailedAttempt, SecondAttempt, Shared, Won};

/// A request that is sent to one endpoint, and to another if the first takes long.
pub(super) struct Race {
    pub(super) pool: Arc<Pool>,
    /// Whose place in flight the request holds.
    pub(super) first: Arc<Endpoint>,
    pub(super) request: RequestHeader,
    /// When another endpoint is asked too.
    pub(super) after: Duration,
    /// Of each attempt.
    pub(super) limits: StreamedLimits,
    /// What is left of the request's total.
    pub(super) left: Option<Duration>,
    pub(super) shared: Arc<Shared>,
    /// What the second endpoint is told of its trace, where that is another thing than the first is told.
    pub(super) named: Option<NamedAttempt>,
}

/// A second attempt.
struct Second {
    lease: Lease,
    began: Instant,
    /// Until there is an answer; after that nothing multiplies.
    _permit: RetryPermit,
}

type Answered = Result<Streamed, Unanswered>;

impl Race {
    /// Runs until the answer is relayed, there is none, or nobody waits for it any more.
    pub(super) async fn run(self, pipe: DuplexStream) {
        let (mut reader, mut writer) = split(pipe);
        tokio::select! {
            biased;
            () = self.answer(&mut writer) => {}
            () = until_closed(&mut reader) => {}
        }
    }

    async fn answer(&self, writer: &mut (impl AsyncWrite + Unpin)) {
        let answered = match self.left {
            // Of the rest the total is seen to where it is relayed.
            Some(left) => timeout(left, self.first_to_answer()).await.unwrap_or_else(|_| Err(silence())),
            None => self.first_to_answer().await,
        };
        let relayed = match answered {
            Ok(answer) => relay(answer, &self.request.method, writer)
                .await
                .map_err(|error| Unanswered { error, is_connect: false }),
            Err(unanswered) => Err(unanswered),
        };
        if let Err(unanswered) = relayed {
            self.shared.fail(unanswered);
        }
    }

    /// The first good answer; where there is none, what came of the first attempt.
    async fn first_to_answer(&self) -> Answered {
        let mut first = pin!(send_streamed(&self.first, &self.request, self.limits));
        tokio::select! {
            biased;
            answered = &mut first => return answered,
            () = sleep(self.after) => {}
        }
        let Some(second) = self.begin_second() else { return first.await };
        let endpoint = second.lease.endpoint().clone();
        let request = self.second_request();
        let mut hedge = pin!(send_streamed(&endpoint, &request, self.limits));
        tokio::select! {
            biased;
            answered = &mut first => {
                if self.is_good(&answered) {
                    self.lose(&second);
                    return answered;
                }
                let failed = judge(&answered);
                let other = hedge.await;
                if !self.is_good(&other) {
                    self.fail_second(&second, &other);
                    return answered;
                }
                self.shared.change(|result| result.first_failed = Some(failed));
                self.win(second);
                other
            }
            other = &mut hedge => {
                if self.is_good(&other) {
                    self.win(second);
                    return other;
                }
                self.fail_second(&second, &other);
                first.await
            }
        }
    }

    /// The request as the second endpoint gets it.
    fn second_request(&self) -> Cow<'_, RequestHeader> {
        let mut request = Cow::Borrowed(&self.request);
        if let Some(named) = &self.named {
            // It replaces a field that is there, for which there is room.
            let _ = named.tell(request.to_mut());
        }
        request
    }

    /// A place at another endpoint, if there is one and the pool's budget gives leave.
    fn begin_second(&self) -> Option<Second> {
        let permit = self.pool.permit_retry()?;
        let began = Instant::now();
        let tried = std::slice::from_ref(&self.first);
        let lease = with_random(|random| self.pool.pick_untried(tried, began, random))?;
        self.pool.count_hedge();
        let span = self.named.as_ref().map(|named| named.span);
        let second = SecondAttempt { endpoint: lease.endpoint().clone(), began, span, failed: None };
        self.shared.change(|result| result.second = Some(second));
        Some(Second { lease, began, _permit: permit })
    }

    /// Whether an answer is one that nobody would repeat the request after.
    fn is_good(&self, answered: &Answered) -> bool {
        let Ok(answer) = answered else { return false };
        let status = answer.head.status;
        let is_retried =
            |on: &RetryOn| matches!(on, RetryOn::Status(range) if range.contains(status.as_u16()));
        !status.is_server_error() && !self.pool.config().retry.on.as_slice().iter().any(is_retried)
    }

    fn win(&self, second: Second) {
        let Second { lease, began, .. } = second;
        self.shared.change(|result| result.won = Some(Won { lease, began }));
    }

    fn lose(&self, second: &Second) {
        let now = Instant::now();
        self.pool.outrun(&second.lease, now.saturating_duration_since(second.began), now);
    }

    fn fail_second(&self, second: &Second, answered: &Answered) {
        let failed = judge(answered);
        if let Some(fault) = failed.fault {
            self.pool.failed(&second.lease, fault, failed.retry_after, Instant::now());
        } else if answered.is_ok() {
            let now = Instant::now();
            self.pool.answered(&second.lease, now.saturating_duration_since(second.began), now);
        }
        self.shared.change(|result| {
            if let Some(second) = &mut result.second {
                second.failed = Some(failed.outcome);
            }
        });
    }
}

/// What an attempt that is no good tells of its endpoint: statuses below 500 that are retried on are no failures of its.
fn judge(answered: &Answered) -> FailedAttempt {
    match answered {
        Ok(answer) => FailedAttempt {
            fault: answer.head.status.is_server_error().then_some(Fault::UpstreamStatus),
            retry_after: retry_after(&answer.head),
            outcome: Outcome::Answered(answer.head.status),
        },
        Err(Unanswered { error, .. }) => {
            let cause = cause_of(error);
            let fault = (!is_our_own_fault(error)).then(|| Fault::from(&cause));
            FailedAttempt { fault, retry_after: None, outcome: Outcome::Failed(cause) }
        }
    }
}

fn silence() -> Unanswered {
    Unanswered { error: Error::new(ErrorType::ReadTimedout), is_connect: false }
}

/// Reads what Pingora writes, which is the request once more, until it closes the pipe.
async fn until_closed(reader: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 1024];
    while !matches!(reader.read(&mut buffer).await, Ok(0) | Err(_)) {}
}
