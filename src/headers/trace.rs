//! Which trace a request belongs to (W3C Trace Context section 3.2).

use std::fmt;

use http::{HeaderMap, HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a request is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span that it was sent in.
    pub span_id: [u8; 8],
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Reads `traceparent`, of version 00 or a later one, if there is exactly one and it is valid.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(&TRACEPARENT).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let mut parts = line.as_bytes().split(|b| *b == b'-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &[u8], length: usize| {
            part.len() == length && part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_nothing = |part: &[u8]| part.iter().all(|b| *b == b'0');
        let is_valid = is_hex(version, 2)
            && version != b"ff"
            && (version != b"00" || parts.next().is_none())
            && is_hex(trace, 32)
            && !is_nothing(trace)
            && is_hex(parent, 16)
            && !is_nothing(parent)
            && is_hex(flags, 2);
        if !is_valid {
            return None;
        }
        let span_id = data_encoding::HEXLOWER.decode(parent).ok()?.try_into().ok()?;
        let is_sampled = data_encoding::HEXLOWER.decode(flags).ok()?.first()? & 1 == 1;
        Some(Self { trace_id: TraceId(trace.try_into().ok()?), span_id, is_sampled })
    }
}

/// The id of a trace: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// Reads `traceparent`, of version 00 or a later one, if there is exactly one and it is valid.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        TraceParent::of(headers).map(|parent| parent.trace_id)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_valid_line_names_a_trace() {
        const ID: &str = "0af7651916cd43dd8448eb211c80319c";
        for (line, is_valid) in [
            (format!("00-{ID}-b7ad6b7169203331-01"), true),
            (format!("01-{ID}-b7ad6b7169203331-01-more"), true),
            (format!("00-{ID}-b7ad6b7169203331-01-more"), false),
            (format!("ff-{ID}-b7ad6b7169203331-01"), false),
            (format!("00-{}-b7ad6b7169203331-01", ID.to_uppercase()), false),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
            (format!("00-{ID}-{}-01", "0".repeat(16)), false),
            (format!("00-{ID}-b7ad6b7169203331"), false),
            (String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append("traceparent", HeaderValue::from_str(&line).unwrap());
            let found = TraceId::of(&headers);
            assert_eq!(found.as_ref().map(TraceId::as_str), is_valid.then_some(ID), "{line}");
            headers.append("traceparent", HeaderValue::from_str(&line).unwrap());
            assert_eq!(TraceId::of(&headers), None);
        }
    }
}
