use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;

use crate::route::key::{Key, KeyError};
use crate::route::path::{Irregular, Path};
use crate::route::rules::{Authorized, Denied, Question, RuleError, Rules};
use crate::route::tree::Tree;
use crate::route::{Action, Case, Spec, Tables, Who};
use crate::upstream;

/// The route table, ready to decide.
#[derive(Debug)]
pub struct Router {
    tree: Tree,
    folded: Option<Folded>,
    routes: Vec<Route>,
    upstreams: Vec<upstream::Address>,
}

/// One route: what a decision looks at, close together, and the rest elsewhere.
#[derive(Debug)]
pub struct Route {
    /// Shared with the routes that say the same: of ten thousand only a few differ.
    rules: Arc<Rules>,
    relaxed: Irregular,
    upstream: usize,
    /// Nothing of the rest counts but the key.
    is_usual: bool,
    more: Box<More>,
}

/// What counts once a request is allowed.
#[derive(Debug)]
struct More {
    key: String,
    body: Option<u64>,
    audience: Option<Arc<str>>,
    provider_token: Option<HeaderName>,
}

/// The table in lower case, for the case guard.
#[derive(Debug)]
struct Folded {
    tree: Tree,
    /// A key has capital letters, so a path without them needs a look, too.
    capital_keys: bool,
}

/// What is wrong with a route, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its key in the file.
    pub key: String,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its people.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Another key means the same.
    #[error("this is the same route as \"{0}\"")]
    Duplicate(String),
    /// Nowhere to send what is allowed.
    #[error("this route has no upstream: name one here, or one for all with `upstream = \"http://…\"`")]
    NoUpstream,
}

/// Why there is no decision, or not a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The path is not plain, and its route does not allow that by name.
    Irregular,
    /// The path in lower case would be decided otherwise.
    Case,
    /// No route is for it.
    NoRoute(Denied),
    /// Its route says no.
    Denied(Denied),
}

impl Router {
    /// Builds the table. Without any spec everything needs a full account.
    ///
    /// # Errors
    /// Every fault of every route.
    pub fn new(tables: &Tables) -> Result<Self, Vec<Fault>> {
        let everything =
            [Spec { key: "/**".to_owned(), actions: vec![(Action::All, vec![Who::SignedIn])], ..Spec::default() }];
        let specs = if tables.specs.is_empty() { &everything[..] } else { &tables.specs };
        let mut build = Build::default();
        for spec in specs {
            build.add(spec, tables);
        }
        build.finish(tables.case)
    }

    /// The upstreams that routes name, by their index.
    pub fn upstreams(&self) -> &[upstream::Address] {
        &self.upstreams
    }

    /// The route that allowed a request.
    pub fn route(&self, authorized: Authorized) -> &Route {
        &self.routes[authorized.route()]
    }

    /// All routes, in the order of the file.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route for a canonical host and path.
    pub fn find(&self, host: &str, path: &str) -> Option<&Route> {
        self.find_number(host, path).map(|number| &self.routes[number])
    }

    /// Its place in [`routes`](Self::routes).
    pub fn find_number(&self, host: &str, path: &str) -> Option<usize> {
        self.tree.find(host, path).map(|index| index as usize)
    }

    /// Decides a request.
    ///
    /// # Errors
    /// [`Refused`], with the reason.
    pub fn decide(&self, host: &str, path: &Path<'_>, question: &Question<'_>) -> Result<Authorized, Refused> {
        let Some(number) = self.tree.find(host, path.as_str()) else {
            return Err(Refused::NoRoute(nobody(question)));
        };
        let route = &self.routes[number as usize];
        if !path.irregular().is_within(route.relaxed) {
            return Err(Refused::Irregular);
        }
        if let Some(bare) = path.without_parameters() {
            // An upstream that drops `;…` would see another path: both must fall on the same route.
            if self.tree.find(host, &bare) != self.tree.find(host, path.as_str()) {
                return Err(Refused::Irregular);
            }
        }
        let verdict = route.rules.decide(number, question);
        if self.is_case_trap(host, path.as_str(), question, route, verdict.is_ok()) {
            return Err(Refused::Case);
        }
        verdict.map_err(Refused::Denied)
    }

    /// The methods of the route that covers a path, where it has no rule for the one that is asked.
    pub fn methods_instead(&self, host: &str, path: &str, question: &Question<'_>) -> Option<String> {
        self.find(host, path)?.rules.methods_instead(question)
    }

    /// Whether an upstream that ignores case would serve this path as one that is decided otherwise.
    fn is_case_trap(&self, host: &str, path: &str, question: &Question<'_>, route: &Route, allowed: bool) -> bool {
        let Some(folded) = &self.folded else { return false };
        if !folded.capital_keys && !path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return false;
        }
        let Some(index) = folded.tree.find(host, &path.to_ascii_lowercase()) else { return false };
        let other = &self.routes[index as usize];
        !std::ptr::eq(other, route) && other.rules.decide(index, question).is_ok() != allowed
    }
}

/// No route: nobody may, whoever asks.
fn nobody(question: &Question<'_>) -> Denied {
    use crate::account::Kind;
    match question.subject.map(|subject| subject.user.kind) {
        None | Some(Kind::Guest) => Denied::SignIn { guest_would_do: false },
        Some(Kind::User | Kind::Service) => Denied::Forbidden,
    }
}

impl Route {
    /// Its key as it stands in the file.
    pub fn key(&self) -> &str {
        &self.more.key
    }

    /// The index of its upstream in [`Router::upstreams`].
    pub fn upstream(&self) -> usize {
        self.upstream
    }

    /// Its own limit of a body's length.
    pub fn body(&self) -> Option<u64> {
        if self.is_usual { None } else { self.more.body }
    }

    /// Its own audience of the assertion.
    pub fn audience(&self) -> Option<&Arc<str>> {
        if self.is_usual { None } else { self.more.audience.as_ref() }
    }

    /// The header that carries the access token of the caller's provider, if it asks for one.
    pub fn provider_token(&self) -> Option<&HeaderName> {
        if self.is_usual { None } else { self.more.provider_token.as_ref() }
    }

    /// The action by which a method is decided; `None`: no rule, so nobody may.
    pub fn action(&self, method: &http::Method) -> Option<Action> {
        self.rules.action(method)
    }

    /// Whom the rule for a method lets in, as the file says it: `role:editor or service`.
    pub fn who(&self, method: &http::Method) -> Option<&str> {
        self.rules.text(method)
    }

    /// Whether any of its actions needs no account.
    pub fn is_public(&self) -> bool {
        self.rules.is_public()
    }
}

#[derive(Default)]
struct Build {
    tree: Tree,
    folded: Tree,
    capital_keys: bool,
    keys: Vec<String>,
    routes: Vec<Route>,
    /// By what the file says.
    rules: HashMap<Said, Arc<Rules>>,
    upstreams: Vec<upstream::Address>,
    faults: Vec<Fault>,
}

/// Who may do what, and from where.
type Said = (Vec<(Action, Vec<Who>)>, Vec<IpNet>);

impl Build {
    fn add(&mut self, spec: &Spec, tables: &Tables) {
        let index = self.keys.len() as u32;
        let mut faults: Vec<FaultKind> = Vec::new();
        match Key::parse(&spec.key) {
            Err(error) => faults.push(error.into()),
            Ok(key) => {
                if let Err(other) = self.tree.insert(&key, index) {
                    faults.push(FaultKind::Duplicate(self.keys[other as usize].clone()));
                }
                let folded = key.folded();
                self.capital_keys |= folded != key;
                // Of keys that differ in case alone the first stands for both.
                let _ = self.folded.insert(&folded, index);
            }
        }
        let upstream = self.upstream(spec.upstream.as_ref().or(tables.upstream.as_ref()));
        if upstream.is_none() && !tables.in_process {
            faults.push(FaultKind::NoUpstream);
        }
        match self.rules(spec, tables) {
            Err(errors) => faults.extend(errors.into_iter().map(FaultKind::from)),
            Ok(rules) => self.routes.push(Route {
                rules,
                relaxed: Irregular::of(&spec.allow_in_path),
                upstream: upstream.unwrap_or(usize::MAX),
                is_usual: spec.body.is_none() && spec.audience.is_none() && spec.provider_token.is_none(),
                more: Box::new(More {
                    key: spec.key.clone(),
                    body: spec.body,
                    audience: spec.audience.as_deref().map(Into::into),
                    provider_token: spec.provider_token.clone(),
                }),
            }),
        }
        self.keys.push(spec.key.clone());
        self.faults.extend(faults.into_iter().map(|kind| Fault { key: spec.key.clone(), kind }));
    }

    fn rules(&mut self, spec: &Spec, tables: &Tables) -> Result<Arc<Rules>, Vec<RuleError>> {
        let said = (spec.actions.clone(), spec.from.clone());
        if let Some(rules) = self.rules.get(&said) {
            return Ok(rules.clone());
        }
        let rules = Arc::new(Rules::compile(spec, &tables.policies)?);
        self.rules.insert(said, rules.clone());
        Ok(rules)
    }

    fn upstream(&mut self, address: Option<&upstream::Address>) -> Option<usize> {
        let address = address?;
        let known = self.upstreams.iter().position(|other| other == address);
        Some(known.unwrap_or_else(|| {
            self.upstreams.push(address.clone());
            self.upstreams.len() - 1
        }))
    }

    fn finish(self, case: Case) -> Result<Router, Vec<Fault>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let folded = Folded { tree: self.folded, capital_keys: self.capital_keys };
        Ok(Router {
            tree: self.tree,
            folded: (case == Case::Guard).then_some(folded),
            routes: self.routes,
            upstreams: self.upstreams,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn spec(key: &str, actions: &[(&str, &str)]) -> Spec {
        let actions = actions.iter().map(|(a, who)| (a.parse().unwrap(), vec![who.parse().unwrap()])).collect();
        Spec { key: key.into(), actions, ..Spec::default() }
    }

    fn router(specs: Vec<Spec>) -> Result<Router, Vec<Fault>> {
        Router::new(&Tables { specs, upstream: "http://127.0.0.1:1".parse().ok(), ..Tables::default() })
    }

    fn get(router: &Router, path: &str) -> Result<Authorized, Refused> {
        let method = Method::GET;
        let question = Question { method: &method, upgrade: false, address: [127, 0, 0, 1].into(), subject: None };
        router.decide("h.test", &Path::parse(path).unwrap(), &question)
    }

    const STRANGER: Denied = Denied::SignIn { guest_would_do: false };

    #[test]
    fn without_routes_everything_needs_an_account() {
        assert_eq!(get(&router(vec![]).unwrap(), "/"), Err(Refused::Denied(STRANGER)));
    }

    #[test]
    fn routes_that_say_the_same_are_told_apart() {
        let router = router(vec![spec("/a", &[("all", "anyone")]), spec("/b", &[("all", "anyone")])]).unwrap();
        assert!(Arc::ptr_eq(&router.routes[0].rules, &router.routes[1].rules));
        assert_eq!(get(&router, "/a").unwrap().route(), 0);
        assert_eq!(get(&router, "/b").unwrap().route(), 1);
    }

    #[test]
    fn no_route_is_nobody() {
        let router = router(vec![spec("/a", &[("all", "anyone")])]).unwrap();
        assert_eq!(get(&router, "/b"), Err(Refused::NoRoute(STRANGER)));
        assert!(get(&router, "/a").is_ok());
    }

    #[test]
    fn a_path_that_differs_in_case_alone_does_not_slip_past_its_rule() {
        let big = vec![spec("/**", &[("all", "anyone")]), spec("/admin/**", &[("all", "role:admin")])];
        let guarded = router(big.clone()).unwrap();
        assert_eq!(get(&guarded, "/Admin/keys"), Err(Refused::Case));
        assert!(get(&guarded, "/Posts").is_ok());
        let exact = Tables { specs: big, case: Case::Exact, upstream: "http://u".parse().ok(), ..Tables::default() };
        assert!(get(&Router::new(&exact).unwrap(), "/Admin/keys").is_ok());
    }

    #[test]
    fn a_key_with_capitals_guards_its_small_spelling_too() {
        let table = vec![spec("/**", &[("all", "anyone")]), spec("/Admin/**", &[("all", "role:admin")])];
        assert_eq!(get(&router(table).unwrap(), "/admin/keys"), Err(Refused::Case));
    }

    #[test]
    fn an_irregular_path_needs_a_route_that_allows_it() {
        let mut open = spec("/files/**", &[("all", "anyone")]);
        open.allow_in_path = vec![crate::route::Relax::EncodedSlash];
        let router = router(vec![open, spec("/**", &[("all", "anyone")])]).unwrap();
        assert!(get(&router, "/files/a%2fb").is_ok());
        assert_eq!(get(&router, "/other/a%2fb"), Err(Refused::Irregular));
        assert_eq!(get(&router, "/files/a;b"), Err(Refused::Irregular));
    }

    #[test]
    fn sec_path_04_parameters_do_not_change_the_route() {
        let mut open = spec("/**", &[("all", "anyone")]);
        open.allow_in_path = vec![crate::route::Relax::Semicolon];
        let router = router(vec![open, spec("/admin/**", &[("all", "role:admin")])]).unwrap();
        assert!(get(&router, "/a;x=1/b").is_ok());
        assert_eq!(get(&router, "/admin;x=1/keys"), Err(Refused::Irregular));
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let faults =
            router(vec![spec("/a*", &[]), spec("/b", &[("all", "anyone")]), spec("/b/", &[("all", "anyone")])]);
        let kinds: Vec<String> = faults.unwrap_err().into_iter().map(|fault| fault.kind.to_string()).collect();
        assert_eq!(kinds.len(), 3, "{kinds:?}");
        assert!(Router::new(&Tables::default()).is_err(), "no upstream");
    }
}
