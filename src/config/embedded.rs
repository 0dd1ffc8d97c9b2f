use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Beside, Config, Report, file, parse_with};
use crate::own::Own;
use crate::provider::{Other, Provider};
use crate::route::Spec;

/// What a program that has this library inside says besides the file: the app is the program itself, so routes need no
/// upstream; providers of its own, and roles and routes that it declares, count as if the file named them.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// By their names.
    pub providers: BTreeMap<String, Own<dyn Provider>>,
    /// As `roles`.
    pub roles: BTreeSet<String>,
    /// As lines of `[routes]`.
    pub routes: Vec<Spec>,
}

impl Embedded {
    /// Reads this text as the file of that name.
    ///
    /// # Errors
    /// A [`Report`] of everything that is wrong with it.
    pub fn parse(
        self,
        text: &str,
        name: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Report> {
        parse_with(text, name, environment, Beside { embedded: Some(self), ..Beside::default() })
    }

    /// Reads this file, else the one that [`load`](super::load) would read.
    ///
    /// # Errors
    /// A [`Report`] of everything that is wrong with it.
    pub fn load(
        self,
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Report> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let (name, text) = file(path, &environment)?;
        self.parse(&text, &name, environment)
    }

    /// Adds the providers to what the file has, and gives their names.
    pub(super) fn join(&self, others: &mut BTreeMap<String, Other>) -> impl Iterator<Item = &String> {
        others.extend(self.providers.iter().map(|(name, own)| (name.clone(), Other::Own(own.clone()))));
        self.providers.keys()
    }
}
