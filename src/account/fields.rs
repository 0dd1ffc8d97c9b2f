use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, map};

/// Fields by their names, with values of any type that JSON has: metadata of users, data of the app's own, what an event
/// of the audit log tells.
///
/// It serializes as one JSON object; a [`Store`](crate::store::Store) keeps that and reads it back.
///
/// ```
/// use vestibule::store::Fields;
///
/// let mut data = Fields::new();
/// data.set("name", "Ann");
/// data.set("plans", ["pro", "team"]);
/// assert_eq!(data.text("name"), Some("Ann"));
/// assert_eq!(data.field::<Vec<String>>("plans").map(|plans| plans.len()), Some(2));
/// assert_eq!(data.field::<u32>("name"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Without any.
    pub fn new() -> Self {
        Self::default()
    }

    /// A field that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A field of any type; `None` when it is absent or of another one.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.0.get(name)?).ok()
    }

    /// All of them; `None` when they are of another type.
    pub fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(Value::Object(self.0.clone())).ok()
    }

    /// Sets a field. What is no JSON (a map whose keys are no text, for instance) is null.
    pub fn set(&mut self, name: impl Into<String>, value: impl Serialize) {
        self.0.insert(name.into(), serde_json::to_value(value).unwrap_or_default());
    }

    /// The names of the fields that are there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

// What follows is the house's own way to them: the crate that reads JSON is no part of what programs build on.

#[doc(hidden)]
impl Deref for Fields {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[doc(hidden)]
impl DerefMut for Fields {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

#[doc(hidden)]
impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

#[doc(hidden)]
impl From<Fields> for Map<String, Value> {
    fn from(fields: Fields) -> Self {
        fields.0
    }
}

#[doc(hidden)]
impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}

#[doc(hidden)]
impl PartialEq<Value> for Fields {
    fn eq(&self, other: &Value) -> bool {
        other.as_object() == Some(&self.0)
    }
}

#[doc(hidden)]
impl FromIterator<(String, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

#[doc(hidden)]
impl IntoIterator for Fields {
    type Item = (String, Value);
    type IntoIter = map::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[doc(hidden)]
impl<'a> IntoIterator for &'a Fields {
    type Item = (&'a String, &'a Value);
    type IntoIter = map::Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
