//! How a connection is made to whichever server counts now.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisError,
    RedisResult, TlsCertificates, Value, from_redis_value,
};
use tokio::time::timeout;

use super::Settings;
use super::address::{Place, Places, Tls};

/// A connection for commands. Many wait for their answers on it at the same time.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Asks, and waits no longer than the settings say.
    pub(super) async fn ask(&mut self, command: &Cmd, limit: Duration) -> RedisResult<Value> {
        let asked = async {
            match self {
                Self::One(connection) => connection.req_packed_command(command).await,
                Self::Cluster(connection) => connection.req_packed_command(command).await,
            }
        };
        // The library's own limit does not count while it looks for the node of a cluster.
        timeout(limit, asked).await.unwrap_or_else(|_| Err(late()))?.extract_error()
    }
}

/// Connects twice: for commands, and for what the others say.
pub(super) async fn both(settings: &Settings) -> RedisResult<(Connection, PubSub)> {
    // Certificates are checked by what everything else here is encrypted with. An error means that it is so already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let limit = settings.connect_timeout;
    timeout(limit, connect(settings)).await.unwrap_or_else(|_| Err(late()))
}

/// A connection for commands alone.
pub(super) async fn one(settings: &Settings) -> RedisResult<Connection> {
    both(settings).await.map(|(connection, _)| connection)
}

async fn connect(settings: &Settings) -> RedisResult<(Connection, PubSub)> {
    match &settings.address.places {
        Places::One(place) => to_one(settings, tcp(settings, place)).await,
        Places::Socket(path) => to_one(settings, ConnectionAddr::Unix(path.clone())).await,
        Places::Sentinel(sentinels, name) => {
            let master = master(settings, sentinels, name).await?;
            to_one(settings, tcp(settings, &master)).await
        }
        Places::Cluster(nodes) => to_cluster(settings, nodes).await,
    }
}

async fn to_one(settings: &Settings, address: ConnectionAddr) -> RedisResult<(Connection, PubSub)> {
    let client = client(settings, address, As::Ourselves)?;
    let connection = client.get_multiplexed_async_connection_with_config(&limits(settings)).await?;
    Ok((Connection::One(connection), client.get_async_pubsub().await?))
}

/// A message reaches every node of a cluster, so any of them says what the others say.
async fn to_cluster(settings: &Settings, nodes: &[Place]) -> RedisResult<(Connection, PubSub)> {
    let infos = nodes.iter().map(|node| info(settings, tcp(settings, node), As::Ourselves));
    let mut builder = ClusterClientBuilder::new(infos.collect::<RedisResult<Vec<_>>>()?)
        .retries(2)
        .connection_timeout(settings.connect_timeout)
        .response_timeout(settings.timeout);
    if let Some(certificates) = certificates(settings)? {
        builder = builder.certs(certificates);
    }
    let connection = builder.build()?.get_async_connection().await?;
    let mut last = late();
    for node in nodes {
        let ear = client(settings, tcp(settings, node), As::Ourselves)?;
        match ear.get_async_pubsub().await {
            Ok(ear) => return Ok((Connection::Cluster(connection), ear)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The server that the first sentinel who answers names ("Guidelines for Redis clients with support for Redis
/// Sentinel").
async fn master(settings: &Settings, sentinels: &[Place], name: &str) -> RedisResult<Place> {
    let mut last = late();
    // One that is silent must not use up the time of the others.
    let each = settings.connect_timeout / u32::try_from(sentinels.len() + 1).unwrap_or(u32::MAX);
    for sentinel in sentinels {
        let asked = async {
            let client = client(settings, tcp(settings, sentinel), As::Asker)?;
            let mut connection = client.get_multiplexed_async_connection_with_config(&limits(settings)).await?;
            let mut command = redis::cmd("SENTINEL");
            command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
            command.query_async::<Option<Place>>(&mut connection).await
        };
        match timeout(each, asked).await {
            Ok(Ok(Some(place))) => return Ok(place),
            Ok(Ok(None)) => last = (ErrorKind::MasterNameNotFoundBySentinel, "the sentinels know no such name").into(),
            Ok(Err(error)) => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}

/// As whom to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Ourselves,
    /// Sentinels have accounts of their own: what is said to one server is not said to another.
    Asker,
}

fn client(settings: &Settings, address: ConnectionAddr, who: As) -> RedisResult<Client> {
    let info = info(settings, address, who)?;
    match certificates(settings)? {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
}

fn info(settings: &Settings, address: ConnectionAddr, who: As) -> RedisResult<ConnectionInfo> {
    let info = address.into_connection_info()?;
    let mut own = info.redis_settings().clone().set_skip_set_lib_name();
    let (user, password) = match who {
        As::Ourselves => (&settings.address.user, settings.password()),
        As::Asker => (&settings.sentinel_user, settings.sentinel_password.as_ref()),
    };
    if who == As::Ourselves {
        own = own.set_db(settings.address.database);
    }
    if let Some(user) = user {
        own = own.set_username(user);
    }
    if let Some(password) = password {
        // The server asks for it.
        own = own.set_password(password.expose());
    }
    Ok(info.set_redis_settings(own))
}

fn tcp(settings: &Settings, (host, port): &Place) -> ConnectionAddr {
    match settings.address.tls {
        Tls::Off => ConnectionAddr::Tcp(host.clone(), *port),
        Tls::Verified => ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None },
    }
}

fn certificates(settings: &Settings) -> RedisResult<Option<TlsCertificates>> {
    let (Tls::Verified, Some(path)) = (settings.address.tls, &settings.ca) else { return Ok(None) };
    let root_cert = Some(std::fs::read(path)?);
    Ok(Some(TlsCertificates { client_tls: None, root_cert }))
}

fn limits(settings: &Settings) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(Some(settings.timeout))
}

fn late() -> RedisError {
    RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))
}

/// An answer as this type.
pub(super) fn read<T: redis::FromRedisValue>(value: Value) -> RedisResult<T> {
    from_redis_value(value).map_err(RedisError::from)
}
