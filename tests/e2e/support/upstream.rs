//! The real servers of `tests/upstreams`.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command},
    sync::{Arc, OnceLock},
};

use data_encoding::{BASE64, HEXLOWER};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use super::process::{PATIENCE, end, free_port, lines, scratch, spawn};

/// Which product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// PHP's request parser under a token endpoint as loose as Drupal's; starts in a moment.
    Php,
    /// A server in C.
    Glewlwyd,
    /// A server in Ruby on Rails; takes seconds to start.
    Doorkeeper,
    /// A portal in Perl; takes a second of CPU to start.
    Lemonldap,
    /// Takes every password grant that anything on PHP could read.
    PhpReader,
    /// Takes every password grant that anything on Rails could read.
    RailsReader,
    /// Takes every password grant that anything on Plack or CGI.pm could read.
    PerlReader,
}

impl Kind {
    /// Its directory below `tests/upstreams`.
    const fn directory(self) -> &'static str {
        match self {
            Self::Php => "php",
            Self::Glewlwyd => "glewlwyd",
            Self::Doorkeeper => "doorkeeper",
            Self::Lemonldap => "lemonldap",
            Self::PhpReader => "readers/php",
            Self::RailsReader => "readers/rails",
            Self::PerlReader => "readers/perl",
        }
    }
}

/// One running server.
pub(crate) struct Upstream {
    child: Option<Child>,
    kind: Kind,
    address: SocketAddr,
    dir: TempDir,
}

impl Upstream {
    /// Starts one for this test alone.
    pub(crate) fn start(kind: Kind) -> Self {
        let dir = scratch();
        let mut upstream =
            Self { child: None, kind, address: (Ipv4Addr::LOCALHOST, free_port()).into(), dir };
        upstream.restart();
        upstream
    }

    /// The one that all tests of this process share: for tests that only ask it.
    pub(crate) fn shared(kind: Kind) -> Arc<Self> {
        static PHP: OnceLock<Arc<Upstream>> = OnceLock::new();
        static GLEWLWYD: OnceLock<Arc<Upstream>> = OnceLock::new();
        static DOORKEEPER: OnceLock<Arc<Upstream>> = OnceLock::new();
        static LEMONLDAP: OnceLock<Arc<Upstream>> = OnceLock::new();
        let shared = match kind {
            Kind::Php => &PHP,
            Kind::Glewlwyd => &GLEWLWYD,
            Kind::Doorkeeper => &DOORKEEPER,
            Kind::Lemonldap => &LEMONLDAP,
            Kind::PhpReader | Kind::RailsReader | Kind::PerlReader => {
                panic!("a reader's record is of one test alone")
            }
        };
        Arc::clone(shared.get_or_init(|| Arc::new(Self::start(kind))))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What goes into `[upstream] url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it again on its port.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let name = self.kind.directory();
        let script =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/upstreams").join(name).join("start.sh");
        let mut command = Command::new(script);
        command.arg(self.address.port().to_string()).arg(self.dir.path());
        let mut child = spawn(&command);
        let output = lines(child.stdout.take().expect("a pipe"));
        let errors = lines(child.stderr.take().expect("a pipe"));
        let ready = output.recv_timeout(PATIENCE);
        assert_eq!(
            ready.as_deref().map(str::trim_end),
            Ok("READY"),
            "{name} did not start: {:?}\n{}",
            errors.try_iter().collect::<Vec<_>>(),
            fs::read_to_string(self.dir.path().join("out.log")).unwrap_or_default(),
        );
        self.child = Some(child);
    }

    /// Ends it; connections are refused from now on.
    pub(crate) fn stop(&mut self) {
        end(&mut self.child.take().expect("it runs"));
    }

    /// Freezes it: connections are accepted, and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// All requests that the php fixture received, in their order.
    pub(crate) fn received(&self) -> Vec<Received> {
        assert_eq!(self.kind, Kind::Php, "only the fixture keeps a record");
        let record = fs::read_to_string(self.dir.path().join("requests.jsonl")).expect("the record");
        record.lines().map(|line| Received(serde_json::from_str(line).expect("a JSON line"))).collect()
    }

    /// The requests that the php fixture received while `doing` ran.
    pub(crate) fn received_during<T>(&self, doing: impl FnOnce() -> T) -> (T, Vec<Received>) {
        let before = self.received().len();
        let done = doing();
        (done, self.received().split_off(before))
    }

    /// What a reader wrote down of each request, as JSON, in no order.
    pub(crate) fn readings(&self) -> Vec<Value> {
        let record = fs::read_to_string(self.dir.path().join("readings.jsonl")).expect("the readings");
        record.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// Every access and refresh token that the php fixture ever issued, released or not.
    pub(crate) fn issued_tokens(&self) -> Vec<String> {
        let named = |entry: fs::DirEntry| entry.file_name().into_string().expect("hexadecimal");
        let decoded = |name: String| HEXLOWER.decode(name.as_bytes()).expect("hexadecimal");
        let tokens = fs::read_dir(self.dir.path().join("tokens")).expect("the tokens");
        tokens
            .flatten()
            .map(|entry| String::from_utf8(decoded(named(entry))).expect("text"))
            .map(|token| token.trim_start_matches("refresh:").to_owned())
            .collect()
    }

    /// Makes the php fixture answer every revocation with a status, and revoke nothing; `None`: as it should.
    pub(crate) fn answer_revocations_with(&self, status: Option<u16>) {
        let file = self.dir.path().join("revocation_status");
        match status {
            Some(status) => fs::write(file, status.to_string()).expect("written"),
            None => fs::remove_file(file).expect("removed"),
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = fs::read_to_string(self.dir.path().join("pid")).expect("the pid file");
        let group = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a process number");
        kill_process_group(group, signal).expect("signalled");
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end(child);
        }
    }
}

/// One request as the php fixture received and understood it.
#[derive(Debug)]
pub(crate) struct Received(Value);

impl Received {
    /// The method.
    pub(crate) fn method(&self) -> &str {
        self.0["method"].as_str().expect("a method")
    }

    /// The request target.
    pub(crate) fn target(&self) -> &str {
        self.0["target"].as_str().expect("a target")
    }

    /// A header, by its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0["headers"].as_object()?;
        headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
    }

    /// The body, byte for byte (empty for multipart, which PHP consumes).
    pub(crate) fn body(&self) -> Vec<u8> {
        BASE64.decode(self.0["body"].as_str().expect("a body").as_bytes()).expect("base64")
    }

    /// A parameter as PHP understood it.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.0["post"][name].as_str()
    }

    /// All parameters as PHP understood them.
    pub(crate) fn parameters(&self) -> &Value {
        &self.0["post"]
    }

    /// The status that it answered with, on the token endpoint.
    pub(crate) fn status(&self) -> Option<u64> {
        self.0["status"].as_u64()
    }

    /// Whom the token was issued to: a person, `Some("")` for a client on its own account, `None` for
    /// nobody.
    pub(crate) fn issued_to(&self) -> Option<&str> {
        self.0["issued_to"].as_str()
    }
}
