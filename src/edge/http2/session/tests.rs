use h2::client::{ResponseFuture, handshake};
use h2::{Reason, SendStream};
use pingora_core::ErrorSource;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::custom::server::Session as _;

use super::super::running::Running;
use super::*;

/// Both ends of one request whose body is to come, on a clock that goes on when everybody waits.
struct Pair {
    session: Session,
    answer: ResponseFuture,
    upload: SendStream<Bytes>,
    running: Arc<Running>,
}

impl Pair {
    async fn new() -> Self {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (served, client) = tokio::join!(h2::server::handshake(far), handshake(near));
        let (mut requests, connection) = client.unwrap();
        tokio::spawn(connection);
        let request = Request::post("http://a/").body(()).unwrap();
        let (answer, upload) = requests.send_request(request, false).unwrap();
        let mut served = served.unwrap();
        let (request, sender) = served.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while served.accept().await.is_some() {} });
        let running = Running::new(1);
        let session = Session::new(request, sender, Arc::default(), running.begin(), &Ending::default());
        Self { session, answer, upload, running }
    }

    /// Answers in full, while the client has not ended its request.
    async fn answer(&mut self) {
        let head = Box::new(ResponseHeader::build(401, None).unwrap());
        self.session.write_response_header(head, true).await.unwrap();
        assert_eq!((&mut self.answer).await.unwrap().status(), 401);
    }

    async fn reset(&mut self) -> Reason {
        poll_fn(|cx| self.upload.poll_reset(cx)).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_reset_a_while_after_its_answer() {
    let mut pair = Pair::new().await;
    pair.answer().await;
    let begun = Instant::now();
    let Pair { session, mut upload, running, answer } = pair;
    drop(session);
    upload.send_data(Bytes::from(vec![0; 1000]), false).unwrap();
    assert!(running.is_full(), "it counts as long as it is there");
    assert_eq!(poll_fn(|cx| upload.poll_reset(cx)).await.unwrap(), Reason::NO_ERROR);
    assert_eq!(begun.elapsed().as_secs(), linger::LONGEST.as_secs());
    assert!(!running.is_full());
    drop(answer);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_reading_after_the_answer_is_stopped() {
    let mut pair = Pair::new().await;
    pair.answer().await;
    let begun = Instant::now();
    let mut upload = pair.upload;
    tokio::spawn(async move {
        while upload.send_data(Bytes::from_static(b"x"), false).is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let error = loop {
        match pair.session.read_body_or_idle(false).await {
            Ok(piece) => assert_eq!(piece.unwrap(), "x"),
            Err(error) => break error,
        }
    };
    assert_eq!(*error.etype(), ErrorType::new(ANSWERED));
    assert_eq!(begun.elapsed().as_secs(), linger::LONGEST.as_secs());
    assert!(pair.session.body_bytes_read() > 10);
}

#[tokio::test(start_paused = true)]
async fn waits_end_with_their_limit() {
    let mut pair = Pair::new().await;
    pair.session.set_read_timeout(Some(Duration::from_secs(5)));
    for is_idle in [false, true] {
        let begun = Instant::now();
        pair.session.set_read_timeout(Some(Duration::from_secs(5)));
        let error = pair.session.read_body_or_idle(is_idle).await.unwrap_err();
        assert_eq!((error.etype(), begun.elapsed().as_secs()), (&ErrorType::ReadTimedout, 5));
    }
    // No limit, and a client that leaves.
    pair.session.set_read_timeout(None);
    pair.upload.send_reset(Reason::CANCEL);
    let error = pair.session.read_body_or_idle(true).await.unwrap_err();
    assert_eq!(*error.etype(), ErrorType::H2Error);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_served_on_after_its_answer_is_abandoned() {
    let mut pair = Pair::new().await;
    let abandonment = pair.session.abandonment().unwrap();
    tokio::pin!(abandonment);
    assert!(abandonment.as_mut().now_or_never().is_none());
    pair.answer().await;
    assert!(tokio::time::timeout(Duration::from_secs(60), abandonment.as_mut()).await.is_err());
    pair.session.enable_retry_buffering();
    let begun = Instant::now();
    abandonment.await;
    assert_eq!(begun.elapsed().as_millis(), (linger::LONGEST + linger::EXTRA).as_millis());
    drop(pair.session);
    assert_eq!(poll_fn(|cx| pair.upload.poll_reset(cx)).await.unwrap(), Reason::NO_ERROR);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_broken_off_says_so() {
    let mut pair = Pair::new().await;
    let head = Box::new(ResponseHeader::build(200, None).unwrap());
    pair.session.write_response_header(head, false).await.unwrap();
    pair.session.abandon("").await;
    assert_eq!(pair.reset().await, Reason::INTERNAL_ERROR);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_end_of_its_answer_is_no_failure_of_ours() {
    let mut pair = Pair::new().await;
    let head = Box::new(ResponseHeader::build(200, None).unwrap());
    pair.session.write_response_header(head, false).await.unwrap();
    pair.upload.send_reset(Reason::CANCEL);
    pair.session.read_body_or_idle(true).await.unwrap_err();
    let error = pair.session.response_duplex_vec(vec![HttpTask::Done]).await.unwrap_err();
    assert_eq!(*error.esource(), ErrorSource::Downstream);
}
