//! Lines of the log for people: as tracing-subscriber writes them, with the formatting that each of them would repeat
//! left out.

use std::{
    cell::RefCell,
    error::Error,
    fmt::{self, Debug},
};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::{RecordFields, VisitOutput as _},
    fmt::{
        FormatFields,
        format::{DefaultVisitor, Writer},
        time::FormatTime,
    },
};

use super::SystemClock;
use crate::types::UnixTime;

/// The time of an event, to the microsecond (RFC 3339).
pub(super) struct Stamp;

impl FormatTime for Stamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let (now, micros) = SystemClock.now_with_micros();
        write_time(writer, now, micros)
    }
}

fn write_time(writer: &mut Writer<'_>, now: UnixTime, micros: u32) -> fmt::Result {
    thread_local! {
        /// The second that was written last.
        static SECOND: RefCell<(UnixTime, String)> = RefCell::default();
    }
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now || text.is_empty() {
            *second = now;
            *text = now.to_timestamp().to_string();
        }
        write!(writer, "{}.{micros:06}Z", text.trim_end_matches('Z'))
    })
}

/// The fields of an event: `name=value`, with a space between two.
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, is_first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn as_by_default(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        let mut default = DefaultVisitor::new(self.writer.by_ref(), self.is_first);
        record(&mut default);
        self.result = self.result.and(default.finish());
        self.is_first = false;
    }

    fn write(&mut self, name: &str, value: &str) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        for piece in [name, "=\"", value, "\""] {
            self.writer.write_str(piece)?;
        }
        Ok(())
    }
}

/// Whether a text stands between quotes as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let name = field.name();
        if self.writer.has_ansi_escapes() || name == "message" || name.starts_with("r#") || !is_plain(value) {
            self.as_by_default(|default| default.record_str(field, value));
        } else if self.result.is_ok() {
            self.result = self.write(name, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.as_by_default(|default| default.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.as_by_default(|default| default.record_debug(field, value));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{info, subscriber::with_default, warn};
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    /// What was written.
    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(in crate::telemetry) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of some events.
    fn written<F>(fields: F, has_colours: bool) -> String
    where
        F: for<'writer> FormatFields<'writer> + Send + Sync + 'static,
    {
        let kept = Kept::default();
        let out = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(has_colours)
            .with_writer(move || out.clone())
            .without_time()
            .fmt_fields(fields)
            .finish();
        with_default(subscriber, || {
            let error: &dyn Error = &crate::step_up::StoreError::Overloaded;
            info!(target: "audit", subject = "alice", outcome = "passcode_wanted", rule = None::<&str>, count = 3);
            info!(client = %"192.0.2.1", path = "/a \"b\" \\ c", "some words");
            info!(none = None::<&str>, client_id = "\u{1b}[31mé\n", "\u{1b}[31m");
            info!(r#type = "x", on = true, off = Some(false), number = 1.5);
            warn!(error, "refused");
            warn!("{}", "words alone");
        });
        kept.text()
    }

    #[test]
    fn fields_are_written_as_the_library_writes_them() {
        for has_colours in [false, true] {
            let (ours, theirs) = (written(Fields, has_colours), written(DefaultFields::new(), has_colours));
            assert_eq!(ours, theirs);
            assert_eq!(ours.lines().count(), 6);
        }
        let first = written(Fields, false).lines().next().unwrap().to_owned();
        assert_eq!(first, r#" INFO audit: subject="alice" outcome="passcode_wanted" count=3"#);
    }

    #[test]
    fn a_time_is_one_of_rfc_3339() {
        let written = |secs, micros| {
            let mut text = String::new();
            write_time(&mut Writer::new(&mut text), UnixTime::from_secs(secs), micros).unwrap();
            text
        };
        assert_eq!(written(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(written(1_700_000_000, 123_456), "2023-11-14T22:13:20.123456Z");
        assert_eq!(written(1_700_000_000, 7), "2023-11-14T22:13:20.000007Z");
        assert_eq!(written(1_700_000_001, 8), "2023-11-14T22:13:21.000008Z");
    }
}
