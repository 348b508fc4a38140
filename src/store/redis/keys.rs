//! The names of keys. The layout is public: `docs/redis.md`.

use super::super::Expiring;
use crate::{step_up::TrailList, types::SubjectId};

/// A random text that the first enrolment leaves: where it is missing, the data are others, or gone.
pub(super) const MARKER: &str = "tfa:marker";

/// The stream of changes that operators make, that people make of their own, or of rows that were imported.
pub(super) const fn trail(list: TrailList) -> &'static str {
    match list {
        TrailList::Operators => "tfa:audit",
        TrailList::Own => "tfa:audit:own",
        TrailList::Imported => "tfa:audit:imported",
    }
}

/// The sorted set with the places of a subject's own changes in that stream.
pub(super) fn own_changes(subject: &SubjectId) -> String {
    format!("tfa:{{{}}}:own-changes", tag(subject))
}

/// The stream of audit events of grants.
pub(super) const EVENTS: &str = "tfa:events";

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

/// The hash with a subject's attempts with recovery codes.
pub(super) fn recovery_ledger(subject: &SubjectId) -> String {
    format!("tfa:{{{}}}:recovery-ledger", tag(subject))
}

/// The hash with the devices that are remembered for a subject.
pub(super) fn devices(subject: &SubjectId) -> String {
    format!("tfa:{{{}}}:devices", tag(subject))
}

/// The name whose enrolment a key holds, if it is that of one.
pub(super) fn name_of_enrolment(key: &str) -> Option<String> {
    let tag = key.strip_prefix("tfa:{")?.strip_suffix("}:enrolment")?;
    Some(tag.replace("%7B", "{").replace("%7D", "}").replace("%25", "%"))
}

/// A pattern (of `SCAN`) for the enrolments of names that hold a text.
pub(super) fn enrolments_containing(text: &str) -> String {
    let mut pattern = String::from("tfa:{*");
    for c in escaped(text).chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    if !text.is_empty() {
        pattern.push('*');
    }
    pattern.push_str("}:enrolment");
    pattern
}

/// The hash with a subject's attempts with passcodes.
pub(super) fn ledger(subject: &SubjectId) -> String {
    format!("tfa:{{{}}}:ledger", tag(subject))
}

/// What is kept for a time, by the digest of the secret that it is about.
pub(super) fn expiring(kind: Expiring, name: &str) -> String {
    let kind = match kind {
        Expiring::Refresh => "refresh",
        Expiring::Session => "session",
    };
    format!("tfa:{{{kind}:{name}}}:record")
}

/// When a client's next token request is due.
pub(super) fn throttle(client: std::net::IpAddr) -> String {
    format!("tfa:{{throttle:{client}}}:due")
}

/// The subject as a hash tag: `{` and `}` would end it early, `%` is what they are written with.
fn tag(subject: &SubjectId) -> String {
    escaped(subject.as_str())
}

fn escaped(text: &str) -> String {
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
        for name in ["alice", "a}b{c%7d"] {
            assert_eq!(name_of_enrolment(&key(name)).as_deref(), Some(name));
        }
        assert_eq!(enrolments_containing("a*{"), r"tfa:{*a\*%7B*}:enrolment");
        assert_eq!(enrolments_containing(""), "tfa:{*}:enrolment");
    }
}
