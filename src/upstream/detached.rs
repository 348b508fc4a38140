//! Work for clients who have left: a token that the upstream issues for them is still seen to, within bounds.

use std::{cell::Cell, pin::pin, rc::Rc};

use tokio::{sync::oneshot, task::spawn_local};

/// Of the upstream's connections, one in so many may be used for clients who have left.
const PART: usize = 4;

/// The work of one runtime thread that nobody waits for.
#[derive(Debug)]
pub struct Detached {
    count: Cell<usize>,
    count_max: usize,
}

impl Detached {
    /// A part of so many connections at most.
    pub fn of(connections_max: usize) -> Rc<Self> {
        Rc::new(Self { count: Cell::new(0), count_max: connections_max.div_ceil(PART) })
    }

    /// Does some work to its end, in a task of its own, which nobody cancels when the client leaves. `unheard` is given
    /// what came of it for somebody who has left. `None` where it was given up.
    pub async fn to_the_end<T: 'static>(
        self: &Rc<Self>,
        work: impl Future<Output = T> + 'static,
        unheard: impl FnOnce(T) + 'static,
    ) -> Option<T> {
        let (mut told, outcome) = oneshot::channel();
        let detached = Rc::clone(self);
        spawn_local(async move {
            let mut work = pin!(work);
            let done = tokio::select! {
                biased;
                done = &mut work => Some(done),
                () = told.closed() => None,
            };
            let done = match done {
                Some(done) => done,
                None => match detached.enter() {
                    Some(_place) => work.await,
                    // So many have left that they would keep everybody else out.
                    None => return,
                },
            };
            if let Err(done) = told.send(done) {
                unheard(done);
            }
        });
        outcome.await.ok()
    }

    fn enter(self: &Rc<Self>) -> Option<Place> {
        (self.count.get() < self.count_max).then(|| {
            self.count.set(self.count.get() + 1);
            Place(Rc::clone(self))
        })
    }
}

struct Place(Rc<Detached>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get().saturating_sub(1));
    }
}
