//! Microsoft Entra ID and personal accounts ("OpenID Connect on the Microsoft identity platform"): one document for
//! all tenants, and addresses that nobody has verified.

use serde_json::{Map, Value};

use super::oauth2::{Asking, Client, Dialect, Error, Grant};
use super::told::{Told, is_true};
use super::{OAuth, openid};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Microsoft;

impl Dialect for Microsoft {
    fn scopes(&self, _: &OAuth) -> Vec<String> {
        ["openid", "email", "profile"].map(str::to_owned).into()
    }

    fn account<'a>(&'a self, client: &'a Client, grant: &'a Grant) -> Asking<'a> {
        Box::pin(async move {
            let claims = client.identified(grant).await?;
            let issuer = text(&claims, "iss").to_owned();
            let tenant = text(&claims, "tid");
            if grant.endpoints.issuer.contains(TENANT) && grant.endpoints.issuer.replace(TENANT, tenant) != issuer {
                return Err(Error::Down("the id_token's tenant and issuer differ".to_owned()));
            }
            let allowed = &client.settings.allow_tenants;
            if !allowed.is_empty() && !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(tenant)) {
                return Err(Error::NotAllowed("the account is of none of allow_tenants".to_owned()));
            }
            let subject = openid::subject(&claims).unwrap_or_default();
            let mut told = Told { issuer, subject, claims, ..Told::default() };
            // Any administrator of any tenant can write any address (nOAuth): it counts as verified only where
            // Microsoft says that the owner of its domain stands behind it.
            let (email, verified) = (told.claims.get("email").cloned(), is_true(told.claims.get("xms_edov")));
            told.verify(email.as_ref(), verified);
            told.alias("given_name", "first_name");
            told.alias("family_name", "last_name");
            told.account(&client.settings)
        })
    }
}

/// The issuer of a tenant, and of `common` and its kin before anybody is known.
pub(super) fn issuer(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

/// Whether a document asked for at `issuer` may call itself so: by the template for all tenants, or by the id of
/// the tenant that was asked for by name.
pub(super) fn is_template(told: &str, issuer: &str) -> bool {
    let Some((start, end)) = around_tenant(issuer) else { return false };
    let tenant = told.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    let asked = issuer.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)).unwrap_or_default();
    tenant.is_some_and(|tenant| tenant == TENANT || (is_id(tenant) && !is_id(asked)))
}

/// Whether an issuer is the template with some tenant's id in it.
pub(super) fn is_of_template(named: &str, template: &str) -> bool {
    let Some((start, end)) = template.split_once(TENANT) else { return false };
    named.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)).is_some_and(is_id)
}

/// What stands before and after the tenant: the last but one part of the path.
fn around_tenant(issuer: &str) -> Option<(&str, &str)> {
    let end = issuer.rfind('/')?;
    let start = issuer[..end].rfind('/')? + 1;
    Some((&issuer[..start], &issuer[end..]))
}

fn is_id(text: &str) -> bool {
    let mut groups =
        text.split('-').map(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(group.len()));
    [8, 4, 4, 4, 12].iter().all(|length| groups.next() == Some(Some(*length))) && groups.next().is_none()
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> &'a str {
    claims.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// How the document for all tenants writes any of them.
const TENANT: &str = "{tenantid}";
