use super::*;
use crate::layer::{Preset, Source as Carries};
use crate::limit::Rate;
use crate::listen::Tls;
use crate::provider::SignUp;
use crate::route::{Action, Policy, Who};
use crate::secret::Secret;
use std::time::Duration;

fn parse_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, Report> {
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    parse(text, "vestibule.toml", environment)
}

fn good(text: &str) -> Config {
    parse_with(text, &[]).unwrap_or_else(|report| panic!("{report}"))
}

fn codes(text: &str) -> Vec<&'static str> {
    parse_with(text, &[]).unwrap_err().problems.iter().map(|problem| problem.code.id()).collect()
}

#[test]
fn what_the_command_line_listens_on_is_what_an_upstream_must_not_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.toml");
    std::fs::write(&path, "upstream = \"http://localhost:8080\"").unwrap();
    let load = |listen: &[&str]| {
        let listen: Vec<String> = listen.iter().map(|address| (*address).to_owned()).collect();
        load_listening(Some(&path), [], &listen).map(|config| config.listen.addresses)
    };
    assert_eq!(load(&["127.0.0.1:8081"]).unwrap(), ["127.0.0.1:8081"]);
    for listen in [&[][..], &["127.0.0.1:8081", "[::]:8080"]] {
        let report = load(listen).unwrap_err();
        assert_eq!((report.problems[0].code, report.problems[0].column), (Code::Loop, Some(12)), "{report}");
    }
}

#[test]
fn one_line_is_enough() {
    let config = good(include_str!("../../config/minimal.toml"));
    assert_eq!(config, Config::for_upstream("http://127.0.0.1:3000".parse().unwrap()));
    assert_eq!(config.listen.addresses, ["localhost:8080"]);
    assert_eq!(config.prefix, "/.auth");
    assert_eq!(config.providers.local_userpass.unwrap().sign_up, SignUp::Closed);
    assert_eq!(config.store, crate::store::Address::Sqlite("vestibule.db".into()));
    assert_eq!(config.notes, []);
}

#[test]
fn the_blog_of_the_documentation_is_read() {
    let config = good(include_str!("../../config/blog.toml"));
    assert_eq!(config.public_url.unwrap().origin(), "https://blog.example.com");
    assert!(config.providers.anon_user.is_some() && config.providers.api_key.is_none());
    let spec = &config.routes.specs[0];
    assert_eq!(spec.key, "/**");
    let write = (Action::Write, vec![Who::Role("journalist".to_owned())]);
    assert_eq!(spec.actions, [(Action::Read, vec![Who::Guest]), write]);
    assert_eq!(config.notes, []);
}

#[test]
fn every_section_reaches_its_settings() {
    let config = good(
        r#"
        listen = "0.0.0.0:80"
        public_url = "https://a.example"
        roles = ["editor"]
        [trusted_proxies]
        addresses = ["10.0.0.0/8"]
        [session]
        idle_timeout = "1h"
        [limits]
        sign_in = { per_account = "3/m", per_address = "off" }
        body = "1MiB"
        [identity_headers]
        preset = "remote"
        set = { "X-Tenant" = "data.tenant" }
        [mail]
        directory = "outbox"
        [routes]
        "/api/**" = { PATCH = ["role:editor", "signed_in"], upstream = "unix:/a", from = ["::1"], body = "2GiB" }
        "/x" = { all = "policy:staff" }
        [policies]
        staff = ["role:editor", "signed_in"]
        [policies.all]
        require = ["role:editor", "email:*@a.example"]
        "#,
    );
    assert_eq!((config.listen.addresses[0].as_str(), config.trusted_proxies.addresses.len()), ("0.0.0.0:80", 1));
    assert_eq!(config.session.idle_timeout, Duration::from_hours(1));
    assert_eq!(config.limits.sign_in.per_account, Some(Rate::new(3, Duration::from_mins(1))));
    assert_eq!(config.limits.sign_in.per_address, None);
    assert_eq!(config.limits.body, Some(1 << 20));
    assert_eq!(config.identity_headers.preset, Preset::Remote);
    assert_eq!(config.identity_headers.set[0].1, Carries::Data("tenant".to_owned()));
    assert_eq!(config.mail.outbox, crate::mail::Outbox::Directory("outbox".into()));
    let api = &config.routes.specs[0];
    assert_eq!(api.actions[0].0, Action::Method(http::Method::PATCH));
    assert_eq!((api.from.len(), api.body), (1, Some(2 << 30)));
    assert!(matches!(&config.routes.policies["staff"], Policy::Any(whos) if whos.len() == 2));
    assert!(matches!(&config.routes.policies["all"], Policy::All(whos) if whos.len() == 2));
}

#[test]
fn relative_paths_begin_at_the_file() {
    let config = parse("store.url = \"sqlite:a.db\"", "/etc/vestibule/v.toml", []).unwrap();
    assert_eq!(config.store, crate::store::Address::Sqlite("/etc/vestibule/a.db".into()));
}

#[test]
fn variables_override_single_values() {
    let environment = [
        ("VESTIBULE_SESSION__IDLE_TIMEOUT", "2h"),
        ("VESTIBULE_LIMITS__STREAMS", "7"),
        ("VESTIBULE_PROVIDERS__LOCAL_USERPASS__SIGN_UP", "open"),
        ("VESTIBULE_LISTEN", "localhost:9"),
        ("VESTIBULE_CONFIG", "x"),
        ("VESTIBULE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("VESTIBULE_SERVICE_HOST", "10.0.0.1"),
        ("OTHER", "x"),
    ];
    let config = parse_with("[session]\nidle_timeout = \"1h\"", &environment).unwrap();
    assert_eq!(config.session.idle_timeout, Duration::from_hours(2));
    assert_eq!(config.limits.streams, 7);
    assert_eq!(config.listen.addresses, ["localhost:9"]);
    assert_eq!(config.providers.local_userpass.unwrap().sign_up, SignUp::Open);
}

#[test]
fn a_faulty_variable_is_named() {
    let environment = [("VESTIBULE_SESION__CACHE", "1s"), ("VESTIBULE_SESSION__CACHE", "1"), ("VESTIBULE_ROLES", "a")];
    let report = parse_with("", &environment).unwrap_err().to_string();
    for line in [
        "error[VB0110]: environment variable VESTIBULE_SESION__CACHE names no key",
        "help: did you mean VESTIBULE_SESSION__CACHE?",
        "error[VB0104]: `cache` needs a duration with a unit\n --> environment variable VESTIBULE_SESSION__CACHE",
        "error[VB0111]: `roles` is no single value",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

#[test]
fn secrets_come_from_their_sources() {
    let text = |source: &str| {
        format!(
            "[mail]\nfrom = \"a@a.example\"\nsmtp = {{ url = \"smtps://a.example\", user = \"a\", password = {source} }}"
        )
    };
    let password = |config: Config| match config.mail.outbox {
        crate::mail::Outbox::Smtp(smtp) => smtp.password.unwrap().expose().to_owned(),
        other => panic!("{other:?}"),
    };
    let environment = [("SMTP_PASSWORD", "correct horse"), ("VESTIBULE_OTHER", "battery")];
    let one = "{ env = \"SMTP_PASSWORD\" }";
    assert_eq!(password(parse_with(&text(one), &environment[..1]).unwrap()), "correct horse");
    let both = "[{ env = \"SMTP_PASSWORD\" }, { env = \"VESTIBULE_OTHER\" }]";
    assert_eq!(password(parse_with(&text(both), &environment).unwrap()), "correct horse");
    let own = [("VESTIBULE_MAIL__SMTP__PASSWORD", "correct horse")];
    assert_eq!(password(parse_with(&text("{ env = \"GONE\" }"), &own).unwrap()), "correct horse");
    assert_eq!(codes(&text("{ env = \"GONE\" }")), ["VB0202"]);
    assert_eq!(codes(&text("[]")), ["VB0205"]);
}

#[test]
fn authorities_that_are_none_are_a_fault_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("v.toml").display().to_string();
    let text = "upstream = \"http://127.0.0.1:3000\"\n[outgoing]\nca = \"ca.pem\"\n";
    let made = rcgen::generate_simple_self_signed(["idp.internal".to_owned()]).unwrap();
    for (pem, fault) in [(made.cert.pem(), None), (made.signing_key.serialize_pem(), Some(Code::Form))] {
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        assert_eq!(parse(text, &name, []).err().map(|report| report.problems[0].code), fault);
    }
}

#[test]
fn a_private_key_that_cannot_sign_is_a_fault_of_the_file() {
    let apple = "[providers.oauth2-apple]\nservices_id = \"a\"\nteam_id = \"b\"\nkey_id = \"c\"\n";
    let corp = "[providers.oidc]\nissuer = \"https://id.example.com\"\nclient_id = \"a\"\n";
    let pem = |algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem();
    let (p256, p384) = (pem(&rcgen::PKCS_ECDSA_P256_SHA256), pem(&rcgen::PKCS_ECDSA_P384_SHA384));
    for (provider, key, fault) in [
        (apple, p256.as_str(), None),
        (apple, &p384, Some("`private_key`: Apple's keys are of P-256")),
        (corp, &p384, None),
        (corp, &p384.replace("MI", "XX"), Some("`private_key`: no private key in PEM")),
    ] {
        let text = format!("upstream = \"http://127.0.0.1:3000\"\n{provider}private_key.env = \"KEY\"\n");
        let found = parse_with(&text, &[("KEY", key)]).err().map(|report| report.to_string());
        let told = fault.is_none_or(|fault| found.as_ref().is_some_and(|found| found.contains(fault)));
        assert!(found.is_some() == fault.is_some() && told, "{provider} {found:?}");
    }
}

/// SEC-CONF-01
#[cfg(unix)]
#[test]
fn sec_conf_01_exposed_and_weak_secrets_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("v.toml").display().to_string();
    let text =
        "[mail]\nfrom = \"a@a.example\"\n[mail.smtp]\nurl = \"smtps://a.example\"\nuser = \"a\"\npassword.file = \"p\"";
    for (secret, mode, code) in [
        ("correct horse\n", 0o640, None),
        ("correct horse\n", 0o644, Some(Code::SecretExposed)),
        ("correct horse\n", 0o604, Some(Code::SecretExposed)),
        ("changeme\n", 0o600, Some(Code::SecretWeak)),
        ("CHANGEME", 0o600, Some(Code::SecretWeak)),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0o600, Some(Code::SecretWeak)),
        ("\n", 0o600, Some(Code::SecretMissing)),
    ] {
        let path = folder.path().join("p");
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let found = parse(text, &name, []).err().map(|report| report.problems[0].code);
        assert_eq!(found, code, "{secret:?} {mode:o}");
    }
}

/// SEC-CONF-01
#[test]
fn sec_conf_01_an_operators_token_is_not_to_be_guessed() {
    let text = "upstream = \"http://127.0.0.1:3000\"\n[admin]\ntoken.env = \"T\"";
    for (token, code) in [("brass-vane-88-a-b-c", Some(Code::SecretWeak)), ("brass-vane-88-a-b-cd", None)] {
        let found = parse(text, "v.toml", [("T".to_owned(), token.to_owned())]).err();
        assert_eq!(found.map(|report| report.problems[0].code), code, "{token}");
    }
}

#[test]
fn a_literal_secret_is_never_shown() {
    for text in [
        "[mail.smtp]\nurl = \"smtps://a.example\"\nuser = \"a\"\npassword = \"canary\"",
        "[mail]\nsmtp = { url = \"smtps://a.example\", pasword = \"canary\" }",
        "[mail]\nsmtp = { user = 3, password = [\"canary\"] }",
        "[mail]\nsmtp = { url = \"smtps://me:canary@a.example\" }",
        "[mail]\nsmtp = { password = { value = \"canary\" } }",
        "[mail]\nsmtp = { password = { file = 1, value = \"canary\" } }",
        "[mail]\nsmtp = { password = \"\"\"\ncanary\"\"\" }",
        "[mail]\nsmtp = [{ password = \"canary\" }]",
        "[mail]\npassword = \"canary\nx",
        "[mail]\nsmtp = { pasword = \"canary\", x = }",
        "upstream = \"http://me:canary@a.example\"",
        "[cluster]\nredis_secret = \"canary\"",
    ] {
        let report = parse_with(text, &[]).unwrap_err();
        assert!(!report.to_string().contains("canary"), "{report}");
        assert!(!serde_json::to_string(&report.problems).unwrap().contains("canary"), "{report}");
    }
}

/// SEC-CONF-02
#[test]
fn sec_conf_02_nobody_trusts_everybody() {
    for networks in ["\"0.0.0.0/0\"", "\"::/0\"", "\"0.0.0.0/1\", \"128.0.0.0/1\""] {
        assert_eq!(codes(&format!("[trusted_proxies]\naddresses = [{networks}]")), ["VB0112"], "{networks}");
    }
    good("[trusted_proxies]\naddresses = [\"10.0.0.0/8\", \"::1\"]");
}

#[test]
fn a_report_is_in_the_order_of_the_file_and_never_mixes_in_notes() {
    assert_eq!(codes("listen = \"0.0.0.0:1\"\nupstraem = 1\nroles = 1\ncase = \"x\""), ["VB0101", "VB0102", "VB0105"]);
    let notes = good("listen = \"0.0.0.0:1\"\n[routes]\n\"/**\" = { all = \"anyone\" }").notes;
    let found: Vec<_> = notes.iter().map(|note| note.code).collect();
    assert_eq!(found, [Code::NoPublicUrl, Code::OpenToAll, Code::NoUpstream]);
}

#[test]
fn no_tls_file_is_ignored_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("v.toml").display().to_string();
    std::fs::write(folder.path().join("c.pem"), "x").unwrap();
    let without_mode = parse("[tls]\ncertificate = \"c.pem\"", &name, []).unwrap_err();
    assert_eq!(without_mode.problems[0].code, Code::Conflict);
    assert_eq!(parse("[tls]\nmode = \"off\"\ncertificate = \"c.pem\"", &name, []).unwrap().listen.tls, Tls::Off);
}

/// SEC-CONF-06
#[test]
fn sec_conf_06_nothing_in_a_value_is_expanded() {
    let text = "pages.title = \"${HOME} {env.HOME} {{ HOME }} $HOME\"";
    let config = parse_with(text, &[("HOME", "canary")]).unwrap();
    assert_eq!(config.pages.title.as_deref(), Some("${HOME} {env.HOME} {{ HOME }} $HOME"));
}

#[test]
fn sentinels_have_an_account_of_their_own_and_nobody_else_has_it() {
    let with = |redis: &str, more: &str| format!("[cluster]\nredis = \"{redis}\"\n{more}");
    let (account, password) = ("sentinel_user = \"ann\"\n", "sentinel_password = { env = \"S\" }\n");
    let parsed = |text: &str| parse_with(text, &[("S", "canary")]);
    let settings =
        parsed(&with("redis-sentinel://a,b/main", &format!("{account}{password}"))).unwrap().cluster.unwrap();
    assert_eq!(settings.sentinel_user.as_deref(), Some("ann"));
    assert_eq!(settings.sentinel_password, Some(Secret::new("canary")));
    assert!(parsed(&with("redis-sentinel://a,b/main", password)).is_ok());
    for (redis, more, code) in [
        ("redis-sentinel://a,b/main", account, Code::Conflict),
        ("redis-sentinel://a,b/main", "sentinel_password = \"canary\"\n", Code::SecretLiteral),
        ("redis://a", password, Code::Conflict),
        ("redis-cluster://a,b", account, Code::Conflict),
    ] {
        let report = parsed(&with(redis, more)).unwrap_err();
        assert_eq!(report.problems[0].code, code, "{report}");
        assert!(!report.to_string().contains("canary"), "{report}");
    }
    assert_eq!(parsed(&format!("[cluster]\n{password}")).unwrap_err().problems[0].code, Code::Missing);
}
