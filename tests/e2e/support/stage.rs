//! A gateway between a store and an upstream: what most tests start from.

use std::sync::Arc;

use super::{
    clock::{Clock, Passcodes},
    gateway::{Gateway, GatewayConfig},
    http::{Response, exchange},
    redis::RedisServer,
    request::TokenRequest,
    upstream::{Kind, Upstream},
};

/// Where enrolments and attempts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// A `redis-server` of the test's own.
    Redis,
    /// One file beside gateway.toml.
    Embedded,
}

/// All parts, in the order in which they end.
pub(crate) struct Stage {
    gateway: Option<Gateway>,
    pub(crate) config: GatewayConfig,
    pub(crate) redis: Option<RedisServer>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) clock: Clock,
}

impl Stage {
    /// Store, php upstream and configuration, and no gateway yet.
    pub(crate) fn prepared(store: StoreKind) -> Self {
        Self::assembled(store, Arc::new(Upstream::start(Kind::Php)), Clock::real())
    }

    /// The same with a clock that the test moves.
    pub(crate) fn prepared_with_movable_clock(store: StoreKind) -> Self {
        Self::assembled(store, Arc::new(Upstream::start(Kind::Php)), Clock::movable())
    }

    /// The same in front of an upstream that the tests share.
    pub(crate) fn prepared_in_front_of(kind: Kind, store: StoreKind) -> Self {
        Self::assembled(store, Upstream::shared(kind), Clock::real())
    }

    /// The same in front of an upstream of the test's own.
    pub(crate) fn prepared_before(upstream: Upstream, store: StoreKind) -> Self {
        Self::assembled(store, Arc::new(upstream), Clock::real())
    }

    /// With the gateway serving, and nobody enrolled.
    pub(crate) fn serving(store: StoreKind) -> Self {
        let mut stage = Self::prepared(store);
        stage.serve();
        stage
    }

    /// With the gateway serving and alice enrolled.
    pub(crate) fn with_alice(store: StoreKind) -> (Self, Person) {
        let mut stage = Self::prepared(store);
        let alice = stage.enrol("alice");
        stage.serve();
        (stage, alice)
    }

    fn assembled(store: StoreKind, upstream: Arc<Upstream>, clock: Clock) -> Self {
        let mut config = GatewayConfig::new(&upstream.url(), &clock);
        // A busy machine is no outage; the tests of outages set a limit of their own.
        config.set("store.timeout_ms", "30000");
        let redis = match store {
            StoreKind::Redis => {
                let redis = RedisServer::start(&clock);
                config.set_text("store.url", &redis.url());
                config.run(&["keys", "generate"]).ok();
                Some(redis)
            }
            StoreKind::Embedded => {
                let file = config.dir().join("gateway.db");
                config.set_text("store.url", &format!("embedded:{}", file.display()));
                None
            }
        };
        Self { gateway: None, config, redis, upstream, clock }
    }

    /// Starts the gateway, or another one in its place.
    pub(crate) fn serve(&mut self) {
        self.gateway = None;
        self.gateway = Some(self.config.serve());
    }

    /// The gateway.
    pub(crate) fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("it serves")
    }

    /// Ends the gateway and returns all that it printed.
    pub(crate) fn stop_gateway(&mut self) -> String {
        self.gateway.take().expect("it serves").stop()
    }

    /// Kills the gateway without warning.
    pub(crate) fn kill_gateway(&mut self) {
        self.gateway.take().expect("it serves").kill();
    }

    /// Kills the gateway without warning and starts another one.
    pub(crate) fn crash_and_serve(&mut self) {
        self.gateway.take().expect("it serves").kill();
        self.serve();
    }

    /// The Redis of a stage on Redis.
    pub(crate) fn redis(&mut self) -> &mut RedisServer {
        self.redis.as_mut().expect("a stage on Redis")
    }

    /// The upstream of a stage that shares it with nobody.
    pub(crate) fn own_upstream(&mut self) -> &mut Upstream {
        Arc::get_mut(&mut self.upstream).expect("the only one who holds it")
    }

    /// Enrols someone with the command line.
    pub(crate) fn enrol(&self, subject: &str) -> Person {
        let enrolled = self.config.run(&["enrol", subject, "--json"]).json();
        let secret = enrolled["secret"].as_str().expect("a secret").to_owned();
        let factor_id = enrolled["factor_id"].as_str().expect("a factor id").to_owned();
        Person { passcodes: Passcodes::of(&secret), secret, factor_id, clock: self.clock.clone() }
    }

    /// Sends a token request through the gateway.
    pub(crate) fn send(&self, request: &TokenRequest) -> Response {
        self.send_raw(&request.bytes())
    }

    /// Sends bytes to the gateway.
    pub(crate) fn send_raw(&self, request: &[u8]) -> Response {
        exchange(self.gateway().address(), request).expect("an answer of the gateway")
    }

    /// Sends a token request to the upstream, past the gateway.
    pub(crate) fn send_directly(&self, request: &TokenRequest) -> Response {
        exchange(self.upstream.address(), &request.bytes()).expect("an answer of the upstream")
    }
}

/// Someone enrolled, with the authenticator in the hand.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) passcodes: Passcodes,
    pub(crate) secret: String,
    pub(crate) factor_id: String,
    clock: Clock,
}

impl Person {
    /// The code on the display.
    pub(crate) fn code(&self) -> String {
        self.passcodes.at(self.clock.now())
    }

    /// The code after that: within the skew already, and a later step.
    pub(crate) fn next_code(&self) -> String {
        self.passcodes.steps_after(self.clock.now(), 1)
    }

    /// So many different wrong codes.
    pub(crate) fn wrong_codes(&self, count: usize) -> Vec<String> {
        self.passcodes.wrong(self.clock.now(), count)
    }

    /// One wrong code.
    pub(crate) fn wrong_code(&self) -> String {
        self.wrong_codes(1).remove(0)
    }
}

/// Makes of each function two tests, one on each store.
macro_rules! on_both_stores {
    ($($(#[$meta:meta])* fn $name:ident($store:ident: $kind:ty) $body:block)*) => {$(
        $(#[$meta])*
        fn $name($store: $kind) $body

        mod $name {
            #[test]
            fn on_redis() {
                super::$name(crate::support::StoreKind::Redis);
            }

            #[test]
            fn on_the_embedded_store() {
                super::$name(crate::support::StoreKind::Embedded);
            }
        }
    )*};
}
pub(crate) use on_both_stores;
