//! How the authority is asked: the one way out by HTTP, with its limits.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::fetch::Fetch;

/// Sends what the protocol has to say.
pub(super) struct Way(Fetch);

impl Way {
    pub(super) fn new(fetch: &Fetch) -> Self {
        Self(fetch.within(LIMIT))
    }
}

impl HttpClient for Way {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let fetch = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let sent = fetch.send(Request::from_parts(parts, body.to_bytes())).await;
            let answer = sent.map_err(|error| Error::Other(Box::new(error)))?;
            let mut response = Response::new(Full::new(answer.body));
            (*response.status_mut(), *response.headers_mut()) = (answer.status, answer.headers);
            Ok(response.into())
        })
    }
}

/// Authorities take their time.
const LIMIT: Duration = Duration::from_secs(30);
