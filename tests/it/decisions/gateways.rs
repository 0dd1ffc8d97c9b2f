//! The gateways as `docs/beside-another-proxy.md` sets them up: its snippets are what runs here.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::support::tools::{self, Program};
use crate::support::traefik::{Middleware, Traefik};

const GUIDE: &str = include_str!("../../../docs/beside-another-proxy.md");

type Started = Option<(Program, SocketAddr)>;

/// The first block of the guide after this heading, with our addresses in place of the examples'.
fn snippet(heading: &str, language: &str, server: &str, app: SocketAddr) -> String {
    let block = *blocks(heading, language).first().unwrap_or_else(|| panic!("no {language} in {heading}"));
    block.replace("127.0.0.1:8080", server).replace("127.0.0.1:3000", &app.to_string())
}

fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let start = format!("\n## {heading}\n");
    let (_, rest) = GUIDE.split_once(&start).unwrap_or_else(|| panic!("no chapter {heading}"));
    let chapter = rest.split("\n## ").next().unwrap();
    chapter.split(&format!("```{language}\n")).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

pub fn nginx(server: SocketAddr, app: SocketAddr) -> Started {
    nginx_asking(&server.to_string(), app)
}

/// The same with any place of Vestibule's, as nginx writes it.
pub fn nginx_asking(server: &str, app: SocketAddr) -> Started {
    nginx_with(&snippet("nginx", "nginx", server, app))
}

/// The same with any configuration that listens on port 80.
pub fn nginx_with(inner: &str) -> Started {
    let program = Path::new("nginx");
    if !tools::have(&[program], "nginx_decides_by_the_table") {
        return None;
    }
    let at = free();
    let inner = inner.replace("listen 80;", &format!("listen {at};"));
    let started = Program::start(program, |command, folder| {
        let config = folder.join("nginx.conf");
        let text = format!(
            "daemon off; worker_processes 1; pid {folder}/pid; error_log stderr info; events {{}}\n\
             http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{inner}\n}}\n",
            folder = folder.display(),
        );
        std::fs::write(&config, text).unwrap();
        command.arg("-p").arg(folder).arg("-c").arg(&config);
    });
    Some((started, at))
}

pub fn caddy(server: SocketAddr, app: SocketAddr) -> Started {
    caddy_with(&snippet("Caddy", "caddyfile", &server.to_string(), app))
}

/// The same with any configuration for this host.
pub fn caddy_with(text: &str) -> Started {
    let program = Path::new("caddy");
    if !tools::have(&[program], "caddy_decides_by_the_table") {
        return None;
    }
    let at = free();
    let text = text.replace("http://blog.example.com", &format!("http://:{}", at.port()));
    let started = Program::start(program, |command, folder| {
        let config = folder.join("Caddyfile");
        std::fs::write(&config, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}")).unwrap();
        command.env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
    });
    Some((started, at))
}

pub fn haproxy(server: SocketAddr, app: SocketAddr) -> Started {
    let program = Path::new("haproxy");
    if !tools::have(&[program], "haproxy_decides_by_the_table") {
        return None;
    }
    let at = free();
    let text = snippet("HAProxy", "haproxy", &server.to_string(), app).replace("bind :80", &format!("bind {at}"));
    let script = snippet("HAProxy", "lua", &server.to_string(), app);
    let started = Program::start(program, |command, folder| {
        let (config, lua) = (folder.join("haproxy.cfg"), folder.join("vestibule.lua"));
        std::fs::write(&config, text.replace("/etc/haproxy/vestibule.lua", &lua.display().to_string())).unwrap();
        std::fs::write(&lua, script).unwrap();
        command.args(["-db", "-f"]).arg(&config);
    });
    Some((started, at))
}

/// Not Traefik itself: a script that does as it does.
pub fn traefik(server: SocketAddr, app: SocketAddr) -> Option<(Traefik, SocketAddr)> {
    let text = snippet("Traefik", "yaml", &server.to_string(), app);
    assert!(text.contains(&format!("address: http://{server}/.auth/check\n")), "{text}");
    assert!(text.contains(" && !PathPrefix(`/.auth/check`)\n"), "{text}");
    assert!(text.contains("\"(?i)^x[^a-z0-9]+auth([^a-z0-9]|$)\""), "what `is_identity` does: {text}");
    let removes = REMOVED;
    for name in removes {
        assert!(text.to_lowercase().contains(&format!(" {name}: \"\"")), "{name}: {text}");
    }
    let middleware =
        Middleware { server, path: "/.auth/check", removes, copies: is_identity, pages: "/.auth/", on_refusal: None };
    let traefik = Traefik::start(middleware, app);
    let at = traefik.address();
    Some((traefik, at))
}

/// `customRequestHeaders` of the guide.
const REMOVED: &[&str] = &[
    "x-original-url",
    "x-original-method",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "http2-settings",
];

/// The expression of the guide.
fn is_identity(name: &str) -> bool {
    let words: Vec<_> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.starts_with(&["x", "auth"])
}

pub fn envoy(server: SocketAddr, app: SocketAddr) -> Started {
    start_envoy(snippet("Envoy", "yaml", &server.to_string(), app), server, app)
}

pub fn envoy_grpc(server: SocketAddr, app: SocketAddr) -> Started {
    let text = snippet("Envoy", "yaml", &server.to_string(), app);
    let [filter, cluster] = blocks("Envoy over gRPC", "yaml")[..] else { panic!("a filter and a cluster") };
    let (before, rest) = text.split_once("          - name: envoy.filters.http.ext_authz\n").unwrap();
    let (_, after) = rest.split_once("          - name: envoy.filters.http.router\n").unwrap();
    let text = [before, filter, "          - name: envoy.filters.http.router\n", after, cluster].concat();
    start_envoy(text, server, app)
}

fn start_envoy(text: String, server: SocketAddr, app: SocketAddr) -> Started {
    let program: PathBuf = tools::folder().join("envoy/bin/envoy");
    if !tools::have(&[&program], "envoy_decides_by_the_table") {
        return None;
    }
    let at = free();
    let port = |address: SocketAddr| format!("port_value: {}", address.port());
    let text = text
        .replace("port_value: 8080", &port(server))
        .replace("port_value: 3000", &port(app))
        .replace("address: 0.0.0.0, port_value: 80", &format!("address: 127.0.0.1, {}", port(at)));
    let started = Program::start(&program, |command, folder| {
        let config = folder.join("envoy.yaml");
        std::fs::write(&config, text).unwrap();
        command.args(["--disable-hot-restart", "--concurrency", "1", "-l", "warning", "-c"]).arg(&config);
    });
    Some((started, at))
}
