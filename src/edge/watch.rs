//! The tripwire around the answers of routes that issue no tokens.
//!
//! An answer that hands a token over is stopped before the value's first byte leaves: with a 502 while its
//! head is still here, and by breaking off afterwards. Its head is held while the beginning of its body is
//! looked at: to its end, or [`HELD_BYTES_MAX`], or for [`HELD_FOR`]. A page and an event stream are
//! held until their first piece is there, and not at all.

use std::{
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Response, Uri, header::CONTENT_TYPE, request, response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use super::{GatewayBody, PassThroughError, body::BodyError};
use crate::{
    oauth::tripwire::{Known, Sight, Tripped, Tripwire},
    step_up::{Audit as _, AuditEvent},
    telemetry::AuditLog,
    upstream::{AnswerBody, UpstreamError},
};

/// Bytes of an answer that are held back with its head.
const HELD_BYTES_MAX: u64 = 64 * 1024;
/// Bytes that are held, at the very most, because what was seen does not tell yet. Every pattern is far shorter.
const UNDECIDED_BYTES_MAX: u64 = 1024 * 1024;
/// How long an answer's head is held back.
const HELD_FOR: Duration = Duration::from_millis(250);

/// What happens to an answer that issues a token where none is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TripwireMode {
    /// It is stopped.
    #[default]
    Stop,
    /// It passes, and the audit trail says so.
    Report,
    /// Nobody looks.
    Off,
}

/// The tripwire's settings.
#[derive(Debug, Clone, Default)]
pub struct TripwireSettings {
    /// What it does.
    pub mode: TripwireMode,
    /// Paths, or beginnings of paths before a `*`, whose answers may issue tokens.
    pub may_issue: Vec<String>,
}

impl TripwireSettings {
    /// Whether a path is one of those that may issue tokens. One that needs decoding is none.
    fn may_issue(&self, path: &str) -> bool {
        let is_plain = |path: &str| {
            path.bytes().all(|b| b.is_ascii_graphic() && !b"%;\\".contains(&b))
                && !path.contains("//")
                && !path.split('/').any(|segment| segment.starts_with('.'))
        };
        let fits = |listed: &String| match listed.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => path == listed,
        };
        !self.may_issue.is_empty() && is_plain(path) && self.may_issue.iter().any(fits)
    }
}

/// Whom it tells, and about what.
#[derive(Debug)]
pub(super) struct Watch {
    mode: TripwireMode,
    audit: Rc<AuditLog>,
    target: Uri,
    known: Known,
}

impl Watch {
    /// `None` where nobody looks.
    pub(super) fn over(
        settings: &TripwireSettings,
        audit: &Rc<AuditLog>,
        asked: &request::Parts,
    ) -> Option<Self> {
        let is_watched = settings.mode != TripwireMode::Off && !settings.may_issue(asked.uri.path());
        is_watched.then(|| Self {
            mode: settings.mode,
            audit: Rc::clone(audit),
            target: asked.uri.clone(),
            known: Known::from_request(&asked.uri, &asked.headers),
        })
    }

    /// Passes an answer on, or says why not.
    pub(super) async fn pass(
        self,
        response: Response<AnswerBody>,
    ) -> Result<Response<GatewayBody>, PassThroughError> {
        let (head, mut body) = response.into_parts();
        let tripwire = match Tripwire::for_answer(&self.known, head.status, &head.headers) {
            Ok(Some(tripwire)) if !body.is_end_stream() => tripwire,
            Ok(_) => return Ok(Response::from_parts(head, body.into())),
            Err(tripped) => {
                self.alarm(tripped)?;
                return Ok(Response::from_parts(head, body.into()));
            }
        };
        let first = body.frame().now_or_never();
        if let Some(Some(Ok(frame))) = &first
            && let Some(data) = frame.data_ref()
            && body.is_end_stream()
        {
            // Most answers are here whole by now.
            if let Err(tripped) = tripwire.whole(data) {
                self.alarm(tripped)?;
            }
            return Ok(Response::from_parts(head, data.clone().into()));
        }
        // Boxed: an answer that is here whole does not hold the room for one that streams.
        Box::pin(self.pass_streamed(tripwire, head, first, body)).await
    }

    async fn pass_streamed(
        self,
        tripwire: Tripwire,
        head: response::Parts,
        first: Option<Polled>,
        mut body: AnswerBody,
    ) -> Result<Response<GatewayBody>, PassThroughError> {
        let mut watched = Watched::new(self, tripwire);
        let media_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let is = |essence: &str| {
            media_type.get(..essence.len()).is_some_and(|m| m.eq_ignore_ascii_case(essence.as_bytes()))
        };
        let length = body.size_hint().exact();
        let pieces = if is("text/event-stream") {
            0
        } else if length.map_or(is("text/html"), |bytes| bytes > HELD_BYTES_MAX) {
            1
        } else {
            usize::MAX
        };
        watched.hold(first, &mut body, pieces).await?;
        if let Some(error) = watched.failed.take() {
            // Nothing has left yet, so the client can be told.
            return Err(UpstreamError::Broken(error.into()).into());
        }
        let body = match watched.as_whole() {
            Some(whole) => whole.into(),
            None => GatewayBody::Watched(Box::new(WatchedBody { watched, body })),
        };
        Ok(Response::from_parts(head, body))
    }

    /// Tells, and stops what is to be stopped.
    fn alarm(&self, tripped: Tripped) -> Result<(), Tripped> {
        let is_stopped = self.mode == TripwireMode::Stop;
        self.audit.record(&AuditEvent::TokenSeen { path: self.target.path(), why: tripped, is_stopped });
        if is_stopped { Err(tripped) } else { Ok(()) }
    }
}

/// What a body gives when it is asked: a piece, an error, or its end.
type Polled = Option<Result<Frame<Bytes>, hyper::Error>>;

/// What was seen of an answer, and how far it may go.
#[derive(Debug)]
struct Watched {
    watch: Watch,
    tripwire: Tripwire,
    /// On its way to the client.
    passing: VecDeque<Frame<Bytes>>,
    /// Held until what follows was seen.
    held: VecDeque<Frame<Bytes>>,
    has_ended: bool,
    /// The upstream broke off.
    failed: Option<hyper::Error>,
}

impl Watched {
    const fn new(watch: Watch, tripwire: Tripwire) -> Self {
        Self {
            watch,
            tripwire,
            passing: VecDeque::new(),
            held: VecDeque::new(),
            has_ended: false,
            failed: None,
        }
    }

    /// Reads so many pieces at most, within the bounds.
    async fn hold(
        &mut self,
        mut first: Option<Polled>,
        body: &mut AnswerBody,
        pieces: usize,
    ) -> Result<(), Tripped> {
        let mut deadline = None;
        let mut bytes = 0;
        // What was taken from the body already is looked at in any case.
        for _ in 0..pieces.max(usize::from(first.is_some())) {
            // No timer is made for what is there already.
            let frame = if let Some(frame) = first.take().or_else(|| body.frame().now_or_never()) {
                frame
            } else {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + HELD_FOR);
                let Ok(frame) = timeout_at(deadline, body.frame()).await else { return Ok(()) };
                frame
            };
            bytes += frame.as_ref().map_or(0, |frame| frame.as_ref().map_or(0, data_len));
            self.take(frame)?;
            if !self.has_ended && body.is_end_stream() {
                self.take(None)?;
            }
            if self.is_decided() || bytes > HELD_BYTES_MAX {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether nothing that comes can change what was said.
    fn is_decided(&self) -> bool {
        self.has_ended || self.failed.is_some() || self.tripwire.is_over() && self.held.is_empty()
    }

    fn take(&mut self, frame: Polled) -> Result<(), Tripped> {
        let frame = match frame {
            None => {
                self.end()?;
                self.has_ended = true;
                return Ok(());
            }
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                // What was held is lost with the rest.
                self.failed = Some(error);
                return Ok(());
            }
        };
        let Some(data) = frame.data_ref() else {
            self.end()?;
            self.passing.push_back(frame);
            return Ok(());
        };
        match self.tripwire.feed(data) {
            Ok(Sight::Clear) => {
                self.passing.append(&mut self.held);
                self.passing.push_back(frame);
            }
            Ok(Sight::Unsure) => {
                self.held.push_back(frame);
                if self.held.iter().map(data_len).sum::<u64>() > UNDECIDED_BYTES_MAX {
                    self.alarm(Tripped::Unreadable("what it is cannot be told"))?;
                    self.passing.append(&mut self.held);
                }
            }
            Err(tripped) => {
                self.alarm(tripped)?;
                self.passing.append(&mut self.held);
                self.passing.push_back(frame);
            }
        }
        Ok(())
    }

    /// The data have ended.
    fn end(&mut self) -> Result<(), Tripped> {
        if let Err(tripped) = self.tripwire.finish() {
            self.alarm(tripped)?;
        }
        self.passing.append(&mut self.held);
        Ok(())
    }

    fn alarm(&mut self, tripped: Tripped) -> Result<(), Tripped> {
        // Once is enough.
        self.tripwire = Tripwire::spent();
        if let Err(tripped) = self.watch.alarm(tripped) {
            self.passing.clear();
            self.held.clear();
            self.has_ended = true;
            return Err(tripped);
        }
        Ok(())
    }

    /// The whole body, if it is here in one piece.
    fn as_whole(&mut self) -> Option<Bytes> {
        if !self.has_ended || self.passing.len() > 1 {
            return None;
        }
        match self.passing.pop_front().map(Frame::into_data) {
            None => Some(Bytes::new()),
            Some(Ok(data)) => Some(data),
            Some(Err(trailers)) => {
                self.passing.push_back(trailers);
                None
            }
        }
    }
}

fn data_len(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

/// An answer's body that is watched while it streams.
#[derive(Debug)]
pub struct WatchedBody {
    watched: Watched,
    body: AnswerBody,
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { watched, body } = &mut *self;
        loop {
            if let Some(frame) = watched.passing.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if let Some(error) = watched.failed.take() {
                watched.has_ended = true;
                return Poll::Ready(Some(Err(error.into())));
            }
            if watched.has_ended {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            if watched.is_decided() {
                return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
            }
            if let Err(tripped) = watched.take(frame) {
                return Poll::Ready(Some(Err(tripped.into())));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let Watched { passing, held, has_ended, failed, .. } = &self.watched;
        let is_empty = passing.is_empty() && held.is_empty() && failed.is_none();
        is_empty && (*has_ended || self.watched.tripwire.is_over() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let here: u64 = self.watched.passing.iter().chain(&self.watched.held).map(data_len).sum();
        match self.body.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(here + rest),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plainly_spelled_path_is_one_that_may_issue_tokens() {
        let settings = TripwireSettings {
            may_issue: vec!["/login".into(), "/sso/*".into()],
            ..TripwireSettings::default()
        };
        for path in ["/login", "/sso/", "/sso/a/b.json"] {
            assert!(settings.may_issue(path), "{path}");
        }
        for path in [
            "/",
            "/login/",
            "/logins",
            "/sso",
            "/sso/../x",
            "/sso/%2e%2e/x",
            "/sso//x",
            "/sso/..;/x",
            "/x/sso/a",
        ] {
            assert!(!settings.may_issue(path), "{path}");
        }
    }
}
