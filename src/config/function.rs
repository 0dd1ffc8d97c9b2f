//! Custom logic: a webhook, or a function in JavaScript.

use std::time::Duration;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use super::value::not_empty;
use crate::function::{Hook, MOST_STACK, Script, Settings, Source};

/// `[functions]`.
pub(super) fn limits(r: &mut Reader<'_>) -> Settings {
    let d = Settings::default();
    let cpu = "Processor time of one call; it holds for built-ins of the language, too.";
    let time = "Time of one call in all, waiting for its turn included.";
    let workers = "Processes that run functions; 0 means one per core, at most four.";
    let (least, most) = (Duration::from_millis(10), Duration::from_secs(60));
    Settings {
        cpu: r.span("cpu", d.cpu, least..=most, cpu),
        time: r.span("time", d.time, least..=most, time),
        memory: r.size("memory", d.memory, 1 << 20..=1 << 30, "Memory of one call."),
        stack: r.size("stack", d.stack, 64 << 10..=MOST_STACK as u64, "Stack of one call."),
        output: r.size("output", d.output, 1 << 10..=16 << 20, "What one call may return, as JSON."),
        workers: r.count("workers", d.workers, 0..=64, workers),
        program: None,
    }
}

/// A table with `javascript`, and perhaps `values`; or with `webhook`.
pub(super) fn read(r: &mut Reader<'_>) -> Option<Source> {
    let file = "A file with a function: exports = async function (payload) { … }.";
    let hook_doc = "A server that is asked by a signed POST.";
    let values_doc = "What the function reads as context.values: text, or where a secret is.";
    let reading = r.reading;
    let script = r.parsed("javascript", (Kind::Text("functions/auth.js"), None), file, |text| {
        script(text, &reading.resolve(not_empty("javascript", text)?))
    });
    let values = r.optional("values", values_doc, |r| r.values(values_doc)).unwrap_or_default();
    let webhook = r.optional("webhook", hook_doc, hook).flatten();
    let conflict = |key: &str, message: &str| {
        r.fault(Fault::new(Code::Conflict, message, r.place_of(key)).help("remove one of them"));
    };
    match (r.has("javascript"), r.has("webhook")) {
        (true, true) => conflict("webhook", "custom logic is in `javascript` or at a `webhook`, not both"),
        (false, true) if r.has("values") => conflict("values", "`values` are for `javascript`; a webhook has its own"),
        (false, false) => {
            let message = "custom logic needs `javascript` or `webhook`";
            let help = "write javascript = \"functions/auth.js\" or webhook = { url = \"https://…\", secret = { … } }";
            r.fault(Fault::new(Code::Missing, message, r.place.clone()).help(help));
        }
        _ => {}
    }
    match (script, webhook) {
        (Some(script), _) => Some(Source::JavaScript { script, values }),
        (None, hook) => hook.map(Source::Webhook),
    }
}

fn script(text: &str, path: &std::path::Path) -> Result<Script, Trouble> {
    Script::load(path).map_err(|fault| {
        let place = fault.line.map_or_else(|| path.display().to_string(), |line| format!("{}:{line}", path.display()));
        let trouble = Trouble::new(Code::Script, format!("{place}: {}", fault.message));
        let is_relative = std::path::Path::new(text).is_relative();
        if path.exists() || !is_relative {
            trouble
        } else {
            trouble.help("a relative path begins at the folder of this file")
        }
    })
}

fn hook(r: &mut Reader<'_>) -> Option<Hook> {
    let secret = "What requests are signed with; of a list the first signs.";
    let timeout = "After so long there is no answer, and nobody is let in.";
    let signed = "Whether answers are signed, too; then one that is not counts for nothing.";
    let url = r.parsed("url", (Kind::Text("https://app.example.com/sign-in"), None), "Where the server is.", address);
    url.iter().for_each(|url| r.asks("url", url));
    let secrets = r.secrets("secret", secret);
    let timeout =
        r.span("timeout", Duration::from_secs(5), Duration::from_millis(100)..=Duration::from_secs(60), timeout);
    let verify_answer = r.flag("verify_answer", false, signed);
    for (key, help) in [("url", "url = \"https://app.example.com/sign-in\""), ("secret", "secret = { env = \"NAME\" }")]
    {
        if !r.has(key) {
            r.fault(Fault::new(Code::Missing, format!("`webhook` needs `{key}`"), r.place.clone()).help(help));
        }
    }
    let mut secrets = secrets?.into_iter();
    Some(Hook { url: url?, secret: secrets.next()?, retired: secrets.collect(), timeout, verify_answer })
}

/// An address without a user.
fn address(text: &str) -> Result<http::Uri, Trouble> {
    let form = || Trouble::new(Code::Form, "`url` is not an address such as https://app.example.com/sign-in");
    let url = url::Url::parse(text).map_err(|_| form())?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() || url.fragment().is_some() {
        return Err(form());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = "`url` holds an account; its password would stand in the file";
        return Err(Trouble::new(Code::SecretLiteral, message).help("requests are signed with `secret` instead"));
    }
    url.as_str().parse().map_err(|_| form())
}
