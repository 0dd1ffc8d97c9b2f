use std::borrow::Cow;

use crate::route::{EmailPattern, Subject};

/// Whom a question lets in, of those whom the rules let in: what oauth2-proxy reads in the address at which a gateway
/// asks. Of what one parameter names one is enough; several parameters must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Narrow {
    groups: Option<Vec<String>>,
    emails: Option<Vec<EmailPattern>>,
    domains: Option<Vec<Domain>>,
}

/// A parameter that names nobody, or not as it should; the word is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamesNobody(pub &'static str);

/// The domain of an address: `example.com`; as `.example.com` or `*.example.com` with all below it.
#[derive(Clone, Debug, PartialEq)]
struct Domain {
    name: String,
    with_below: bool,
}

impl Narrow {
    /// What these parameters of a query say; nothing, if they are about other things.
    pub fn read<'q>(query: impl Iterator<Item = (Cow<'q, str>, Cow<'q, str>)>) -> Result<Option<Self>, NamesNobody> {
        let mut narrow = Self::default();
        for (name, value) in query {
            let names = value.split(',').filter(|name| !name.is_empty());
            match &*name {
                GROUPS => extend(&mut narrow.groups, names.map(|name| Some(name.to_owned())), GROUPS)?,
                EMAILS => extend(&mut narrow.emails, names.map(address), EMAILS)?,
                DOMAINS => extend(&mut narrow.domains, names.map(Domain::parse), DOMAINS)?,
                _ => {}
            }
        }
        Ok((narrow != Self::default()).then_some(narrow))
    }

    /// Whether it lets this one in. Roles are groups, and an address counts once it was proved.
    pub fn admits(&self, subject: Subject<'_>) -> bool {
        let email = subject.user.verified_email();
        let is_among = |groups: &[String]| groups.iter().any(|group| subject.user.has_role(group, subject.provider));
        let is_one_of = |emails: &[EmailPattern]| email.is_some_and(|email| emails.iter().any(|one| one.covers(email)));
        let is_of = |domains: &[Domain]| email.is_some_and(|email| domains.iter().any(|domain| domain.covers(email)));
        self.groups.as_deref().is_none_or(is_among)
            && self.emails.as_deref().is_none_or(is_one_of)
            && self.domains.as_deref().is_none_or(is_of)
    }
}

/// A parameter may be repeated; whoever writes one means somebody by it.
fn extend<T>(
    list: &mut Option<Vec<T>>,
    named: impl Iterator<Item = Option<T>>,
    parameter: &'static str,
) -> Result<(), NamesNobody> {
    let named: Vec<T> = named.collect::<Option<_>>().ok_or(NamesNobody(parameter))?;
    if named.is_empty() {
        return Err(NamesNobody(parameter));
    }
    list.get_or_insert_default().extend(named);
    Ok(())
}

/// A whole address: what covers a domain has a parameter of its own.
fn address(text: &str) -> Option<EmailPattern> {
    EmailPattern::parse(text).filter(|pattern| matches!(pattern, EmailPattern::Address(_)))
}

impl Domain {
    fn parse(text: &str) -> Option<Self> {
        let below = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
        let name = below.unwrap_or(text).to_lowercase();
        let is_name = name.split('.').all(|label| !label.is_empty() && !label.contains(['*', '@', ':', '/', ' ']));
        is_name.then_some(Self { name, with_below: below.is_some() })
    }

    fn covers(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        let Some((_, domain)) = address.rsplit_once('@') else { return false };
        let Some(before) = domain.strip_suffix(&self.name) else { return false };
        before.is_empty() || self.with_below && before.ends_with('.')
    }
}

const GROUPS: &str = "allowed_groups";
const EMAILS: &str = "allowed_emails";
const DOMAINS: &str = "allowed_email_domains";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Option<Narrow>, NamesNobody> {
        Narrow::read(url::form_urlencoded::parse(query.as_bytes()))
    }

    #[test]
    fn a_parameter_that_names_nobody_is_a_fault_and_others_are_none() {
        for (query, parameter) in [
            ("allowed_groups=", GROUPS),
            ("allowed_groups", GROUPS),
            ("allowed_groups=a&allowed_groups=,", GROUPS),
            ("allowed_emails=ann", EMAILS),
            ("allowed_emails=*@example.com", EMAILS),
            ("allowed_emails=ann@example.com,*", EMAILS),
            ("allowed_email_domains=*", DOMAINS),
            ("allowed_email_domains=.", DOMAINS),
            ("allowed_email_domains=ann@example.com", DOMAINS),
            ("allowed_email_domains=example.com:443", DOMAINS),
        ] {
            assert_eq!(read(query), Err(NamesNobody(parameter)), "{query}");
        }
        assert_eq!(read("rd=/a&groups=a"), Ok(None));
        assert!(read("allowed_groups=a,,b").unwrap().is_some());
    }

    #[test]
    fn a_domain_covers_what_is_below_it_if_it_says_so() {
        let covers = |text: &str, address: &str| Domain::parse(text).unwrap().covers(address);
        for text in ["example.com", ".example.com", "*.example.com", "Example.COM"] {
            assert!(covers(text, "Ann@Example.com"), "{text}");
            assert!(!covers(text, "ann@evil-example.com"), "{text}");
            assert!(!covers(text, "ann@example.com.evil.test"), "{text}");
            assert!(!covers(text, "example.com"), "{text}");
            assert_eq!(covers(text, "ann@a.example.com"), text.starts_with(['.', '*']), "{text}");
        }
    }
}
