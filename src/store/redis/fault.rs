//! What an error of Redis means for the operation that it answers: did it run, and where should it go now?
//!
//! Invariant: [`Fault::NotRun`] is said of answers alone with which Redis refuses an operation before its first
//! write. A script that fails half-way, or a connection that breaks, may have written.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::settings::Address;

/// What became of an operation that gave no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no connection, and for now there will be none. It did not run.
    Unreachable,
    /// The connection is gone. It may have run.
    Broken,
    /// Nobody waits any longer. It may have run.
    TimedOut,
    /// It did not run.
    NotRun(Instead),
    /// It was refused, and would be again.
    Refused,
}

/// What to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instead {
    /// Ask who has the slot, for it is not this node.
    FindOwner,
    /// Ask that node, this once: the slot is on its way there.
    Ask(Address),
    /// Look for the master: this one is a replica now.
    FindMaster,
    /// Wait a moment: the keys of a slot are on their way, and some have arrived.
    WaitForSlot,
    /// Wait a moment: a slot has no master, or nothing can be written.
    WaitForServers,
    /// Leave the server alone for a while: it loads its data, or runs a script that does not end.
    LeaveAlone,
}

/// Answers that Redis gives before the first write, by their code.
fn instead(code: &str) -> Option<Instead> {
    Some(match code {
        "MOVED" => Instead::FindOwner,
        "READONLY" => Instead::FindMaster,
        "TRYAGAIN" => Instead::WaitForSlot,
        "CLUSTERDOWN" | "NOREPLICAS" => Instead::WaitForServers,
        "LOADING" | "BUSY" | "MASTERDOWN" => Instead::LeaveAlone,
        _ => return None,
    })
}

impl Fault {
    pub(super) fn of(error: &RedisError) -> Self {
        if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) {
            let there = error.redirect_node().and_then(|(address, _)| Address::parse(address));
            return Self::NotRun(there.map_or(Instead::FindOwner, Instead::Ask));
        }
        if let Some(instead) = error.code().and_then(instead).or_else(|| within_a_script(error)) {
            return Self::NotRun(instead);
        }
        if error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() {
            return Self::Broken;
        }
        Self::Refused
    }
}

/// Redis 6 wraps what stopped the first write of a script: `ERR Error running script (call to f_…):
/// @user_script:81: @user_script: 81: -READONLY You can't write …`. Nothing was written before it, for neither
/// changes while a script runs.
fn within_a_script(error: &RedisError) -> Option<Instead> {
    let detail = error.detail().filter(|detail| detail.starts_with("Error running script"))?;
    ["READONLY", "NOREPLICAS"]
        .into_iter()
        .find(|code| detail.contains(&format!(": -{code} ")))
        .and_then(instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(answer: &str) -> Fault {
        let value = redis::parse_redis_value(format!("-{answer}\r\n").as_bytes()).unwrap();
        Fault::of(&value.extract_error().unwrap_err())
    }

    #[test]
    fn what_did_not_run_is_told_from_what_may_have() {
        let there = Address { host: "10.0.0.7".into(), port: 6380 };
        for (answer, instead) in [
            ("MOVED 3999 127.0.0.1:6381", Instead::FindOwner),
            ("ASK 3999 10.0.0.7:6380", Instead::Ask(there)),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Instead::WaitForSlot),
            ("CLUSTERDOWN Hash slot not served", Instead::WaitForServers),
            ("LOADING Redis is loading the dataset in memory", Instead::LeaveAlone),
            ("BUSY Redis is busy running a script.", Instead::LeaveAlone),
            ("MASTERDOWN Link with MASTER is down", Instead::LeaveAlone),
            ("NOREPLICAS Not enough good replicas to write.", Instead::WaitForServers),
            ("READONLY You can't write against a read only replica.", Instead::FindMaster),
            (
                "ERR Error running script (call to f_0a): @user_script:81: @user_script: 81: -READONLY You can't \
                 write against a read only replica.",
                Instead::FindMaster,
            ),
        ] {
            assert_eq!(fault(answer), Fault::NotRun(instead), "{answer}");
        }
        for answer in [
            "ERR Error running script (call to f_0a): @user_script:81: attempt to index nil, READONLY",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "NOPERM this user has no permissions",
            "NOSCRIPT No matching script.",
            "UNBLOCKED force unblock from blocking operation",
            "TFA the ledger has a malformed field x: -READONLY ",
        ] {
            assert_eq!(fault(answer), Fault::Refused, "{answer}");
        }
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Fault::of(&broken.into()), Fault::Broken);
    }
}
