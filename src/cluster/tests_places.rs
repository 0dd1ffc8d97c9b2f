//! Several servers: who of them counts, and who says so.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::redis_server::{Server, free_port};
use super::tests::{away, budget, settings, up};
use super::*;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// A sentinel that watches one server under the name `main`. It goes with the test.
struct Sentinel {
    port: u16,
    child: Child,
    _folder: TempDir,
}

impl Sentinel {
    fn start(master: u16, more: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nsentinel monitor main 127.0.0.1 {master} 1\nsentinel down-after-milliseconds main 300\n\
             sentinel failover-timeout main 3000\n{more}\n"
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server"])
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { port, child, _folder: folder }
    }

    fn cli(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// With one before it where nobody is.
    fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:1,127.0.0.1:{}/main", self.port)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_master_that_sentinels_name_is_used_also_when_it_becomes_another() {
    let (one, two) = (free_port(), free_port());
    let ports = [one, two].map(|port| port.to_string());
    let Some(mut master) = Server::start(&["--port", &ports[0]]) else { return };
    let replica = Server::start(&["--port", &ports[1], "--replicaof", "127.0.0.1", &ports[0]]).unwrap();
    while !replica.cli(&["INFO", "replication"]).contains("master_link_status:up") {}
    let sentinel = Sentinel::start(one, "");
    let cluster = Cluster::join(&settings(&sentinel.url())).await;
    up(&cluster).await;
    let budgets = [budget("ann", 1, Duration::from_hours(1))];
    assert_eq!(cluster.count("sign_in", &budgets).await, Ok(()));
    while !replica.cli(&["KEYS", "*limit*"]).contains("limit") {}
    // It knows the replica from the master, and needs it to take over.
    while !sentinel.cli(&["SENTINEL", "REPLICAS", "main"]).contains(&ports[1]) {}
    master.signal("KILL");
    away(&cluster).await;
    up(&cluster).await;
    assert!(cluster.count("sign_in", &budgets).await.is_err(), "the replica has counted, too");
}

#[tokio::test]
async fn sentinels_with_a_password_are_asked_with_theirs_and_not_with_that_of_the_server() {
    let port = free_port();
    let Some(_master) = Server::start(&["--port", &port.to_string(), "--requirepass", "of-the-server"]) else { return };
    let watching = "sentinel auth-pass main of-the-server";
    let shared = Sentinel::start(port, &format!("{watching}\nrequirepass of-sentinels"));
    let named =
        Sentinel::start(port, &format!("{watching}\nuser watcher on >of-sentinels ~* &* +@all\nuser default off"));
    let own = |sentinel: &Sentinel, user: Option<&str>, password: Option<&str>| Settings {
        password: Some(Secret::new("of-the-server")),
        sentinel_user: user.map(str::to_owned),
        sentinel_password: password.map(Secret::new),
        ..settings(&sentinel.url())
    };
    for (sentinel, user) in [(&shared, None), (&named, Some("watcher"))] {
        up(&Cluster::join(&own(sentinel, user, Some("of-sentinels"))).await).await;
        for wrong in [None, Some("of-the-server")] {
            let cluster = Cluster::join(&own(sentinel, user, wrong)).await;
            away(&cluster).await;
            assert!(!cluster.is_up());
        }
    }
}

#[tokio::test]
async fn a_redis_cluster_keeps_budgets_and_passes_messages_on() {
    let ports: Vec<String> = (0..3).map(|_| free_port().to_string()).collect();
    let mut nodes = Vec::new();
    for port in &ports {
        let bus = free_port().to_string();
        let settings = ["--port", port, "--cluster-enabled", "yes", "--cluster-port", &bus];
        let Some(node) = Server::start(&settings) else { return };
        nodes.push(node);
    }
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let mut create = std::process::Command::new("redis-cli");
    let created = create.args(["--cluster", "create"]).args(&hosts).arg("--cluster-yes").output().unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
    while nodes.iter().any(|node| !node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")) {}
    let one = Cluster::join(&settings(&format!("redis-cluster://{}", hosts.join(",")))).await;
    let other = Cluster::join(&settings(&format!("redis-cluster://{}", hosts[2]))).await;
    up(&one).await;
    up(&other).await;
    let budgets = [budget("a", 1, Duration::from_hours(1)), budget("b", 1, Duration::from_hours(1))];
    for limit in ["sign_in", "sign_up", "reset", "guest"] {
        assert_eq!(one.count(limit, &budgets).await, Ok(()), "{limit}");
        assert!(other.count(limit, &budgets).await.is_err(), "{limit}");
    }
    one.tell(Subject::User(crate::id::UserId::generate(Timestamp::default())));
    let heard = async {
        while other.numbers().seen() == 0 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), heard).await.unwrap();
}
