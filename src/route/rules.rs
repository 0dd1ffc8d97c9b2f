use std::collections::BTreeMap;
use std::net::IpAddr;

use http::Method;
use ipnet::IpNet;
use serde_json::Value;

use crate::account::{Kind, User};
use crate::client::UNKNOWN;
use crate::route::{Action, Policy, Spec, Who};

/// The proof that a request was allowed on a route. Only a decision of this module makes one, and the
/// upstream takes no request without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorized {
    route: u32,
}

impl Authorized {
    /// Which route allowed it.
    pub fn route(self) -> usize {
        self.route as usize
    }
}

/// Why a request is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody, or a guest, is asking, and the rule wants somebody: signing in may help.
    SignIn {
        /// A guest would be let in.
        guest_would_do: bool,
    },
    /// Somebody is signed in and is not let in, or the client's network is not; signing in does not help.
    Forbidden,
}

/// Who asks, for rules.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The user.
    pub user: &'a User,
    /// The provider of this sign-in.
    pub provider: &'a str,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The method on the wire.
    pub method: &'a Method,
    /// Whether the connection is to become something else (WebSocket).
    pub upgrade: bool,
    /// The client's address.
    pub address: IpAddr,
    /// Whoever asks, if known.
    pub subject: Option<Subject<'a>>,
}

/// The rules of one route, ready to decide.
#[derive(Debug)]
pub(super) struct Rules {
    exact: Vec<(Method, Rule)>,
    read: Option<Rule>,
    write: Option<Rule>,
    all: Option<Rule>,
    from: Vec<IpNet>,
}

/// Who may: any of these; and how the file says it.
#[derive(Clone, Debug)]
pub struct Rule {
    tests: Vec<Test>,
    text: String,
}

impl Rule {
    /// Lets in whoever any of these means.
    ///
    /// # Errors
    /// When they name nobody, or a policy that is none.
    pub fn new(whos: &[Who], policies: &BTreeMap<String, Policy>) -> Result<Self, RuleError> {
        compile_rule(&Action::All, whos, policies)
    }

    /// Lets nobody in.
    pub fn nobody() -> Self {
        Self { tests: Vec::new(), text: Who::Nobody.to_string() }
    }

    /// Whether it lets this subject in.
    pub fn lets_in(&self, subject: Option<Subject<'_>>) -> bool {
        self.admits(subject.map_or(Whom::Nobody, Whom::Subject))
    }

    fn admits(&self, whom: Whom<'_>) -> bool {
        self.tests.iter().any(|test| test.admits(whom))
    }
}

#[derive(Clone, Debug)]
enum Test {
    Who(Who),
    All(Vec<Test>),
    Any(Vec<Test>),
}

/// What is wrong with the people a rule names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No action, so nobody could use the route.
    #[error("nobody could use this route: write who may, for instance all = \"signed_in\"")]
    NoAction,
    /// An empty list.
    #[error("`{0}` names nobody; write \"nobody\" if that is meant")]
    NobodyNamed(Action),
    /// `anyone` with others.
    #[error("\"anyone\" makes the rest of `{0}` pointless")]
    AnyoneAmongOthers(Action),
    /// No such policy.
    #[error("no policy is named \"{0}\"")]
    UnknownPolicy(String),
    /// A policy that needs itself.
    #[error("policy \"{0}\" needs itself")]
    PolicyLoop(String),
}

impl Rules {
    pub(super) fn compile(spec: &Spec, policies: &BTreeMap<String, Policy>) -> Result<Self, Vec<RuleError>> {
        let mut rules = Self { exact: Vec::new(), read: None, write: None, all: None, from: spec.from.clone() };
        let mut errors = Vec::new();
        if spec.actions.is_empty() {
            errors.push(RuleError::NoAction);
        }
        for (action, whos) in &spec.actions {
            match compile_rule(action, whos, policies) {
                Ok(rule) => match action {
                    Action::Read => rules.read = Some(rule),
                    Action::Write => rules.write = Some(rule),
                    Action::All => rules.all = Some(rule),
                    Action::Method(method) => rules.exact.push((method.clone(), rule)),
                },
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// Decides for the route of this number. Absence of anything (a rule, a subject, a field) refuses.
    pub(super) fn decide(&self, route: u32, question: &Question<'_>) -> Result<Authorized, Denied> {
        if !self.from.is_empty() && !self.is_from(question.address) {
            return Err(Denied::Forbidden);
        }
        // An upgraded connection carries both ways, so it needs both.
        let rules = if question.upgrade {
            [self.rule(question.method), self.write.as_ref().or(self.all.as_ref())]
        } else {
            [self.rule(question.method); 2]
        };
        let may = |rule: Option<&Rule>, kind: Whom<'_>| rule.is_some_and(|rule| rule.admits(kind));
        let whom = question.subject.map_or(Whom::Nobody, Whom::Subject);
        if rules.iter().all(|rule| may(*rule, whom)) {
            return Ok(Authorized { route });
        }
        match question.subject.map(|subject| subject.user.kind) {
            None | Some(Kind::Guest) => {
                Err(Denied::SignIn { guest_would_do: rules.iter().all(|rule| may(*rule, Whom::SomeGuest)) })
            }
            Some(Kind::User | Kind::Service) => Err(Denied::Forbidden),
        }
    }

    /// No address is in no network, not even in the one that has them all.
    fn is_from(&self, address: IpAddr) -> bool {
        address != UNKNOWN && self.from.iter().any(|net| net.contains(&address))
    }

    /// The rule for a method: itself, else `read` or `write`, else `all`. HEAD follows GET.
    fn rule(&self, method: &Method) -> Option<&Rule> {
        let exact = |wanted: &Method| self.exact.iter().find(|(method, _)| method == wanted).map(|(_, rule)| rule);
        if let Some(rule) = exact(method) {
            return Some(rule);
        }
        let group = match method.as_str() {
            "GET" => self.read.as_ref(),
            "HEAD" => exact(&Method::GET).or(self.read.as_ref()),
            "POST" | "PUT" | "PATCH" | "DELETE" => self.write.as_ref(),
            _ => None,
        };
        group.or(self.all.as_ref())
    }

    /// The action by which a method is decided, as `explain` shows it.
    pub(super) fn action(&self, method: &Method) -> Option<Action> {
        let exact = |wanted: &Method| self.exact.iter().any(|(method, _)| method == wanted);
        if exact(method) {
            return Some(Action::Method(method.clone()));
        }
        match method.as_str() {
            "HEAD" if exact(&Method::GET) => Some(Action::Method(Method::GET)),
            "GET" | "HEAD" if self.read.is_some() => Some(Action::Read),
            "POST" | "PUT" | "PATCH" | "DELETE" if self.write.is_some() => Some(Action::Write),
            _ => self.all.as_ref().map(|_| Action::All),
        }
    }

    /// The methods that some rule is for, where none is for the one that is asked. Whose network may not come here is
    /// not told.
    pub(super) fn methods_instead(&self, question: &Question<'_>) -> Option<String> {
        let may_come = self.from.is_empty() || self.is_from(question.address);
        if question.upgrade || !may_come || self.rule(question.method).is_some() {
            return None;
        }
        let mut methods: Vec<&str> = self.exact.iter().map(|(method, _)| method.as_str()).collect();
        if self.read.is_some() || methods.contains(&"GET") {
            methods.extend(["GET", "HEAD"]);
        }
        if self.write.is_some() {
            methods.extend(["POST", "PUT", "PATCH", "DELETE"]);
        }
        methods.sort_unstable();
        methods.dedup();
        Some(methods.join(", "))
    }

    /// Whom the rule for a method lets in, as the file says it.
    pub(super) fn text(&self, method: &Method) -> Option<&str> {
        self.rule(method).map(|rule| rule.text.as_str())
    }

    /// Whether any action lets strangers in.
    pub(super) fn is_public(&self) -> bool {
        let rules = [&self.read, &self.write, &self.all].into_iter().flatten();
        rules.chain(self.exact.iter().map(|(_, rule)| rule)).any(|rule| rule.admits(Whom::Nobody))
    }
}

#[derive(Clone, Copy)]
enum Whom<'a> {
    Nobody,
    SomeGuest,
    Subject(Subject<'a>),
}

impl Test {
    fn admits(&self, whom: Whom<'_>) -> bool {
        match (self, whom) {
            (Self::All(tests), _) => !tests.is_empty() && tests.iter().all(|test| test.admits(whom)),
            (Self::Any(tests), _) => tests.iter().any(|test| test.admits(whom)),
            (Self::Who(Who::Anyone), _) => true,
            (Self::Who(Who::Guest), Whom::SomeGuest) => true,
            (Self::Who(who), Whom::Subject(subject)) => admits(who, subject),
            (Self::Who(_), Whom::Nobody | Whom::SomeGuest) => false,
        }
    }
}

fn admits(who: &Who, subject: Subject<'_>) -> bool {
    let user = subject.user;
    match who {
        Who::Anyone | Who::Guest => true,
        Who::SignedIn => user.kind == Kind::User,
        Who::Service => user.kind == Kind::Service,
        Who::Role(role) => user.has_role(role, subject.provider),
        Who::Provider(provider) => subject.provider == provider,
        Who::Email(pattern) => user.verified_email().is_some_and(|email| pattern.covers(email)),
        Who::VerifiedEmail => user.verified_email().is_some(),
        Who::Data { field, value } => match user.data.get(field) {
            Some(Value::String(text)) => text == value,
            Some(Value::Bool(flag)) => value.parse() == Ok(*flag),
            Some(Value::Number(number)) => value.parse::<serde_json::Number>().is_ok_and(|wanted| wanted == *number),
            _ => false,
        },
        // Policies were replaced by what they require when the rules were compiled.
        Who::Policy(_) | Who::Nobody => false,
    }
}

fn compile_rule(action: &Action, whos: &[Who], policies: &BTreeMap<String, Policy>) -> Result<Rule, RuleError> {
    if whos.is_empty() {
        return Err(RuleError::NobodyNamed(action.clone()));
    }
    if whos.len() > 1 && whos.contains(&Who::Anyone) {
        return Err(RuleError::AnyoneAmongOthers(action.clone()));
    }
    let text = whos.iter().map(Who::to_string).collect::<Vec<_>>().join(" or ");
    Ok(Rule { tests: compile_tests(whos, policies, &mut Vec::new())?, text })
}

fn compile_tests(
    whos: &[Who],
    policies: &BTreeMap<String, Policy>,
    open: &mut Vec<String>,
) -> Result<Vec<Test>, RuleError> {
    let mut tests = Vec::with_capacity(whos.len());
    for who in whos {
        let Who::Policy(name) = who else {
            tests.push(Test::Who(who.clone()));
            continue;
        };
        if open.contains(name) {
            return Err(RuleError::PolicyLoop(name.clone()));
        }
        let policy = policies.get(name).ok_or_else(|| RuleError::UnknownPolicy(name.clone()))?;
        open.push(name.clone());
        tests.push(match policy {
            Policy::All(whos) => Test::All(compile_tests(whos, policies, open)?),
            Policy::Any(whos) => Test::Any(compile_tests(whos, policies, open)?),
        });
        open.pop();
    }
    Ok(tests)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
