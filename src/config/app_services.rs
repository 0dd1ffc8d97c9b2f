use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::origins::origin;
use super::reader::Reader;
use crate::app_services::{Accounts, Folder, Settings};
use crate::function::{Script, Source};
use crate::provider;

/// `[app_services]`: absent is off.
pub(super) fn read(r: &mut Reader<'_>, providers: &provider::Settings) -> Option<Settings> {
    let doc = "The client API of MongoDB App Services under /api/client/v2.0, for apps that were written against it.";
    r.optional("app_services", doc, |r| {
        let folder = functions(r).unwrap_or_default().without(scripts(providers));
        let place = r.place.clone();
        let app_id = app_id(r);
        if app_id.is_none() && !r.has("app_id") {
            let message = "`app_services` needs `app_id`";
            r.fault(Fault::new(Code::Missing, message, place).help("write app_id = \"blog-abcde\", as apps name it"));
        }
        let accounts = [("named", Accounts::Named), ("hidden", Accounts::Hidden)];
        let what = "Whether register, confirm/send and reset/send tell addresses that have an account from others, as App \
                    Services did; hidden: they answer the same to everybody.";
        Settings {
            app_id: app_id.unwrap_or_default(),
            allowed_origins: allowed_origins(r),
            redirect_uris: redirect_uris(r),
            accounts: r.word("accounts", &accounts, Accounts::default(), what),
            functions: Some(folder),
        }
    })
}

fn app_id(r: &mut Reader<'_>) -> Option<String> {
    let doc = "The client app id that apps name; any other is 404.";
    r.parsed("app_id", (Kind::Text("blog-abcde"), None), doc, |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if (1..=100).contains(&text.len()) && text.chars().all(plain) {
            return Ok(text.to_owned());
        }
        Err(Trouble::new(Code::Form, "`app_id` is not an id such as \"blog-abcde\"")
            .help("1 to 100 letters, digits, - and _"))
    })
}

fn allowed_origins(r: &mut Reader<'_>) -> Vec<String> {
    let kind = Kind::List(Box::new(Kind::Text("https://app.example.com")));
    let doc = "Origins whose pages may call; empty: every origin, of which only those of `redirect_uris` may with cookies. Our own \
               always may.";
    let origins = r.list("allowed_origins", (kind, Some("[]".to_owned())), doc, |text| {
        if text.contains('*') {
            return Err(Trouble::new(Code::Form, "`allowed_origins` takes no wildcards").help("name each origin"));
        }
        let form = Trouble::new(Code::Form, "`allowed_origins` lists origins such as \"https://app.example.com\"");
        origin(text).map_err(|_| form.help("scheme, host and port, without path, query and user"))
    });
    origins.unwrap_or_default().into_iter().map(|(origin, _)| origin).collect()
}

fn redirect_uris(r: &mut Reader<'_>) -> Vec<String> {
    let kind = Kind::List(Box::new(Kind::Text("https://app.example.com/redirect")));
    let doc = "Addresses that a sign-in in a popup may return to with its tokens, exactly as apps name them.";
    let addresses = r.list("redirect_uris", (kind, Some("[]".to_owned())), doc, |text| {
        let form = || Trouble::new(Code::Form, format!("\"{text}\" is not an address of a page"));
        let url = url::Url::parse(text).map_err(|_| form())?;
        if !matches!(url.scheme(), "https" | "http") || url.fragment().is_some() || !url.username().is_empty() {
            return Err(form().help("https://app.example.com/redirect, without a fragment"));
        }
        if url.scheme() == "http" && !super::origins::is_loopback(&url) {
            return Err(
                Trouble::new(Code::Insecure, "`redirect_uris` would carry tokens in the clear").help("use https")
            );
        }
        Ok(text.to_owned())
    });
    addresses.unwrap_or_default().into_iter().map(|(address, _)| address).collect()
}

fn functions(r: &mut Reader<'_>) -> Option<Folder> {
    let doc = "A folder of functions that users may call: name.js, and config.json which says which are private.";
    let reading = r.reading;
    r.parsed("functions", (Kind::Text("functions"), None), doc, |text| {
        Folder::load(&reading.resolve(text)).map_err(|faults| {
            let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Trouble::new(Code::Script, words.join("; ")).help("a relative path begins at the folder of this file")
        })
    })
}

/// Whether anything runs a function in JavaScript.
pub(super) fn runs_javascript(config: &super::Config) -> bool {
    let has_folder = config.app_services.as_ref().is_some_and(|settings| settings.functions.is_some());
    has_folder || scripts(&config.providers).next().is_some()
}

/// Those that decide about sign-ins.
fn scripts(providers: &provider::Settings) -> impl Iterator<Item = &Script> {
    let of_others = providers.others.values().filter_map(|other| match other {
        provider::Other::Function(source) => Some(source),
        provider::Other::OAuth(_) | provider::Other::CustomToken(_) | provider::Other::Own(_) => None,
    });
    let local = providers.local_userpass.iter();
    let of_local = local.flat_map(|local| local.confirm_function.iter().chain(&local.reset_function));
    of_others.chain(of_local).chain(&providers.on_user_created).filter_map(|source| match source {
        Source::JavaScript { script, .. } => Some(script),
        Source::Webhook(_) => None,
    })
}
