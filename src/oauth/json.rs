//! A JSON body: one object whose members are strings, each name once.

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};

use super::{RequestFault, request::Parameter};
use crate::types::{Secret, limits::TOKEN_REQUEST_PARAMETERS_MAX};

/// Reads the members in their order, duplicates included: those are refused where forms' are.
pub(super) fn parse(text: &str) -> Result<Vec<Parameter>, RequestFault> {
    let fault = || RequestFault::body("must be one JSON object whose members are at most 64 strings");
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Members).map_err(|_| fault())?;
    deserializer.end().map_err(|_| fault())?;
    Ok(members)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Parameter>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if members.len() == TOKEN_REQUEST_PARAMETERS_MAX {
                return Err(A::Error::custom("too many members"));
            }
            members.push(Parameter { name, value: Secret::new(value) });
        }
        Ok(members)
    }
}
