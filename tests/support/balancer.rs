//! HAProxy in front of several instances. It knows nothing of sessions.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use super::redis::free_port;
use super::tools::{Program, have};

/// Goes when it is dropped.
pub struct Balancer {
    _program: Program,
    address: SocketAddr,
}

impl Balancer {
    /// Starts one before these ports of this machine; none where there is no HAProxy.
    pub fn start(backends: &[u16]) -> Option<Self> {
        let haproxy = Path::new("haproxy");
        if !have(&[haproxy], "instances behind HAProxy") {
            return None;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let servers: String = backends
            .iter()
            .map(|port| format!("  server i{port} 127.0.0.1:{port} check inter 100ms fall 1 rise 1\n"))
            .collect();
        let text = format!(
            "global\n  maxconn 500\ndefaults\n  mode http\n  timeout connect 500ms\n  timeout client 10s\n  timeout server \
             10s\n  retries 3\n  option redispatch 1\n  option forwardfor\nlisten all\n  bind {address}\n  balance \
             roundrobin\n  option httpchk GET /.auth/jwks.json\n  http-check send hdr Host app.localhost\n{servers}"
        );
        let program = Program::start(haproxy, |command, folder| {
            let file = folder.join("haproxy.cfg");
            std::fs::write(&file, text).unwrap();
            command.args(["-db", "-f"]).arg(file);
        });
        while TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        Some(Self { _program: program, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
