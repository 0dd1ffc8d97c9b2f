use std::time::Duration;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use super::tls;
use crate::listen::{Settings, unix_path};

/// `listen`, `workers`, `[tls]` and `[shutdown]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let d = Settings::default();
    let kind = Kind::OneOrMany(Box::new(Kind::Text("127.0.0.1:8080")));
    let doc = "Where to listen: one host:port or a list of them; localhost means both loopback addresses, port 0 a free one. \
         unix:/path/to/socket for a proxy on this machine, which counts as 127.0.0.1.";
    let addresses = r.list("listen", (kind, Some(format!("{:?}", d.addresses))), doc, place);
    let mut addresses: Option<Vec<String>> = addresses.map(|all| all.into_iter().map(|(address, _)| address).collect());
    if addresses.as_ref().is_some_and(Vec::is_empty) && r.is_empty_list("listen") {
        r.fault(Fault::new(Code::Missing, "`listen` is empty, so nobody could come in", r.place_of("listen")));
    }
    if !r.reading.listen.is_empty() {
        addresses = Some(r.reading.listen.clone());
    }
    let doc = "Worker threads, each with its own sockets and upstream connections; 0 means one per core.";
    let workers = r.count("workers", d.workers, 0..=1024, doc);
    let doc = "The permissions of Unix sockets, as chmod takes them: \"660\" lets the owner and the group in.";
    let octal = (Kind::Text("660"), Some(format!("\"{:o}\"", d.socket_mode)));
    let socket_mode = r.parsed("socket_mode", octal, doc, permissions).unwrap_or(d.socket_mode);
    let tls = r.table("tls", "TLS on every listener.", tls::read);
    let (drain, timeout) = r.table("shutdown", "What happens on SIGTERM.", |r| {
        let bounds = || Duration::ZERO..=Duration::from_hours(1);
        let drain = "How long requests are still taken after SIGTERM, while balancers look elsewhere.";
        let timeout = "How long requests in progress may go on after that.";
        (r.span("drain", d.drain, bounds(), drain), r.span("timeout", d.timeout, bounds(), timeout))
    });
    Settings { addresses: addresses.unwrap_or(d.addresses), socket_mode, tls, workers, drain, timeout }
}

/// Whether only this machine can reach the address.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// An address, or the path of a Unix socket.
fn place(text: &str) -> Result<String, Trouble> {
    let Some(path) = unix_path(text) else { return address(text) };
    let wrong =
        |message: String| Trouble::new(Code::Form, message).help("such as \"unix:/run/vestibule/vestibule.sock\"");
    if !path.is_absolute() || path.file_name().is_none() {
        return Err(wrong("a Unix socket is named by its whole path".to_owned()));
    }
    if path.as_os_str().len() > LONGEST_PATH || text.contains('\0') {
        return Err(wrong(format!("the path of a Unix socket has at most {LONGEST_PATH} bytes")));
    }
    Ok(text.to_owned())
}

fn permissions(text: &str) -> Result<u32, Trouble> {
    let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
    let octal = digits.len() == 3 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if octal && mode & 0o600 == 0o600 => Ok(mode),
        _ => Err(Trouble::new(Code::Form, "`socket_mode` is three octal digits, the first of them 6 or 7")
            .help("\"660\" for the owner and the group, \"666\" for every account of this machine")),
    }
}

pub(super) fn address(text: &str) -> Result<String, Trouble> {
    let form = |help: String| Trouble::new(Code::Form, "`listen` needs a host and a port").help(help);
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if port.is_empty() || port.parse::<u16>().is_err() || port.starts_with('+') {
        let host = if host.is_empty() || host.contains(['/', ':']) { "127.0.0.1" } else { host };
        return Err(form(format!("write \"{host}:8080\"")));
    }
    let named = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let numbered = bracketed.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    if named || numbered {
        return Ok(text.to_owned());
    }
    Err(form(format!("every address: \"0.0.0.0:{port}\" or \"[::]:{port}\"; this machine only: \"localhost:{port}\"")))
}

/// What `sun_path` holds, with the zero at its end (unix(7)).
const LONGEST_PATH: usize = 107;
