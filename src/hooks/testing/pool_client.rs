use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use crate::hooks::{
    Authorities, BuildCx, Fetch, FetchError, FetchLimits, FetchUrl, Fetched, JobCx, Larger, PoolClient,
    Sender,
};
use crate::types::{EndpointAddr, PoolName};

use super::exchange::pool_names;

/// A pool whose endpoint, 192.0.2.80:80, answers what `answer` makes of each request. Of the limits, that of the body
/// is kept.
pub fn pool_client(
    answer: impl Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> + Send + Sync + 'static,
) -> PoolClient {
    PoolClient::new(StandIn(answer))
}

/// As [`build_among`](super::build_among), with pools that can be sent requests.
///
/// # Errors
/// Those of `build`.
///
/// # Panics
/// When a name cannot be a pool's.
pub fn build_with_clients<S, H, E>(
    pools: &[(&str, PoolClient)],
    settings: S,
    build: impl FnOnce(S, &BuildCx<'_>) -> Result<H, E>,
) -> Result<H, E> {
    let names: Vec<_> = pools.iter().map(|(name, _)| *name).collect();
    let clients: Vec<_> = pools.iter().map(|(_, client)| client.clone()).collect();
    build(settings, &BuildCx::new(&pool_names(&names), 64).with_clients(&clients))
}

/// The surroundings of a job in a configuration with these pools.
pub fn job_cx(pools: &[(&str, PoolClient)]) -> JobCx {
    let pools: Vec<_> = pools.iter().map(|(name, client)| ((*name).to_owned(), client.clone())).collect();
    let client = move |name: &PoolName| {
        let found = pools.iter().find(|(known, _)| known == name.as_str());
        found.map(|(_, client)| client.clone())
    };
    JobCx::new(client, NoServer)
}

struct StandIn<A>(A);

/// Knows no server by any URL.
struct NoServer;

#[async_trait]
impl FetchUrl for NoServer {
    async fn fetch_url(
        &self,
        _: Request<Bytes>,
        _: Option<&Authorities>,
        _: FetchLimits,
    ) -> Result<Fetched, FetchError> {
        Err(FetchError::NoEndpoint)
    }
}

#[async_trait]
impl<A> Fetch for StandIn<A>
where
    A: Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> + Send + Sync,
{
    async fn fetch(
        &self,
        request: Request<Bytes>,
        _: Sender,
        limits: FetchLimits,
    ) -> Result<Fetched, FetchError> {
        let (head, mut body) = (self.0)(&request)?.into_parts();
        let is_whole = body.len() <= limits.body;
        if !is_whole {
            match limits.larger {
                Larger::Refuse => return Err(FetchError::BodyTooLarge(limits.body)),
                Larger::Cut => body.truncate(limits.body),
            }
        }
        let endpoint = EndpointAddr::Inet(([192, 0, 2, 80], 80).into());
        Ok(Fetched { status: head.status, headers: head.headers, body, is_whole, endpoint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stand_in_answers_within_the_limits() {
        let client = pool_client(|request| match request.uri().path() {
            "/none" => Err(FetchError::NoEndpoint),
            path => Ok(Response::new(Bytes::copy_from_slice(path.as_bytes()))),
        });
        let client = build_with_clients(&[("own", client)], "own", |name, cx| {
            cx.pool(name).map(|pool| (cx.client(pool), cx.pool_name(pool).clone()))
        });
        let (client, name) = client.unwrap();
        let ask = async |client: &PoolClient, path: &str, larger| {
            let request = Request::get(path).body(Bytes::new()).unwrap();
            let limits = FetchLimits { body: 4, larger, ..FetchLimits::default() };
            client.send(request, limits).await.map(|fetched| fetched.body)
        };
        assert_eq!(ask(&client, "/abc", Larger::Refuse).await.unwrap(), "/abc");
        assert_eq!(ask(&client, "/abcd", Larger::Refuse).await, Err(FetchError::BodyTooLarge(4)));
        assert_eq!(ask(&client, "/abcd", Larger::Cut).await.unwrap(), "/abc");
        assert_eq!(ask(&client, "/none", Larger::Cut).await, Err(FetchError::NoEndpoint));

        let cx = job_cx(&[("own", client)]);
        assert_eq!(ask(&cx.client(&name).unwrap(), "/", Larger::Cut).await.unwrap(), "/");
        assert!(cx.client(&"other".parse().unwrap()).is_none());
    }

    #[tokio::test]
    async fn where_there_is_no_stand_in_nobody_answers() {
        let client =
            super::super::build_among(&["own"], "own", |name, cx| cx.pool(name).map(|pool| cx.client(pool)));
        let answer = client.unwrap().send(Request::default(), FetchLimits::default()).await;
        assert_eq!(answer.map(|fetched| fetched.status), Err(FetchError::NoEndpoint));
    }
}
