use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::fetch::scripted::Scripted;
use crate::fetch::{Fetch, Settings};

struct Issuer {
    server: Scripted,
    clock: Clock,
    discovery: Discovery,
}

impl Issuer {
    async fn open() -> Self {
        let server = Scripted::json(&json!({})).await;
        let clock = Clock::manual(Timestamp::from_seconds(1_795_363_200));
        let mut settings = OAuth::new(OAuthKind::Oidc, "app");
        settings.endpoints.issuer = Some(server.url(""));
        let foreign = BTreeSet::from(["https://other.test".to_owned()]);
        let fetch = Fetch::new(&Settings::default()).unwrap();
        let discovery = Discovery::new("corp", &settings, foreign, fetch, clock.clone());
        let issuer = Self { server, clock, discovery };
        issuer.server.say_json(&issuer.document());
        issuer
    }

    fn document(&self) -> Value {
        json!({
            "issuer": self.server.url(""), "authorization_endpoint": self.server.url("/a"),
            "token_endpoint": self.server.url("/t"), "jwks_uri": self.server.url("/k"),
        })
    }

    /// Waits for what is looked up behind the scenes.
    async fn settled(&self) {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        drop(self.discovery.0.flight.lock().await);
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_at_start_greys_its_button_out_and_comes_back_by_itself() {
    let issuer = Issuer::open().await;
    issuer.server.say("HTTP/1.1 500 Internal Server Error\r\n\r\n");
    assert!(issuer.discovery.is_available(), "nothing is known yet");
    issuer.settled().await;
    assert!(!issuer.discovery.is_available());
    issuer.server.say_json(&issuer.document());
    issuer.clock.advance(Duration::from_secs(29));
    for _ in 0..5 {
        assert!(issuer.discovery.endpoints().await.is_err());
        assert!(!issuer.discovery.is_available());
    }
    assert_eq!(issuer.server.count(), 1, "nobody asks again so soon");
    issuer.clock.advance(Duration::from_secs(1));
    assert!(!issuer.discovery.is_available(), "the page is drawn without waiting");
    issuer.settled().await;
    assert!(issuer.discovery.is_available());
    assert_eq!(issuer.server.count(), 2);
}

#[tokio::test]
async fn a_document_is_kept_for_an_hour_and_asked_for_again_before_anybody_waits() {
    let issuer = Issuer::open().await;
    let first = issuer.discovery.endpoints().await.unwrap();
    assert_eq!(first.token, issuer.server.url("/t"));
    issuer.clock.advance(Duration::from_mins(49));
    assert!(issuer.discovery.is_available());
    assert_eq!(issuer.server.count(), 1);
    issuer.clock.advance(Duration::from_mins(2));
    assert!(issuer.discovery.is_available());
    issuer.settled().await;
    assert_eq!(issuer.server.count(), 2);
    issuer.clock.advance(Duration::from_mins(61));
    issuer.server.say("HTTP/1.1 500 Internal Server Error\r\n\r\n");
    assert!(issuer.discovery.endpoints().await.is_err(), "an old document is none");
}

#[tokio::test]
async fn many_at_once_ask_once() {
    let issuer = Issuer::open().await;
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let discovery = issuer.discovery.clone();
            tokio::spawn(async move { discovery.endpoints().await.is_ok() })
        })
        .collect();
    for one in asked {
        assert!(one.await.unwrap());
    }
    assert_eq!(issuer.server.count(), 1);
}

#[tokio::test]
async fn sec_oauth_03_a_document_speaks_for_its_own_issuer_and_leads_to_no_other_provider() {
    for (name, value) in [
        ("issuer", json!("https://evil.test")),
        ("issuer", Value::Null),
        ("token_endpoint", json!("https://other.test/token")),
        ("jwks_uri", json!("https://other.test/keys")),
        ("token_endpoint", json!("file:///etc/passwd")),
        ("token_endpoint", json!("")),
        ("token_endpoint", json!(7)),
    ] {
        let issuer = Issuer::open().await;
        let mut document = issuer.document();
        document[name] = value.clone();
        issuer.server.say_json(&document);
        assert!(issuer.discovery.endpoints().await.is_err(), "{name} {value}");
    }
    assert!(Issuer::open().await.discovery.endpoints().await.is_ok());
    let nulls = Issuer::open().await;
    let mut document = nulls.document();
    for name in ["userinfo_endpoint", "end_session_endpoint", "authorization_response_iss_parameter_supported"] {
        document[name] = Value::Null;
    }
    nulls.server.say_json(&document);
    assert!(nulls.discovery.endpoints().await.is_ok(), "null is as good as nothing");
    let issuer = Issuer::open().await;
    let mut slash = issuer.document();
    slash["issuer"] = json!(format!("{}/", issuer.server.url("")));
    issuer.server.say_json(&slash);
    let first = issuer.discovery.endpoints().await.unwrap_err().to_string();
    let second = issuer.discovery.endpoints().await.unwrap_err().to_string();
    let spellings = format!("is of \"{0}/\", and `issuer` says \"{0}\"", issuer.server.url(""));
    assert!(first.ends_with(&spellings) && second.ends_with(&spellings), "exactly, not nearly: {first} {second}");
}

#[test]
fn microsofts_document_for_all_tenants_is_its_own_and_no_other() {
    use crate::provider::microsoft::{is_of_template, is_template, issuer};
    let (id, template) = ("9122040d-6c67-4c5b-b112-36a304b66dad", issuer("{tenantid}"));
    for asked in ["common", "organizations", "example.com"] {
        assert!(is_template(&template, &issuer(asked)), "{asked}");
    }
    assert!(is_template(&issuer(id), &issuer("example.com")));
    assert!(!is_template(&issuer(id), &issuer("72f988bf-86f1-41af-91ab-2d7cd011db47")));
    assert!(!is_template("https://evil.test/{tenantid}/v2.0", &issuer("common")));
    assert!(is_of_template(&issuer(id), &template));
    for odd in ["common", "", "{tenantid}", "9122040d-6c67-4c5b-b112-36a304b66dad/x"] {
        assert!(!is_of_template(&issuer(odd), &template), "{odd}");
    }
}
