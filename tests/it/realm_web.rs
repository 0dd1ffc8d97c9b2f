//! The unmodified npm package `realm-web` against the binary, line by line of the checklist in
//! `tests/clients/realm-web`: one server for each group of lines, one Node program that prints `ok N - claim`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::site::{PASSWORD, clean};
use crate::support::tools;
use crate::support::{RecordingUpstream, Site, Vestibule};

/// The id apps name.
pub const APP_ID: &str = "blog-abcde";

/// Everything an app uses, with limits that no test reaches.
pub const APP: &str = r#"
[limits]
sign_in = { per_account = "1000/1m", per_address = "1000/1m" }
sign_up = { per_account = "1000/1m", per_address = "1000/1m" }
reset   = { per_account = "1000/1m", per_address = "1000/1m" }
guest   = { per_address = "1000/1m" }
[app_services]
app_id = "blog-abcde"
functions = "functions"
[providers.anon-user]
[providers.api-key]
[providers.custom-function]
javascript = "functions/auth.js"
"#;

pub const AUTOMATIC: &str = "[providers.local-userpass]\nsign_up = \"open\"\nconfirm = \"automatic\"\n";
const FUNCTION: &str = r#"
[providers.local-userpass]
sign_up = "open"
confirm = "function"
confirm_function = { javascript = "functions/confirm.js" }
reset = "function"
reset_function = { javascript = "functions/reset.js" }
"#;
const MAIL: &str = "[providers.local-userpass]\nsign_up = \"open\"\n";

/// The functions of the app; `auth` signs people in, `secret` is private.
const FUNCTIONS: &[(&str, &str)] = &[
    ("auth.js", AUTH),
    ("confirm.js", "exports = ({ username }) => ({ status: username.split('-')[0] });"),
    ("reset.js", RESET),
    ("echo.js", "exports = (...all) => all[0];"),
    ("whoami.js", "exports = function () { return context.user; };"),
    ("nothing.js", "exports = function () {};"),
    ("throws.js", "exports = async () => { throw new Error('no such thing'); };"),
    ("secret.js", "exports = () => 'secret';"),
    ("numbers.js", "exports = () => ({ whole: 3, half: 0.5, list: [1, -2], long: 4294967296 });"),
    ("deep/add.js", "exports = (a, b) => a + b;"),
    ("typed.js", TYPED),
    ("config.json", CONFIG),
];
const AUTH: &str = "exports = async ({ user, options }) => {
    if (user === 'throws unauthorized') throw 'unauthorized';
    if (user !== 'fay' || options !== undefined) throw new Error(user + ' is not known');
    const data = { first_name: 'Fay', last_name: 'Wray', picture: 'https://img.example.com/f.png', min_age: 21 };
    return { id: 'fay-1', name: 'Fay', data };
};";
const RESET: &str = "exports = ({ username, password, currentPasswordValid }, ...more) => {
    const said = JSON.stringify([currentPasswordValid, ...more]);
    return { status: said === '[false,\"why\",{\"n\":1.5}]' ? 'success' : said === '[true]' ? 'pending' : 'fail' };
};";
const TYPED: &str = "exports = (v) => [v.int, v.big, v.half, v.no, v.yes, v.text].map((x) => typeof x)
    .concat(v.at.$date, v.id.$oid).join(' ');";
const CONFIG: &str = r#"[{"name":"auth"},{"name":"confirm"},{"name":"reset"},{"name":"echo","private":false},{"name":"whoami"},{"name":"nothing"},
    {"name":"throws"},{"name":"secret","private":true},{"name":"numbers"},{"name":"deep/add"},{"name":"typed"}]"#;

/// A server for an app of App Services, whose base URL is where it listens; `None` without Node and the package.
async fn server(upstream: &RecordingUpstream, toml: &str, test: &str) -> Option<Vestibule> {
    Some(site(upstream, toml, &[], test)?.start().await)
}

/// The same with these files more, not started yet.
pub fn site(upstream: &RecordingUpstream, toml: &str, files: &[(&str, &str)], test: &str) -> Option<Site> {
    if !tools::have(&[Path::new("node"), &modules().join("realm-web")], test) {
        return None;
    }
    let head = format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{}\"\n", upstream.url());
    let site = Site::exactly(&format!("{head}{toml}{APP}[mail]\ndirectory = \"outbox\"\n"));
    let functions = FUNCTIONS.iter().map(|(name, text)| (format!("functions/{name}"), *text));
    for (name, text) in functions.chain(files.iter().map(|(name, text)| ((*name).to_owned(), *text))) {
        let path = site.path(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    site.add_user("known@example.com", PASSWORD, &[]);
    let data = r#"{"plan":"pro","owner":{"$oid":"5f1a2b3c4d5e6f7a8b9c0d1e"},"größe":1.5}"#;
    site.cli(&["users", "custom-data", "known@example.com", "--set", data]).success();
    Some(site)
}

/// Where the package is.
pub fn modules() -> PathBuf {
    tools::folder().join("realm-web/node_modules")
}

/// Runs a group of checks and holds it to these lines of the checklist: each is there, and is good.
pub async fn group(server: &Vestibule, name: &str, lines: impl IntoIterator<Item = usize>, more: &[(&str, &str)]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/realm-web/checklist.js");
    let mut command: Command = clean(tools::find(Path::new("node")).unwrap(), &server.path("."));
    command.arg(script).arg(name).env("NODE_PATH", modules()).env("APP_ID", APP_ID);
    command.env("BASE", format!("http://{}", server.address())).envs(more.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (said, faults) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{faults}\n{}", server.log().text());
    for line in lines {
        assert!(said.lines().any(|said| said.starts_with(&format!("ok {line} - "))), "{line} is missing:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn app_01_to_11_replies_are_what_the_sdk_can_read() {
    let upstream = RecordingUpstream::start();
    let Some(server) = server(&upstream, AUTOMATIC, "realm-web: transport").await else { return };
    group(&server, "transport", 1..=11, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_12_to_14_the_location_is_found() {
    let upstream = RecordingUpstream::start();
    let Some(server) = server(&upstream, AUTOMATIC, "realm-web: location").await else { return };
    group(&server, "location", 12..=14, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_15_to_24_people_sign_in() {
    let upstream = RecordingUpstream::start();
    let Some(server) = server(&upstream, AUTOMATIC, "realm-web: login").await else { return };
    group(&server, "login", 15..=24, &[("KNOWN", "known@example.com")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_25_to_34_sessions_live_and_end() {
    let upstream = RecordingUpstream::start();
    let Some(server) = server(&upstream, AUTOMATIC, "realm-web: session").await else { return };
    let key = server.key(&["batch"]);
    group(&server, "session", 25..=34, &[("SERVER_KEY", &key)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_35_to_37_ways_to_sign_in_are_linked() {
    let upstream = RecordingUpstream::start();
    let Some(server) = server(&upstream, AUTOMATIC, "realm-web: linking").await else { return };
    group(&server, "linking", 35..=37, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_38_to_40_accounts_with_email_and_password() {
    let upstream = RecordingUpstream::start();
    let Some(by_mail) = server(&upstream, MAIL, "realm-web: email").await else { return };
    group(&by_mail, "email", 38..=40, &[("BY", "mail")]).await;
    let Some(by_function) = server(&upstream, FUNCTION, "realm-web: email").await else { return };
    group(&by_function, "email", 38..=40, &[("BY", "function")]).await;
    let Some(automatic) = server(&upstream, AUTOMATIC, "realm-web: email").await else { return };
    group(&automatic, "email", 38..=40, &[("BY", "automatic")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_41_to_44_api_keys_live_and_end() {
    let upstream = RecordingUpstream::start();
    let Some(server) = server(&upstream, AUTOMATIC, "realm-web: keys").await else { return };
    group(&server, "keys", 41..=44, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_50_functions_are_called() {
    let upstream = RecordingUpstream::start();
    let Some(server) = server(&upstream, AUTOMATIC, "realm-web: functions").await else { return };
    group(&server, "functions", [50], &[]).await;
}

/// The lines that tests of these sources are named after: `app_01_to_11_…`, `app_11_and_45_to_49_…`.
fn lines(sources: &[&str]) -> BTreeSet<usize> {
    let mut lines = BTreeSet::new();
    for name in sources.iter().flat_map(|source| source.split("\nasync fn app_").skip(1)) {
        let (mut last, mut to) = (None, false);
        for word in name.split(['_', '(']) {
            match (word, word.parse::<usize>()) {
                ("to", _) => to = true,
                ("and", _) => to = false,
                (_, Ok(line)) => {
                    lines.extend(last.filter(|_| to).unwrap_or(line)..=line);
                    last = Some(line);
                }
                _ => break,
            }
        }
    }
    lines
}

#[test]
fn every_line_of_the_checklist_has_a_test_of_its_name() {
    let sources = [include_str!("realm_web.rs"), include_str!("realm_web_page.rs"), include_str!("realm_web_ways.rs")];
    assert_eq!(lines(&sources), (1..=50).collect());
    assert_eq!(lines(&["\nasync fn app_03_to_05_and_9_x()\nasync fn app_7()"]), [3, 4, 5, 7, 9].into());
}
