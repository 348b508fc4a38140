//! Lines of the log as JSON: one object each, with the causes of an error, which tracing-subscriber's own leave out.

use std::{error::Error, fmt};

use serde::ser::{SerializeMap, Serializer as _};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, time::FormatTime as _},
    registry::LookupSpan,
};

use super::lines::Stamp;

/// `timestamp` (RFC 3339), `level`, the members of the event, `target`. The causes of an error `x` are `x.sources`, the
/// nearest one first.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        Stamp.format_time(&mut Writer::new(&mut timestamp))?;
        let line = object(&timestamp, event).map_err(|_| fmt::Error)?;
        writer.write_str(&line)?;
        writer.write_char('\n')
    }
}

fn object(timestamp: &str, event: &Event<'_>) -> serde_json::Result<String> {
    let mut line = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::new(&mut line);
    let mut object = serializer.serialize_map(None)?;
    object.serialize_entry("timestamp", timestamp)?;
    object.serialize_entry("level", event.metadata().level().as_str())?;
    let mut members = Members { object, result: Ok(()) };
    event.record(&mut members);
    let Members { mut object, result } = members;
    result?;
    object.serialize_entry("target", event.metadata().target())?;
    object.end()?;
    // Serde writes UTF-8.
    Ok(String::from_utf8(line).unwrap_or_default())
}

struct Members<M: SerializeMap> {
    object: M,
    result: Result<(), M::Error>,
}

impl<M: SerializeMap> Members<M> {
    fn add(&mut self, name: &str, value: &(impl serde::Serialize + ?Sized)) {
        if self.result.is_ok() {
            self.result = self.object.serialize_entry(name.strip_prefix("r#").unwrap_or(name), value);
        }
    }
}

impl<M: SerializeMap> Visit for Members<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field.name(), &value.to_string());
        let mut sources = Vec::new();
        let mut next = value.source();
        while let Some(source) = next {
            sources.push(source.to_string());
            next = source.source();
        }
        if !sources.is_empty() {
            self.add(&format!("{}.sources", field.name()), &sources);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tracing::{error, info};

    use super::*;
    use crate::{step_up::StoreError, telemetry::lines::tests::Kept};

    #[test]
    fn an_event_is_one_object_with_the_causes_of_its_error() {
        let kept = Kept::default();
        let out = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || out.clone()).event_format(JsonLines).finish();
        tracing::subscriber::with_default(subscriber, || {
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            let error = StoreError::Unreachable(refused.into());
            error!(error = &error as &dyn Error, "refused");
            info!(target: "audit", subject = "a\"\n\u{1b}", count = 3_u64, rule = None::<&str>, r#type = "x");
            info!(client = %"192.0.2.1", on = true, number = 1.5, less = -1_i64, "two\nlines");
        });
        let text = kept.text();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [first, second, third] = lines.as_slice() else { panic!("{text}") };
        assert_eq!(first["error"], StoreError::Unreachable("".into()).to_string());
        assert_eq!(first["error.sources"], json!(["connection refused"]));
        assert_eq!((&first["level"], &first["message"]), (&json!("ERROR"), &json!("refused")));
        assert!(first["timestamp"].as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()));
        assert_eq!((&second["subject"], &second["count"]), (&json!("a\"\n\u{1b}"), &json!(3)));
        assert_eq!((&second["type"], &second["target"]), (&json!("x"), &json!("audit")));
        assert!(second.get("rule").is_none() && second.get("message").is_none());
        let expected = json!({ "client": "192.0.2.1", "on": true, "number": 1.5, "less": -1 });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(third[name], *value);
        }
        assert_eq!(third["message"], "two\nlines");
    }
}
