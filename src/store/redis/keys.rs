//! The names of keys. The layout is public: `docs/redis.md`.

use crate::types::{FactorId, SubjectId};

/// The field of a plain secret.
pub(super) const PLAIN_FIELD: &str = "totp_secret";
/// What the field of a sealed factor starts with.
pub(super) const TOTP_FIELD_PREFIX: &str = "totp:";

/// The field of a name that is another one's alias.
pub(super) const ALIAS_FIELD: &str = "alias_of";

/// A random text that the first enrolment leaves: where it is missing, the data are others, or gone.
pub(super) const MARKER: &str = "tfa:marker";

/// All that there is of revocations: due times, times of birth, records, attempts.
pub(super) const REVOCATIONS: [&str; 4] = [
    "tfa:{revocations}:due",
    "tfa:{revocations}:born",
    "tfa:{revocations}:records",
    "tfa:{revocations}:attempts",
];

/// The hash with a subject's factors.
pub(super) fn enrolment(subject: &SubjectId) -> String {
    format!("tfa:{{{}}}:enrolment", tag(subject))
}

/// The hash with a subject's attempts.
pub(super) fn ledger(subject: &SubjectId) -> String {
    format!("tfa:{{{}}}:ledger", tag(subject))
}

/// What is remembered of a refresh token, by its digest.
pub(super) fn refresh(name: &str) -> String {
    format!("tfa:{{refresh:{name}}}:record")
}

/// The field of one sealed factor.
pub(super) fn totp_field(id: &FactorId) -> String {
    format!("{TOTP_FIELD_PREFIX}{id}")
}

/// The subject as a hash tag: `{` and `}` would end it early, `%` is what they are written with.
fn tag(subject: &SubjectId) -> String {
    let text = subject.as_str();
    if !text.contains(['{', '}', '%']) {
        return text.to_owned();
    }
    text.replace('%', "%25").replace('{', "%7B").replace('}', "%7D")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fold_username;

    #[test]
    fn all_keys_of_a_subject_carry_one_hash_tag_and_no_two_subjects_share_a_key() {
        let key = |name| enrolment(&fold_username(name).unwrap());
        assert_eq!(key("alice"), "tfa:{alice}:enrolment");
        assert_eq!(key("a}b{c%7D"), "tfa:{a%7Db%7Bc%257d}:enrolment");
        assert_ne!(key("a}"), key("a%7D"));
    }
}
