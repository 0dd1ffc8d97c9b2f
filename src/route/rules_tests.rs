use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::account::Identity;
use crate::clock::Timestamp;
use crate::id::UserId;

fn user(kind: Kind) -> User {
    User::new(UserId::from_bytes([1; 12]), kind, Timestamp::from_seconds(1))
}

fn rules(actions: &[(&str, &[&str])]) -> Rules {
    let policies = BTreeMap::from([
        ("staff".to_owned(), Policy::All(vec![Who::Role("editor".into()), Who::VerifiedEmail])),
        ("either".to_owned(), Policy::Any(vec![Who::Role("editor".into()), Who::Service])),
    ]);
    let actions = actions
        .iter()
        .map(|(action, whos)| (action.parse().unwrap(), whos.iter().map(|who| who.parse().unwrap()).collect()))
        .collect();
    Rules::compile(&Spec { key: "/**".into(), actions, ..Spec::default() }, &policies).unwrap()
}

fn ask(rules: &Rules, method: &str, user: Option<&User>) -> Result<Authorized, Denied> {
    ask_as(rules, method, user, "local-userpass", false)
}

fn ask_as(
    rules: &Rules,
    method: &str,
    user: Option<&User>,
    provider: &str,
    upgrade: bool,
) -> Result<Authorized, Denied> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let subject = user.map(|user| Subject { user, provider });
    rules.decide(0, &Question { method: &method, upgrade, address: [10, 0, 0, 7].into(), subject })
}

const SIGN_IN: Result<Authorized, Denied> = Err(Denied::SignIn { guest_would_do: false });
const FORBIDDEN: Result<Authorized, Denied> = Err(Denied::Forbidden);

#[test]
fn the_blog_lets_guests_read_and_journalists_write() {
    let blog = rules(&[("read", &["guest"]), ("write", &["role:journalist"])]);
    let (guest, mut ann) = (user(Kind::Guest), user(Kind::User));
    assert_eq!(ask(&blog, "GET", None), Err(Denied::SignIn { guest_would_do: true }));
    assert!(ask(&blog, "GET", Some(&guest)).is_ok());
    assert_eq!(ask(&blog, "POST", None), SIGN_IN);
    assert_eq!(ask(&blog, "POST", Some(&guest)), SIGN_IN);
    assert_eq!(ask(&blog, "POST", Some(&ann)), FORBIDDEN);
    assert_eq!(ask(&blog, "PROPFIND", Some(&ann)), FORBIDDEN);
    ann.roles = BTreeSet::from(["journalist".to_owned()]);
    assert!(ask(&blog, "POST", Some(&ann)).is_ok());
    assert_eq!(ask(&blog, "PROPFIND", Some(&ann)), FORBIDDEN);
}

#[test]
fn an_exact_method_comes_before_its_group_and_all_comes_last() {
    let table = rules(&[("DELETE", &["nobody"]), ("write", &["signed_in"]), ("all", &["anyone"])]);
    let ann = user(Kind::User);
    assert_eq!(ask(&table, "DELETE", Some(&ann)), FORBIDDEN);
    assert!(ask(&table, "POST", Some(&ann)).is_ok());
    assert_eq!(ask(&table, "POST", None), SIGN_IN);
    assert!(ask(&table, "OPTIONS", None).is_ok());
    assert!(ask(&table, "GET", None).is_ok());
}

#[test]
fn sec_meth_02_head_follows_get_and_methods_are_case_sensitive() {
    let table = rules(&[("GET", &["anyone"])]);
    assert!(ask(&table, "HEAD", None).is_ok());
    assert_eq!(ask(&table, "get", None), SIGN_IN);
    assert_eq!(ask(&table, "GETX", None), SIGN_IN);
    assert_eq!(table.action(&Method::HEAD), Some(Action::Method(Method::GET)));
}

#[test]
fn an_upgrade_needs_read_and_write() {
    let blog = rules(&[("read", &["anyone"]), ("write", &["signed_in"])]);
    let ann = user(Kind::User);
    assert!(ask_as(&blog, "GET", None, "", false).is_ok());
    assert_eq!(ask_as(&blog, "GET", None, "", true), SIGN_IN);
    assert!(ask_as(&blog, "GET", Some(&ann), "", true).is_ok());
    assert_eq!(ask_as(&rules(&[("read", &["anyone"])]), "GET", Some(&ann), "", true), FORBIDDEN);
}

#[test]
fn each_who_lets_in_those_it_names_and_no_others() {
    let mut ann = user(Kind::User);
    ann.data = json!({ "plan": "pro", "seats": 3, "tags": ["pro"] }).as_object().unwrap().clone().into();
    ann.roles = BTreeSet::from(["editor".to_owned()]);
    let mut corp = Identity::new("corp", "https://id.example.com", "7", Timestamp::default());
    corp.verified_email = Some("Ann@example.com".into());
    ann.identities = vec![corp];
    let (max, guest, service) = (user(Kind::User), user(Kind::Guest), user(Kind::Service));
    for (who, yes, no) in [
        ("signed_in", &ann, &guest),
        ("signed_in", &ann, &service),
        ("guest", &guest, &guest),
        ("service", &service, &ann),
        ("role:editor", &ann, &max),
        ("email:ann@example.com", &ann, &max),
        ("email:*@example.com", &ann, &max),
        ("verified_email", &ann, &max),
        ("data:plan=pro", &ann, &max),
        ("data:seats=3", &ann, &max),
        ("policy:staff", &ann, &max),
        ("policy:either", &service, &max),
    ] {
        let table = rules(&[("all", &[who])]);
        assert!(ask(&table, "GET", Some(yes)).is_ok(), "{who}");
        assert!(who == "guest" || ask(&table, "GET", Some(no)).is_err(), "{who}");
    }
    assert!(ask(&rules(&[("all", &["data:tags=pro"])]), "GET", Some(&ann)).is_err());
    assert!(ask(&rules(&[("all", &["nobody"])]), "GET", Some(&ann)).is_err());
    assert!(ask_as(&rules(&[("all", &["provider:api-key"])]), "GET", Some(&ann), "api-key", false).is_ok());
    assert!(ask_as(&rules(&[("all", &["provider:api-key"])]), "GET", Some(&ann), "corp", false).is_err());
}

#[test]
fn a_policy_needs_all_it_requires() {
    let mut ann = user(Kind::User);
    ann.roles = BTreeSet::from(["editor".to_owned()]);
    assert_eq!(ask(&rules(&[("all", &["policy:staff"])]), "GET", Some(&ann)), FORBIDDEN);
}

#[test]
fn a_network_that_is_not_named_is_refused_even_where_anyone_may() {
    let mut table = rules(&[("all", &["anyone"])]);
    table.from = vec!["10.0.0.0/8".parse().unwrap()];
    assert!(ask(&table, "GET", None).is_ok());
    table.from = vec!["192.0.2.0/24".parse().unwrap()];
    assert_eq!(ask(&table, "GET", None), FORBIDDEN);
}

#[test]
fn rules_that_cannot_be_meant_are_told() {
    let compile = |actions: Vec<(Action, Vec<Who>)>| {
        let policies = BTreeMap::from([("loop".to_owned(), Policy::Any(vec![Who::Policy("loop".into())]))]);
        Rules::compile(&Spec { key: "/".into(), actions, ..Spec::default() }, &policies).unwrap_err()
    };
    assert_eq!(compile(vec![]), [RuleError::NoAction]);
    assert_eq!(compile(vec![(Action::All, vec![])]), [RuleError::NobodyNamed(Action::All)]);
    assert_eq!(
        compile(vec![(Action::All, vec![Who::Anyone, Who::Guest])]),
        [RuleError::AnyoneAmongOthers(Action::All)]
    );
    assert_eq!(compile(vec![(Action::All, vec![Who::Policy("x".into())])]), [RuleError::UnknownPolicy("x".into())]);
    assert_eq!(compile(vec![(Action::All, vec![Who::Policy("loop".into())])]), [RuleError::PolicyLoop("loop".into())]);
}
