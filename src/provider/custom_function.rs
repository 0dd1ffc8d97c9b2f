//! `custom-function`: somebody else's logic says whose account it is.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Account, Deciding, Facts, Named, Parts, Provider, Setup, Verdict};
use crate::function::{Call, Failure, Function, Source};

/// The word of this type in the configuration.
pub const KIND: &str = "custom-function";

/// Hands credentials to a function and reads whom it names.
#[derive(Clone, Debug)]
pub struct CustomFunction {
    provider: String,
    function: Function,
}

impl CustomFunction {
    /// Asks this function, as the provider of this name.
    pub fn new(provider: &str, function: Function) -> Self {
        Self { provider: provider.to_owned(), function }
    }

    /// The provider of this name whose function is there.
    pub(super) fn build(source: &Source, name: &str, parts: &Parts) -> Result<Named, Setup> {
        let function = parts.function(source, name, &format!("providers.{name}.webhook.url"))?;
        let provider = Arc::new(Self::new(name, function));
        Ok(Named { name: name.to_owned(), kind: KIND, label: name.to_owned(), provider })
    }

    async fn ask(&self, credentials: &Map<String, Value>, facts: &Facts) -> Verdict {
        let mut payload = credentials.clone();
        // What an SDK tells of its device is not for the function, as it was not at App Services.
        payload.remove("options");
        let form = if self.function.is_webhook() { Form::Exact } else { Form::Lenient };
        match self.function.run(Call::by_system(&self.provider, payload.into()).during(facts)).await {
            Ok(answer) => read(answer, form),
            Err(Failure::Refused { message, place }) => {
                tracing::info!(provider = self.provider, place, "a function refused a sign-in");
                Verdict::No(message)
            }
            Err(Failure::CannotTell(why)) => Verdict::CannotTell(why),
        }
    }
}

impl Provider for CustomFunction {
    fn sign_in<'a>(&'a self, credentials: &'a Map<String, Value>, facts: &'a Facts) -> Deciding<'a> {
        Box::pin(self.ask(credentials, facts))
    }
}

/// What may stand in an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// What was documented for a webhook (SEC-SSRF-04).
    Exact,
    /// More than that is passed over, as it was at App Services.
    Lenient,
}

/// An id, `{ id }`, `{ id, name }` or `{ id, name, data }`. An address in it is a field like any other: who answers
/// here has proved none.
fn read(answer: Option<Value>, form: Form) -> Verdict {
    let (id, name, data) = match answer {
        Some(Value::Object(mut answer)) => {
            let parts = (answer.remove("id"), answer.remove("name"), answer.remove("data"));
            if form == Form::Exact && !answer.is_empty() {
                return Verdict::CannotTell("its answer has more than `id`, `name` and `data`".into());
            }
            parts
        }
        answer => (answer, None, None),
    };
    let subject = match id {
        Some(Value::String(subject)) if !subject.trim().is_empty() => subject,
        // A webhook says no by 401 or 403, and a function by throwing or by naming nobody.
        _ if form == Form::Exact => return Verdict::CannotTell("its answer has no `id` that is text".into()),
        Some(Value::String(_)) => return Verdict::No("it named no account: the id is empty".into()),
        _ => return Verdict::No("it named no account: no id, or no text".into()),
    };
    let mut data = match data {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(data)) => data,
        Some(_) => return Verdict::CannotTell("`data` in its answer is no object".into()),
    };
    match name {
        None | Some(Value::Null) => {}
        Some(name @ Value::String(_)) => drop(data.insert("name".to_owned(), name)),
        Some(_) => return Verdict::CannotTell("`name` in its answer is no text".into()),
    }
    Verdict::Yes(Box::new(Account { subject, data, ..Account::default() }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(answer: Value) -> Account {
        match read(Some(answer), Form::Lenient) {
            Verdict::Yes(account) => *account,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_id_names_the_account_in_every_form() {
        assert_eq!(account(json!("ann-1")).subject, "ann-1");
        assert_eq!(account(json!({ "id": "ann-1" })).subject, "ann-1");
        let named = account(json!({ "id": "ann-1", "name": "Ann", "data": { "plan": "pro" } }));
        assert_eq!(named.data, *json!({ "name": "Ann", "plan": "pro" }).as_object().unwrap());
    }

    #[test]
    fn what_names_no_account_is_refused() {
        let odd = [json!(7), json!(true), json!([]), json!(["ann-1"]), json!({}), json!({ "id": 7 }), json!(null)];
        for answer in odd.into_iter().chain([json!(""), json!(" "), json!({ "id": null }), json!({ "name": "Ann" })]) {
            assert!(matches!(read(Some(answer.clone()), Form::Lenient), Verdict::No(_)), "{answer}");
        }
        assert!(matches!(read(None, Form::Lenient), Verdict::No(_)));
    }

    #[test]
    fn an_answer_that_makes_no_sense_cannot_be_a_yes() {
        for answer in [json!({ "id": "ann-1", "data": [] }), json!({ "id": "ann-1", "name": { "first": "Ann" } })] {
            assert!(matches!(read(Some(answer.clone()), Form::Lenient), Verdict::CannotTell(_)), "{answer}");
        }
    }

    /// SEC-SSRF-04
    #[test]
    fn sec_ssrf_04_a_webhook_says_what_was_documented_and_no_more() {
        let more = json!({ "id": "ann-1", "allow": "true" });
        assert!(matches!(read(Some(more.clone()), Form::Exact), Verdict::CannotTell(_)));
        assert!(matches!(read(Some(more), Form::Lenient), Verdict::Yes(_)));
        assert!(matches!(read(Some(json!({ "id": "ann-1", "name": "Ann" })), Form::Exact), Verdict::Yes(_)));
        assert!(matches!(read(Some(json!({ "allow": "true" })), Form::Exact), Verdict::CannotTell(_)));
        for nobody in [json!({}), json!({ "id": null }), json!({ "id": 7 }), json!({ "id": " " })] {
            assert!(matches!(read(Some(nobody.clone()), Form::Exact), Verdict::CannotTell(_)), "{nobody}");
        }
    }

    /// SEC-LINK-06
    #[test]
    fn sec_link_06_an_address_in_an_answer_counts_as_unverified() {
        for claim in [json!(true), json!("true"), json!(1)] {
            let account = account(json!({
                "id": "ann-1",
                "email": "ann@example.com",
                "email_verified": claim,
                "verified_email": "ann@example.com",
                "data": { "email": "ann@example.com", "email_verified": claim },
            }));
            assert_eq!((account.verified_email, account.data["email"].as_str()), (None, Some("ann@example.com")));
        }
    }
}
