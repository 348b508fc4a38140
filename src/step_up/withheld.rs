//! An issued token, held back.

use super::{Orphan, OrphanClient, Orphans, UpstreamAnswer};
use crate::{policy::Clearance, types::Secret};

/// An upstream's answer that issues a token. Its bytes and headers come out only through
/// [`WithheldToken::release`]; one that is dropped instead, for whatever reason, is abandoned to the orphans.
pub struct WithheldToken<'a, O: Orphans> {
    answer: UpstreamAnswer,
    is_released: bool,
    orphans: &'a O,
    client: OrphanClient,
    host: Option<String>,
}

impl<O: Orphans> std::fmt::Debug for WithheldToken<'_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WithheldToken([redacted])")
    }
}

impl<'a, O: Orphans> WithheldToken<'a, O> {
    pub(super) const fn new(
        answer: UpstreamAnswer,
        orphans: &'a O,
        client: OrphanClient,
        host: Option<String>,
    ) -> Self {
        Self { answer, is_released: false, orphans, client, host }
    }

    /// Gives the answer, unchanged, for a clearance, which is spent.
    pub fn release(mut self, _clearance: Clearance) -> UpstreamAnswer {
        self.is_released = true;
        std::mem::take(&mut self.answer)
    }
}

impl<O: Orphans> Drop for WithheldToken<'_, O> {
    fn drop(&mut self) {
        if self.is_released {
            return;
        }
        let json = serde_json::from_slice(self.answer.body()).unwrap_or_default();
        self.orphans.abandon(Orphan {
            access_token: member(&json, "access_token"),
            refresh_token: member(&json, "refresh_token"),
            client: std::mem::take(&mut self.client),
            host: self.host.take(),
        });
    }
}

/// The first text of that name, at any depth, as answers are judged.
fn member(value: &serde_json::Value, name: &str) -> Option<Secret<String>> {
    match value {
        serde_json::Value::Object(members) => match members.get(name).and_then(serde_json::Value::as_str) {
            Some(text) => Some(Secret::new(text.to_owned())),
            None => members.values().find_map(|value| member(value, name)),
        },
        serde_json::Value::Array(values) => values.iter().find_map(|value| member(value, name)),
        _ => None,
    }
}
