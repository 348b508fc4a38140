//! The query of a request: each parameter once, none that is not known.

use super::problem::Problem;
use crate::types::limits::LIST_PAGE_MAX;

/// Names or events on a page, unless something else is asked for.
const PAGE: usize = 100;

/// The parameters of a query.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query, of which `known` are the parameters.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let name: String = name.chars().take(64).collect();
                let there_are = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let rule = format!("there is no parameter {name:?} here; there are: {there_are}");
                return Err(Problem::Malformed(rule));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Problem::Malformed(format!("the parameter '{name}' is there twice")));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let position = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(position).1)
    }

    /// How many names or events a page has.
    pub(super) fn limit(&mut self) -> Result<usize, Problem> {
        let Some(text) = self.take("limit") else { return Ok(PAGE) };
        let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let limit: Option<usize> = text.parse().ok().filter(|n| is_plain && (1..=LIST_PAGE_MAX).contains(n));
        limit.ok_or_else(|| {
            Problem::Malformed(format!("'limit' must be a whole number from 1 to {LIST_PAGE_MAX}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(query: &str) -> Result<usize, String> {
        Query::parse(Some(query), &["limit", "search"])
            .and_then(|mut query| query.limit())
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_query_holds_each_known_parameter_once() {
        assert_eq!((limit(""), limit("search=x&limit=7")), (Ok(100), Ok(7)));
        for (query, rule) in [
            ("limit=0", "'limit' must be a whole number from 1 to 1000"),
            ("limit=+1", "'limit' must be a whole number from 1 to 1000"),
            ("limit=1001", "'limit' must be a whole number from 1 to 1000"),
            ("limit=1&limit=1", "the parameter 'limit' is there twice"),
            ("limit=1&page=2", "there is no parameter \"page\" here; there are: limit, search"),
        ] {
            assert_eq!(limit(query), Err(rule.to_owned()), "{query}");
        }
    }
}
