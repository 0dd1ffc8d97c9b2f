//! Who, in routes and policies: read first, then held against what is declared.

use std::collections::BTreeSet;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::place::Place;
use super::reader::Reading;
use super::suggest::nearest;
use super::tree::{Node, Value};
use super::value::as_text;
use crate::route::Who;

/// Every who of the file, with its place.
#[derive(Debug, Default)]
pub(super) struct Named(Vec<(Who, Place)>);

/// What a who may refer to.
pub(super) struct Declared<'a> {
    pub(super) roles: &'a BTreeSet<String>,
    pub(super) policies: Vec<&'a str>,
    pub(super) providers: Vec<String>,
}

/// What other programs call it.
const ELSEWHERE: [(&str, &str); 9] = [
    ("*", "anyone"),
    ("all", "anyone"),
    ("everyone", "anyone"),
    ("everybody", "anyone"),
    ("public", "anyone"),
    ("anonymous", "guest"),
    ("authenticated", "signed_in"),
    ("user", "signed_in"),
    ("none", "nobody"),
];

impl Named {
    /// Reads one who or a list of them. `None`: nothing of it could be read.
    pub(super) fn read(
        &mut self,
        reading: &Reading,
        key: &str,
        node: &Node,
        declared: &Declared<'_>,
    ) -> Option<Vec<Who>> {
        let nodes = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if nodes.is_empty() {
            let message = format!("`{key}` lists nobody");
            let fault = Fault::new(Code::NobodyNamed, message, node.place.clone());
            reading.fault(fault.help("write \"nobody\" if that is meant"));
            return None;
        }
        let mut whos = Vec::new();
        for item in nodes {
            match self.one(key, item, declared) {
                Ok(who) => whos.push(who),
                Err(trouble) => reading.fault(trouble.at(item.place.clone())),
            }
        }
        if nodes.len() > 1 && whos.contains(&Who::Anyone) {
            let message = "\"anyone\" makes the rest of this list pointless";
            let fault = Fault::new(Code::AnyoneAndOthers, message, node.place.clone());
            reading.fault(fault.help("write \"anyone\" alone, or take it out"));
        }
        (whos.len() == nodes.len()).then_some(whos)
    }

    /// Takes note of one that does not stand in the file.
    pub(super) fn note(&mut self, who: &Who) {
        self.0.push((who.clone(), Place::Whole));
    }

    /// Reports every who that refers to something undeclared.
    pub(super) fn check(&self, reading: &Reading, declared: &Declared<'_>) {
        for (who, place) in &self.0 {
            if let Some(trouble) = declared.trouble(who) {
                reading.fault(trouble.at(place.clone()));
            }
        }
    }

    /// The places of those that fulfil a condition.
    pub(super) fn places(&self, of: impl Fn(&Who) -> bool) -> impl Iterator<Item = &Place> {
        self.0.iter().filter(move |(who, _)| of(who)).map(|(_, place)| place)
    }

    fn one(&mut self, key: &str, node: &Node, declared: &Declared<'_>) -> Result<Who, Trouble> {
        let text = as_text(key, node)?;
        let who: Who = text.parse().map_err(|error: crate::route::WhoError| {
            let trouble = Trouble::new(Code::Who, error.to_string());
            match declared.suggestion(text) {
                Some(meant) => trouble.help(format!("did you mean \"{meant}\"?")),
                None if text.contains(':') => trouble,
                None => trouble.help(format!("who is one of: {}", Who::WORDS.join(", "))),
            }
        })?;
        self.0.push((who.clone(), node.place.clone()));
        Ok(who)
    }
}

impl Declared<'_> {
    fn trouble(&self, who: &Who) -> Option<Trouble> {
        match who {
            Who::Role(role) if !self.roles.contains(role) => {
                let message = format!("role `{role}` is not declared in `roles`, so no account can have it");
                let trouble =
                    self.meant(Code::UndeclaredRole, message, "role", role, self.roles.iter().map(String::as_str));
                let all: Vec<String> = self.roles.iter().chain([role]).map(|role| format!("\"{role}\"")).collect();
                Some(trouble.help(format!("or add it: roles = [{}]", all.join(", "))))
            }
            Who::Policy(policy) if !self.policies.contains(&policy.as_str()) => {
                let message = format!("there is no policy `{policy}`");
                let trouble = self.meant(Code::UnknownPolicy, message, "policy", policy, self.policies.iter().copied());
                Some(trouble.help(format!("or write it: [policies.{policy}] with require = [\"…\"]")))
            }
            Who::Provider(name) if !self.providers.contains(name) => {
                let message = format!("provider `{name}` is not switched on, so nobody can sign in by it");
                let trouble = self.meant(
                    Code::AbsentProvider,
                    message,
                    "provider",
                    name,
                    self.providers.iter().map(String::as_str),
                );
                let on: Vec<String> = self.providers.iter().map(|name| format!("`{name}`")).collect();
                Some(trouble.help(format!("switched on: {}", on.join(", "))))
            }
            Who::Service if !self.providers.iter().any(|name| name == "api-key") => {
                let message = "\"service\" means a server's API key, but the provider `api-key` is not switched on";
                Some(Trouble::new(Code::AbsentProvider, message).help("add [providers.api-key]"))
            }
            _ => None,
        }
    }

    fn meant<'n>(
        &self,
        code: Code,
        message: String,
        word: &str,
        name: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Trouble {
        let trouble = Trouble::new(code, message);
        match nearest(name, names) {
            Some(near) => trouble.help(format!("did you mean \"{word}:{near}\"?")),
            None => trouble,
        }
    }

    /// What somebody meant who wrote a name without its word, or a word that is not quite one.
    fn suggestion(&self, text: &str) -> Option<String> {
        if let Some((word, name)) = text.split_once(':') {
            let prefixes = Who::WORDS.iter().filter_map(|word| word.strip_suffix(':'));
            return match nearest(word, prefixes)? {
                "email" if !name.contains('@') => Some(format!("email:*@{}", name.trim_start_matches('*'))),
                near if near != word => Some(format!("{near}:{name}")),
                _ => None,
            };
        }
        let named = [
            ("role", self.roles.contains(text)),
            ("provider", self.providers.iter().any(|name| name == text)),
            ("policy", self.policies.contains(&text)),
        ];
        if let Some((word, _)) = named.iter().find(|(_, known)| *known) {
            return Some(format!("{word}:{text}"));
        }
        if text.contains('@') {
            return Some(format!("email:{text}"));
        }
        if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == text) {
            return Some((*ours).to_owned());
        }
        nearest(text, Who::WORDS.iter().copied().filter(|word| !word.ends_with(':'))).map(str::to_owned)
    }
}
