//! Where Redis is, and as whom the gateway goes there: one server, the master that Sentinels name, or a Cluster.

use std::{fmt, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisResult, TlsCertificates,
    aio::MultiplexedConnection,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use crate::types::Secret;

/// Where Sentinels listen when a URL does not say.
const SENTINEL_PORT: u16 = 26379;
/// Commands that may wait to be written; more wait for them.
const PIPELINE_MAX: usize = 1024;
/// A connection that is silent for so long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Where Redis is, and how long it may take.
#[derive(Clone)]
pub struct RedisSettings {
    pub(super) topology: Topology,
    pub(super) access: Access,
    pub(super) sentinel_access: Access,
    pub(super) timeout: Duration,
    pub(super) wait_replicas: u32,
}

/// How the servers stand to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topology {
    Standalone(Address),
    Sentinel { sentinels: Vec<Address>, master: String },
    Cluster { seeds: Vec<Address> },
}

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Address {
    /// Reads `HOST:PORT`, as Redis writes it: an IPv6 address without brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

/// As whom one goes to a server, and how.
#[derive(Clone)]
pub(super) struct Access {
    redis: RedisConnectionInfo,
    /// `None`: in clear.
    tls: Option<Arc<TlsCertificates>>,
}

/// Whom to trust, and what to show, with TLS. PEM.
#[derive(Default)]
pub struct RedisTls {
    /// The authorities that are trusted instead of the system's.
    pub authorities: Option<Vec<u8>>,
    /// A certificate of the gateway's own, and its key.
    pub certificate: Option<(Vec<u8>, Secret<Vec<u8>>)>,
}

/// Why a URL is not that of a Redis. It does not repeat the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be redis://[user:password@]host[:port][/db], redis+sentinel://host[:port],…/master[/db], \
     redis+cluster://host[:port],… or the same with rediss"
)]
pub struct RedisUrlFault;

/// Why certificates or a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisTlsFault {
    /// TLS was asked for nowhere.
    #[error("is of use with rediss://, rediss+sentinel:// and rediss+cluster:// only")]
    NoTls,
    /// What should be certificates of authorities is not.
    #[error("must hold certificates, as PEM")]
    Authorities,
    /// What should be a certificate and its key is not.
    #[error("must hold a certificate, and store.key_file its key, as PEM")]
    Certificate,
}

impl fmt::Display for RedisSettings {
    /// Where it is, without user names and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all =
            |addresses: &[Address]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match &self.topology {
            Topology::Standalone(address) => write!(f, "Redis at {address}"),
            Topology::Sentinel { sentinels, master } => {
                write!(f, "Redis, the master {master} of the Sentinels at {}", all(sentinels))
            }
            Topology::Cluster { seeds } => write!(f, "Redis Cluster by way of {}", all(seeds)),
        }
    }
}

impl fmt::Debug for RedisSettings {
    /// Without user names and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("topology", &self.topology)
            .field("timeout", &self.timeout)
            .field("wait_replicas", &self.wait_replicas)
            .finish_non_exhaustive()
    }
}

impl RedisSettings {
    /// Parses the URLs of all topologies. `timeout` bounds connecting and every answer.
    pub fn parse(url: &str, timeout: Duration) -> Result<Self, RedisUrlFault> {
        let (scheme, rest) = url.split_once("://").ok_or(RedisUrlFault)?;
        let (has_tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (false, scheme.strip_prefix("redis").ok_or(RedisUrlFault)?),
        };
        if rest.contains('#') {
            return Err(RedisUrlFault); // redis-rs switches the verification of certificates off with it
        }
        let parsed = match kind {
            "" => Parsed::one(rest)?,
            "+sentinel" => Parsed::many(rest, SENTINEL_PORT)?,
            "+cluster" => Parsed::many(rest, 6379)?,
            _ => return Err(RedisUrlFault),
        };
        let Parsed { mut addresses, path, mut redis } = parsed;
        let topology = match kind {
            "" => Topology::Standalone(addresses.pop().ok_or(RedisUrlFault)?),
            "+sentinel" => {
                let (master, db) = path.split_once('/').unwrap_or((&path, "0"));
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'); // as Sentinel has it
                if master.is_empty() || !master.chars().all(is_name) {
                    return Err(RedisUrlFault);
                }
                redis = redis.set_db(db.parse::<u16>().map_err(|_| RedisUrlFault)?.into());
                Topology::Sentinel { sentinels: addresses, master: master.to_owned() }
            }
            // A cluster has database 0 alone.
            _ if !matches!(path.as_str(), "" | "0") => return Err(RedisUrlFault),
            _ => Topology::Cluster { seeds: addresses },
        };
        let no_certificates = TlsCertificates { client_tls: None, root_cert: None };
        let tls = has_tls.then(|| Arc::new(no_certificates));
        let access = Access { redis, tls: tls.clone() };
        let sentinel_access = Access { redis: RedisConnectionInfo::default(), tls };
        Ok(Self { topology, access, sentinel_access, timeout, wait_replicas: 0 })
    }

    /// Goes to the data as this user, instead of the one of the URL. Without a name: as the default user.
    #[must_use]
    pub fn with_credentials(mut self, username: Option<&str>, password: Option<&Secret<String>>) -> Self {
        self.access = self.access.with_credentials(username, password);
        self
    }

    /// Goes to the Sentinels as this user.
    #[must_use]
    pub fn with_sentinel_credentials(
        mut self,
        username: Option<&str>,
        password: Option<&Secret<String>>,
    ) -> Self {
        self.sentinel_access = self.sentinel_access.with_credentials(username, password);
        self
    }

    /// Trusts and shows these certificates, to all servers.
    pub fn with_tls(mut self, tls: RedisTls) -> Result<Self, RedisTlsFault> {
        let RedisTls { authorities, certificate } = tls;
        if self.access.tls.is_none() {
            return Err(RedisTlsFault::NoTls);
        }
        // Found now, and not when the first connection is made.
        if let Some(authorities) = &authorities {
            let mut store = RootCertStore::empty();
            let certificates = CertificateDer::pem_slice_iter(authorities);
            let mut added = certificates.map(|it| it.is_ok_and(|it| store.add(it).is_ok()));
            if !added.all(|one| one) || store.is_empty() {
                return Err(RedisTlsFault::Authorities);
            }
        }
        if let Some((chain, key)) = &certificate {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
            let key = PrivateKeyDer::from_pem_slice(key.expose());
            let (Ok(chain), Ok(key)) = (chain, key) else { return Err(RedisTlsFault::Certificate) };
            CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
                .map_err(|_| RedisTlsFault::Certificate)?;
        }
        let client_tls = certificate
            .map(|(client_cert, key)| ClientTlsConfig { client_cert, client_key: key.expose().clone() });
        let certificates = Some(Arc::new(TlsCertificates { client_tls, root_cert: authorities }));
        self.access.tls.clone_from(&certificates);
        self.sentinel_access.tls = certificates;
        Ok(self)
    }

    /// An accepted passcode counts when so many replicas have it.
    #[must_use]
    pub const fn with_wait_replicas(mut self, replicas: u32) -> Self {
        self.wait_replicas = replicas;
        self
    }

    /// Whether there are Sentinels.
    pub const fn has_sentinels(&self) -> bool {
        matches!(self.topology, Topology::Sentinel { .. })
    }

    /// Whether a user name or a password stands in the URL.
    pub fn has_credentials(&self) -> bool {
        self.access.redis.username().is_some() || self.access.redis.password().is_some()
    }
}

impl Access {
    fn with_credentials(mut self, username: Option<&str>, password: Option<&Secret<String>>) -> Self {
        if let Some(username) = username {
            self.redis = self.redis.set_username(username);
        }
        if let Some(password) = password {
            self.redis = self.redis.set_password(password.expose());
        }
        self
    }

    fn client(&self, address: &Address) -> RedisResult<Client> {
        let Address { host, port } = address.clone();
        // Small commands, each of which is waited for; and connections that rest at night, behind firewalls.
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        let to = |addr: ConnectionAddr| -> RedisResult<ConnectionInfo> {
            let info = addr.into_connection_info()?;
            Ok(info.set_redis_settings(self.redis.clone()).set_tcp_settings(tcp))
        };
        match &self.tls {
            None => Client::open(to(ConnectionAddr::Tcp(host, port))?),
            Some(certificates) => {
                let addr = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
                Client::build_with_tls(to(addr)?, certificates.as_ref().clone())
            }
        }
    }

    /// Connects, and introduces itself. Whoever calls bounds the time.
    pub(super) async fn connect(&self, address: &Address) -> RedisResult<MultiplexedConnection> {
        // Each answer is waited for as long as the operation may take that it is part of.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_MAX);
        self.client(address)?.get_multiplexed_async_connection_with_config(&config).await
    }
}

struct Parsed {
    addresses: Vec<Address>,
    path: String,
    redis: RedisConnectionInfo,
}

impl Parsed {
    fn one(rest: &str) -> Result<Self, RedisUrlFault> {
        let (address, redis) = read(&format!("redis://{rest}"))?;
        Ok(Self { addresses: vec![address], path: String::new(), redis })
    }

    /// `[user:password@]host[:port],…[/path]`
    fn many(rest: &str, default_port: u16) -> Result<Self, RedisUrlFault> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if rest.contains('?') {
            return Err(RedisUrlFault);
        }
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let mut addresses = Vec::new();
        let mut redis = RedisConnectionInfo::default();
        for host in hosts.split(',') {
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
            let port = if has_port { String::new() } else { format!(":{default_port}") };
            let (address, info) = read(&format!("redis://{user}{host}{port}"))?;
            addresses.push(address);
            redis = info;
        }
        Ok(Self { addresses, path: path.trim_end_matches('/').to_owned(), redis })
    }
}

/// One URL, as redis-rs reads it.
fn read(url: &str) -> Result<(Address, RedisConnectionInfo), RedisUrlFault> {
    let info = url.into_connection_info().map_err(|_| RedisUrlFault)?;
    match info.addr() {
        ConnectionAddr::Tcp(host, port) if !host.is_empty() => {
            Ok((Address { host: host.clone(), port: *port }, info.redis_settings().clone()))
        }
        _ => Err(RedisUrlFault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<RedisSettings, RedisUrlFault> {
        RedisSettings::parse(url, Duration::from_secs(1))
    }

    fn at(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn each_topology_has_its_scheme() {
        let one = parse("redis://u:p%40@h/5").unwrap();
        assert_eq!(one.topology, Topology::Standalone(at("h", 6379)));
        assert_eq!(one.access.redis.username(), Some("u"));
        assert_eq!(one.access.redis.password(), Some("p@"));
        assert_eq!((one.access.redis.db(), one.access.tls.is_some()), (5, false));

        let sentinel = parse("rediss+sentinel://u:p%2C@a:1,b,[::1]:3/my.master-1/2").unwrap();
        let sentinels = vec![at("a", 1), at("b", 26379), at("::1", 3)];
        assert_eq!(sentinel.topology, Topology::Sentinel { sentinels, master: "my.master-1".into() });
        assert_eq!(sentinel.access.redis.password(), Some("p,"));
        assert_eq!((sentinel.access.redis.db(), sentinel.access.tls.is_some()), (2, true));
        assert_eq!(sentinel.sentinel_access.redis.password(), None);
        assert!(sentinel.sentinel_access.tls.is_some());

        let cluster = parse("redis+cluster://:p@a:1,[fe80::2]").unwrap();
        assert_eq!(cluster.topology, Topology::Cluster { seeds: vec![at("a", 1), at("fe80::2", 6379)] });
        assert_eq!(cluster.access.redis.password(), Some("p"));
    }

    #[test]
    fn what_is_no_url_of_a_topology_is_refused() {
        for url in [
            "redis:/h",
            "http://h",
            "redis+unix:///tmp/x",
            "rediss://h/#insecure",
            "redis+sentinel://h",
            "redis+sentinel://h/",
            "redis+sentinel://h/my master",
            "redis+sentinel://h/m/x",
            "redis+sentinel://h,/m",
            "redis+sentinel://h:70000/m",
            "rediss+cluster://h/#insecure",
            "redis+cluster://h/1",
            "redis+cluster://",
            "redis+cluster://h?x=y",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let settings = parse("redis+sentinel://user:hunter22@h/m").unwrap();
        let settings = settings.with_sentinel_credentials(Some("x"), Some(&Secret::new("hunter23".into())));
        assert!(!format!("{settings:?}").contains("hunter"));
    }

    #[test]
    fn certificates_are_of_use_with_tls_only_and_must_be_some() {
        let tls = |text: &str| RedisTls { authorities: Some(text.into()), certificate: None };
        assert_eq!(parse("redis://h").unwrap().with_tls(tls("x")).unwrap_err(), RedisTlsFault::NoTls);
        for text in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let fault = parse("rediss+cluster://h").unwrap().with_tls(tls(text)).unwrap_err();
            assert_eq!(fault, RedisTlsFault::Authorities, "{text}");
        }
        let certificate = Some((b"x".to_vec(), Secret::new(b"x".to_vec())));
        let fault = parse("rediss://h").unwrap().with_tls(RedisTls { authorities: None, certificate });
        assert_eq!(fault.unwrap_err(), RedisTlsFault::Certificate);
    }
}
