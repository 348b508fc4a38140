//! Which server is the master, by what Sentinels say.
//!
//! All are asked at once, and the one whose configuration is the latest is believed: a Sentinel that was cut off
//! still names the master from before the failover, which may still think so itself.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::{ErrorKind, RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::time::timeout;

use super::settings::{Access, Address};

/// For so long after the first answer the others are waited for.
const OTHERS_MAY_TAKE: Duration = Duration::from_millis(100);

pub(super) struct Sentinels {
    access: Access,
    name: String,
    /// With the connection to each, if there is one.
    all: Vec<(Address, RefCell<Option<MultiplexedConnection>>)>,
}

/// What one Sentinel says.
struct Said {
    epoch: u64,
    master: Address,
}

impl Sentinels {
    pub(super) fn new(access: Access, sentinels: Vec<Address>, name: String) -> Self {
        Self { access, name, all: sentinels.into_iter().map(|at| (at, RefCell::default())).collect() }
    }

    /// Where the master is. Whoever calls bounds the time.
    pub(super) async fn master(&self) -> RedisResult<Address> {
        let mut answers: FuturesUnordered<_> =
            self.all.iter().map(|(address, kept)| self.ask(address, kept)).collect();
        let (mut latest, mut fault) = (None::<Said>, None);
        loop {
            let next = answers.next();
            let answer = match &latest {
                None => next.await,
                Some(_) => timeout(OTHERS_MAY_TAKE, next).await.unwrap_or(None),
            };
            match answer {
                Some(Ok(said)) if latest.as_ref().is_none_or(|latest| said.epoch > latest.epoch) => {
                    latest = Some(said);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => fault = Some(error),
                None => break,
            }
        }
        let nobody = || (ErrorKind::MasterNameNotFoundBySentinel, "no Sentinel names a master").into();
        latest.map(|said| said.master).ok_or_else(|| fault.unwrap_or_else(nobody))
    }

    /// One that was asked before may have closed the connection meanwhile: then once more on a new one.
    async fn ask(
        &self,
        address: &Address,
        kept: &RefCell<Option<MultiplexedConnection>>,
    ) -> RedisResult<Said> {
        let used = kept.borrow_mut().take();
        if let Some(mut connection) = used
            && let Ok(said) = self.ask_on(&mut connection).await
        {
            kept.replace(Some(connection));
            return Ok(said);
        }
        let mut connection = self.access.connect(address).await?;
        let said = self.ask_on(&mut connection).await?;
        kept.replace(Some(connection));
        Ok(said)
    }

    async fn ask_on(&self, connection: &mut MultiplexedConnection) -> RedisResult<Said> {
        let mut ask = redis::cmd("SENTINEL");
        let fields: HashMap<String, String> =
            ask.arg("MASTER").arg(&self.name).query_async(connection).await?;
        let number = |name: &str| fields.get(name).and_then(|text| text.parse::<u64>().ok());
        let port = number("port").and_then(|port| u16::try_from(port).ok());
        match (fields.get("ip"), port, number("config-epoch")) {
            (Some(host), Some(port), Some(epoch)) => {
                Ok(Said { epoch, master: Address { host: host.clone(), port } })
            }
            _ => {
                Err(RedisError::from((ErrorKind::UnexpectedReturnType, "SENTINEL MASTER without an address")))
            }
        }
    }
}
