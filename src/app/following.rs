//! What a configuration makes, and how the next one takes its place while requests are under way.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tokio::{
    sync::watch,
    task::{AbortHandle, spawn_local},
};
use tracing::error;

use super::AppError;
use crate::{config::Settings, edge::listener::ListenSettings};

/// What the configuration of the moment has made.
pub(super) struct Current<S>(Rc<RefCell<Rc<S>>>);

impl<S> Clone for Current<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

/// What keeps a listener up to date.
pub(super) struct Following {
    /// How it listens.
    pub(super) listening: watch::Receiver<Arc<ListenSettings>>,
    /// The task that takes over what changes.
    pub(super) task: AbortHandle,
}

impl<S: 'static> Current<S> {
    /// Builds the first one, and from then on one for each configuration that comes. `who` goes on as before if that
    /// fails, which is in the log; a configuration was found to be without fault before it comes here.
    pub(super) fn start(
        mut settings: watch::Receiver<Arc<Settings>>,
        who: &'static str,
        build: impl Fn(&Settings) -> Result<(S, ListenSettings), AppError> + 'static,
    ) -> Result<(Self, Following), AppError> {
        let (first, listen) = build(&settings.borrow_and_update())?;
        let current = Rc::new(RefCell::new(Rc::new(first)));
        let (listen, listening) = watch::channel(Arc::new(listen));
        let follows = Rc::clone(&current);
        let follow = async move {
            while settings.changed().await.is_ok() {
                let settings = Arc::clone(&settings.borrow_and_update());
                match build(&settings) {
                    Ok((next, how)) => {
                        // Requests that are under way end with the one that they began with.
                        follows.replace(Rc::new(next));
                        listen.send_replace(Arc::new(how));
                    }
                    Err(error) => {
                        error!(error = &error as &dyn std::error::Error, "{who} goes on as before");
                    }
                }
            }
            // Settings that nobody can change any more stay.
            std::future::pending::<()>().await;
        };
        let task = spawn_local(follow).abort_handle();
        Ok((Self(current), Following { listening, task }))
    }

    /// The one of this moment.
    pub(super) fn get(&self) -> Rc<S> {
        Rc::clone(&self.0.borrow())
    }
}
