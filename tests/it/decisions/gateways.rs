//! The gateways as `docs/beside-another-proxy.md` sets them up: its snippets are what runs here.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::support::tools::{self, Program};

const GUIDE: &str = include_str!("../../../docs/beside-another-proxy.md");

type Started = Option<(Program, SocketAddr)>;

/// The block of the guide after this heading, with our addresses in place of the examples'.
fn snippet(heading: &str, language: &str, server: SocketAddr, app: SocketAddr) -> String {
    let start = GUIDE.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no chapter {heading}"));
    let fence = format!("```{language}\n");
    let rest = &GUIDE[start..];
    let block = &rest[rest.find(&fence).unwrap_or_else(|| panic!("no {language} in {heading}")) + fence.len()..];
    let block = &block[..block.find("```").unwrap()];
    block.replace("127.0.0.1:8080", &server.to_string()).replace("127.0.0.1:3000", &app.to_string())
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

pub fn nginx(server: SocketAddr, app: SocketAddr) -> Started {
    let program = Path::new("nginx");
    if !tools::have(&[program], "nginx_decides_by_the_table") {
        return None;
    }
    let at = free();
    let inner = snippet("nginx", "nginx", server, app).replace("listen 80;", &format!("listen {at};"));
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
    let program = Path::new("caddy");
    if !tools::have(&[program], "caddy_decides_by_the_table") {
        return None;
    }
    let at = free();
    let text = snippet("Caddy", "caddyfile", server, app)
        .replace("http://blog.example.com", &format!("http://:{}", at.port()));
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
    let text = snippet("HAProxy", "haproxy", server, app).replace("bind :80", &format!("bind {at}"));
    let script = snippet("HAProxy", "lua", server, app);
    let started = Program::start(program, |command, folder| {
        let (config, lua) = (folder.join("haproxy.cfg"), folder.join("vestibule.lua"));
        std::fs::write(&config, text.replace("/etc/haproxy/vestibule.lua", &lua.display().to_string())).unwrap();
        std::fs::write(&lua, script).unwrap();
        command.args(["-db", "-f"]).arg(&config);
    });
    Some((started, at))
}

pub fn envoy(server: SocketAddr, app: SocketAddr) -> Started {
    let program: PathBuf = tools::folder().join("envoy/bin/envoy");
    if !tools::have(&[&program], "envoy_decides_by_the_table") {
        return None;
    }
    let at = free();
    let text = snippet("Envoy", "yaml", server, app);
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
