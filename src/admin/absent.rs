//! Stands for the operator's listener in a program that was built without it: nobody is let in.

use std::convert::Infallible;
use std::time::SystemTime;

use http::{Request, Response};

mod settings;

pub use settings::{AppIds, Settings};

use crate::body::Body;
use crate::client::Client;
use crate::visit::RequestId;

/// What operators see and do. There is none.
pub struct Admin(Infallible);

/// One request of an operator, without its body.
pub struct Asked {
    /// Its name.
    pub id: RequestId,
    /// Where it came from.
    pub client: Client,
    /// How the listeners of visitors are.
    pub front: Front,
}

/// What operators are told of the listeners of visitors.
#[derive(Clone, Copy, Debug)]
pub struct Front {
    /// Whether new requests are welcome, for the probe.
    pub is_serving: bool,
    /// When the certificate in force ends; none without TLS, and while none has been issued.
    pub certificate_ends: Option<SystemTime>,
}

impl Admin {
    /// Answers nobody.
    pub async fn serve(&self, _: Request<Body>, _: Asked) -> Response<Body> {
        match self.0 {}
    }
}
