use bytes::{BufMut, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::{Request, Version};
use tokio::task::AbortHandle;

use crate::lossless::endpoints::pattern;

use super::http1::connect;
use super::streams::{Stream, length};
use super::{Assignment, in_time};

/// A call in which all messages come back, on a connection of its own.
pub(super) struct Call {
    sending: SendStream<Bytes>,
    body: RecvStream,
    read: BytesMut,
    client: u64,
    connection: AbortHandle,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Stream for Call {
    async fn open(assignment: &Assignment) -> Result<Self, String> {
        let stream = connect(assignment.addresses.web).await?;
        let (requests, connection) = in_time("greeting", h2::client::handshake(stream)).await?;
        let connection = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        let mut requests = in_time("beginning", requests.ready()).await?;
        let request = Request::post("http://site.example/echo.Echo/Stream").version(Version::HTTP_2);
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let (response, sending) =
            requests.send_request(request.body(()).unwrap(), false).map_err(|error| error.to_string())?;
        let response = in_time("the answer's head", response).await?;
        if response.status() != 200 || response.headers().contains_key("grpc-status") {
            return Err(format!("refused: {response:?}"));
        }
        let (body, read) = (response.into_body(), BytesMut::new());
        Ok(Self { sending, body, read, client: assignment.number, connection })
    }

    async fn exchange(&mut self, number: u64) -> Result<(), String> {
        let message = pattern(self.client, number, length(number));
        let mut frame = BytesMut::with_capacity(5 + message.len());
        frame.put_u8(0);
        frame.put_u32(message.len().try_into().unwrap());
        frame.put(&*message);
        let frame = frame.freeze();
        self.sending.send_data(frame.clone(), false).map_err(|error| format!("sending: {error}"))?;
        while self.read.len() < frame.len() {
            let Some(piece) = in_time("hearing", self.next()).await? else {
                return Err(format!("the answer ended: {:?}", self.body.trailers().await));
            };
            self.read.extend_from_slice(&piece);
        }
        let heard = self.read.split_to(frame.len());
        if heard == frame { Ok(()) } else { Err("other bytes came back".to_owned()) }
    }

    async fn end(mut self) -> Result<(), String> {
        self.sending.send_data(Bytes::new(), true).map_err(|error| format!("sending: {error}"))?;
        if let Some(piece) = in_time("hearing", self.next()).await? {
            return Err(format!("{} bytes too many", piece.len()));
        }
        let trailers = in_time("trailers", self.body.trailers()).await?;
        let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
        if status.is_some_and(|status| status == "0") { Ok(()) } else { Err(format!("{trailers:?}")) }
    }
}

impl Call {
    async fn next(&mut self) -> Result<Option<Bytes>, h2::Error> {
        let Some(piece) = self.body.data().await.transpose()? else { return Ok(None) };
        self.body.flow_control().release_capacity(piece.len())?;
        Ok(Some(piece))
    }
}
