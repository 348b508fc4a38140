//! What is done with each grant type (RFC 6749 section 4). What is not listed is refused.

/// The grant whose token is withheld from enrolled subjects (RFC 6749 section 4.3).
pub const PASSWORD: &str = "password";
/// The grant that makes a new token of an old one (RFC 6749 section 6).
pub const REFRESH_TOKEN: &str = "refresh_token";

/// What is done with a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantRule {
    /// Its token is withheld until a factor was verified.
    Gated,
    /// Its token passes.
    Passed,
    /// A refresh token passes that was issued after its subject enrolled.
    EnrolledAfter,
    /// It is answered `unsupported_grant_type`, and the upstream never sees it.
    Refused,
}

/// The rules of a site.
#[derive(Debug, Clone)]
pub struct GrantRules {
    /// Grant types that are gated.
    pub gated: Vec<String>,
    /// Grant types that pass.
    pub passed: Vec<String>,
    /// What is done with refresh tokens.
    pub refresh: GrantRule,
}

impl Default for GrantRules {
    /// Passwords are gated. What needs no password passes: codes that a browser brought (RFC 6749 section 4.1), a
    /// client on its own account (section 4.4), a device that was allowed elsewhere (RFC 8628), and API tokens
    /// that were made by somebody who was logged in.
    fn default() -> Self {
        let passed = [
            "authorization_code",
            "client_credentials",
            "api_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ];
        Self {
            gated: vec![PASSWORD.to_owned()],
            passed: passed.map(str::to_owned).to_vec(),
            refresh: GrantRule::Passed,
        }
    }
}

impl GrantRules {
    /// The rule for a grant type.
    pub fn rule(&self, grant_type: &str) -> GrantRule {
        let is_in = |list: &[String]| list.iter().any(|listed| listed == grant_type);
        if is_in(&self.gated) {
            GrantRule::Gated
        } else if grant_type == REFRESH_TOKEN {
            self.refresh
        } else if is_in(&self.passed) {
            GrantRule::Passed
        } else {
            GrantRule::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_refused() {
        let rules = GrantRules::default();
        assert_eq!(rules.rule("password"), GrantRule::Gated);
        assert_eq!(rules.rule("authorization_code"), GrantRule::Passed);
        assert_eq!(rules.rule("refresh_token"), GrantRule::Passed);
        for unknown in ["", "Password", "passwor", "urn:ietf:params:oauth:grant-type:saml2-bearer"] {
            assert_eq!(rules.rule(unknown), GrantRule::Refused, "{unknown}");
        }
    }

    #[test]
    fn a_grant_that_is_gated_does_not_pass_whatever_else_lists_it() {
        let rules = GrantRules {
            gated: vec!["refresh_token".into(), "x".into()],
            passed: vec!["x".into()],
            ..GrantRules::default()
        };
        assert_eq!(rules.rule("x"), GrantRule::Gated);
        assert_eq!(rules.rule("refresh_token"), GrantRule::Gated);
    }
}
