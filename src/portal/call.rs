//! A request to one of our addresses, without its body.

use std::sync::Arc;

use http::header::{ACCEPT, REFERER, USER_AGENT};
use http::{HeaderMap, Method};

use super::csrf::{self, CrossSite, Site};
use super::form;
use super::input::{Format, format};
use super::refusal::Refused;
use super::return_to::{Allowed, ReturnTo};
use crate::body::Body;
use crate::provider::Facts;
use crate::rejection::Reason;
use crate::session::cookie::{Cookie, Name};
use crate::session::{Caller, Device};
use crate::upstream::forward::Upgrade;
use crate::visit::{Client, Credential, RequestId, Trouble, Visit};

/// What handlers know of a request.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) client: Client,
    pub(super) id: RequestId,
    pub(super) caller: Option<Arc<Caller>>,
    pub(super) credential: Credential,
    pub(super) trouble: Option<Trouble>,
}

impl Call {
    /// Parts a visit from its body.
    pub(super) fn new(visit: Visit) -> (Self, Body) {
        let Visit { request, id, client, caller, credential, trouble, .. } = visit;
        let (parts, body) = request.into_parts();
        let call = Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            client,
            id,
            caller,
            credential,
            trouble,
        };
        (call, body)
    }

    /// Whether a person looks at the answer: somebody who sent a form or asks for a page.
    pub(super) fn is_person(&self) -> bool {
        let accept = self.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if accept.contains("text/html") {
            return format(&self.headers) != Some(Format::Json);
        }
        let navigates = self.headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
        let sends_form = format(&self.headers) == Some(Format::Form) && !accept.contains("json");
        navigates || sends_form
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        form::parameter(self.query.as_deref(), name)
    }

    /// Where the query says to return to.
    pub(super) fn return_to(&self, allowed: &Allowed) -> ReturnTo {
        ReturnTo::parse(&self.parameter("rd").unwrap_or_default(), allowed)
    }

    /// Refuses what another site sends in somebody's name. A program that says nothing is taken at its word,
    /// unless a cookie or a referrer shows that it is a browser after all.
    pub(super) fn same_site(&self, cookie: Name, public_origin: &str) -> Result<(), Reason> {
        let browser = || self.headers.contains_key(REFERER) || cookie.read(&self.headers) != Cookie::Absent;
        match csrf::check(&self.headers, &self.method, Upgrade::No, Site::of(public_origin)) {
            Ok(()) => Ok(()),
            Err(CrossSite::Unproven) if !browser() => Ok(()),
            Err(_) => Err(Reason::CrossSite),
        }
    }

    /// What its session remembers it by.
    pub(super) fn device(&self) -> Device {
        let user_agent = self.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let user_agent = user_agent.unwrap_or_default().chars().take(256).collect();
        Device { user_agent, address: Some(self.client.address), app: None }
    }

    /// What providers get to know of it.
    pub(super) fn facts(&self) -> Facts {
        let (request_id, address) = (self.id.as_str().to_owned(), self.client.address);
        Facts { request_id, address, user_agent: self.device().user_agent }
    }

    /// What a page of refusal tells about it.
    pub(super) fn refused<'a>(&'a self, target: &'a ReturnTo) -> Refused<'a> {
        Refused { request_id: &self.id, caller: self.caller.as_deref(), headers: &self.headers, target }
    }
}
