//! The routes, in one table, and what a path means.

use percent_encoding::percent_decode_str;

use super::access::Right;
use crate::{
    identity::fold_username,
    types::{FactorId, SubjectId},
};

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Document,
    ListSubjects,
    ShowSubject,
    Enrol,
    Confirm,
    Rename,
    Remove,
    Disable,
    MakeRecoveryCodes,
    ListDevices,
    ForgetDevice,
    ForgetDevices,
    Unlock,
    Reset,
    AddAlias,
    RemoveAlias,
    ShowAudit,
}

/// How it is asked for.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// Below `/api/v1`; what stands in braces is a name.
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    /// What the caller must have; none is needed for the document.
    pub(super) right: Option<Right>,
    /// The parameters of the query.
    pub(super) query: &'static [&'static str],
}

const fn route(
    method: &'static str,
    path: &'static str,
    operation: Operation,
    right: Option<Right>,
    query: &'static [&'static str],
) -> Route {
    Route { method, path, operation, right, query }
}

const READ: Option<Right> = Some(Right::Read);
const WRITE: Option<Right> = Some(Right::Write);

/// All of them. `openapi.json` describes the same ones.
pub(super) const ROUTES: [Route; 17] = [
    route("GET", "/openapi.json", Operation::Document, None, &[]),
    route("GET", "/subjects", Operation::ListSubjects, READ, &["search", "cursor", "limit"]),
    route("GET", "/subjects/{subject}", Operation::ShowSubject, READ, &[]),
    route("POST", "/subjects/{subject}/factors", Operation::Enrol, WRITE, &[]),
    route("DELETE", "/subjects/{subject}/factors", Operation::Disable, WRITE, &[]),
    route("PATCH", "/subjects/{subject}/factors/{factor_id}", Operation::Rename, WRITE, &[]),
    route("DELETE", "/subjects/{subject}/factors/{factor_id}", Operation::Remove, WRITE, &[]),
    route("POST", "/subjects/{subject}/factors/{factor_id}/confirm", Operation::Confirm, WRITE, &[]),
    route("POST", "/subjects/{subject}/recovery-codes", Operation::MakeRecoveryCodes, WRITE, &[]),
    route("GET", "/subjects/{subject}/devices", Operation::ListDevices, READ, &[]),
    route("DELETE", "/subjects/{subject}/devices", Operation::ForgetDevices, WRITE, &[]),
    route("DELETE", "/subjects/{subject}/devices/{device_id}", Operation::ForgetDevice, WRITE, &[]),
    route("POST", "/subjects/{subject}/unlock", Operation::Unlock, WRITE, &[]),
    route("POST", "/subjects/{subject}/reset", Operation::Reset, WRITE, &[]),
    route("PUT", "/aliases/{alias}", Operation::AddAlias, WRITE, &[]),
    route("DELETE", "/aliases/{alias}", Operation::RemoveAlias, WRITE, &[]),
    route("GET", "/audit", Operation::ShowAudit, READ, &["subject", "before", "limit"]),
];

/// Where a request leads.
#[derive(Debug)]
pub(super) enum Target<'a> {
    /// A route, and what stands in the place of its names.
    Found(&'static Route, Names<'a>),
    /// There is such a path, for these methods alone.
    OtherMethods(String),
    /// There is no such path.
    Nowhere,
}

/// Looks a request up by its method and its path below `/api/v1`. HEAD is asked for as GET is (RFC 9110 section 9.3.2).
pub(super) fn target<'a>(method: &str, path: &'a str) -> Target<'a> {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut allowed: Vec<&str> = Vec::new();
    for route in &ROUTES {
        if let Some(names) = names(route.path, path) {
            if route.method == method {
                return Target::Found(route, names);
            }
            allowed.push(route.method);
            allowed.extend((route.method == "GET").then_some("HEAD"));
        }
    }
    if allowed.is_empty() { Target::Nowhere } else { Target::OtherMethods(allowed.join(", ")) }
}

fn names<'a>(template: &str, path: &'a str) -> Option<Names<'a>> {
    let (mut wanted, mut found) = (template.split('/'), path.split('/'));
    let mut names = Vec::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(Names(names)),
            (Some(wanted), Some(found)) if wanted.starts_with('{') && !found.is_empty() => names.push(found),
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return None,
        }
    }
}

/// The names in a path, percent-encoded.
#[derive(Debug)]
pub(super) struct Names<'a>(Vec<&'a str>);

impl Names<'_> {
    /// The name as it was written, and the subject that it is.
    pub(super) fn subject(&self) -> Result<(String, SubjectId), String> {
        let typed = self.decoded(0)?;
        let subject = fold_username(&typed).map_err(|fault| format!("the name in the path {fault}"))?;
        Ok((typed, subject))
    }

    /// The factor, or the device.
    pub(super) fn factor(&self) -> Result<FactorId, String> {
        FactorId::parse(&self.decoded(1)?).map_err(|fault| fault.to_string())
    }

    fn decoded(&self, position: usize) -> Result<String, String> {
        let name = self.0.get(position).copied().unwrap_or_default();
        let decoded = percent_decode_str(name).decode_utf8();
        decoded.map(Into::into).map_err(|_| "the names in the path must be percent-encoded UTF-8".into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{super::problem, *};

    fn document() -> Value {
        serde_json::from_str(super::super::server::DOCUMENT).unwrap()
    }

    #[test]
    fn a_path_is_found_with_its_names_or_with_its_methods() {
        let Target::Found(route, names) = target("PATCH", "/subjects/a%2Fb%20%C3%84/factors/f1") else {
            panic!("no route")
        };
        assert_eq!(route.operation, Operation::Rename);
        assert_eq!(names.subject().unwrap().0, "a/b Ä");
        assert_eq!(names.factor().unwrap().as_str(), "f1");
        let allowed = |method, path| match target(method, path) {
            Target::OtherMethods(allowed) => allowed,
            other => format!("{other:?}"),
        };
        assert_eq!(allowed("POST", "/subjects"), "GET, HEAD");
        assert_eq!(allowed("PUT", "/subjects/a/factors"), "POST, DELETE");
        for nowhere in ["", "/", "/subjects/", "/subjects//factors", "/subjects/a/", "/x", "/subjects/a/b"] {
            assert_eq!(allowed("GET", nowhere), "Nowhere", "{nowhere}");
        }
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
                methods.map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let routed: BTreeSet<_> =
            ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        assert_eq!(described, routed);
        for route in &ROUTES {
            let operation = &document["paths"][route.path][route.method.to_lowercase()];
            let described: BTreeSet<&str> = operation["parameters"]
                .as_array()
                .map(|list| list.iter().filter_map(|parameter| parameter["name"].as_str()).collect())
                .unwrap_or_default();
            assert_eq!(described, route.query.iter().copied().collect(), "{}", route.path);
            let may_all = operation["security"] == serde_json::json!([]);
            assert_eq!(may_all, route.right.is_none(), "{}", route.path);
        }
    }

    #[test]
    fn the_document_refers_to_what_it_holds_and_has_every_problem() {
        let document = document();
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > 100);
        for reference in &references {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let mut described: BTreeSet<&str> =
            document["components"]["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(described.remove("Broken"), "which stands for three, each of them one of its examples");
        assert_eq!(described, problem::NAMES.into_iter().collect());
        // What is no route has no place in the document.
        described.remove("MethodNotAllowed");
        for name in &described {
            let is_used = |kind: &str| references.contains(&format!("#/components/{kind}/{name}"));
            assert!(is_used("responses") || is_used("examples"), "no route answers {name}");
        }
    }

    fn collect_references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| collect_references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
            _ => {}
        }
    }
}
