//! A connection as one operation uses it: in the ordinary way, or for once in the place of another node.

use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, Value, aio::ConnectionLike, aio::MultiplexedConnection,
};

/// What an operation sends its commands on.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    /// Each command says that this node was named by `ASK`. Both go in one piece, for the next command of anybody
    /// on the connection would use up the permission.
    asking: bool,
}

impl Link {
    pub(super) const fn new(connection: MultiplexedConnection, asking: bool) -> Self {
        Self { connection, asking }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        if !self.asking {
            return self.connection.req_packed_command(command);
        }
        Box::pin(async move {
            let mut both = Pipeline::with_capacity(2);
            both.cmd("ASKING").add_command(command.clone());
            let mut answers = self.connection.req_packed_commands(&both, 1, 1).await?;
            answers.pop().ok_or_else(|| RedisError::from((ErrorKind::UnexpectedReturnType, "no answer")))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
