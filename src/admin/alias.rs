//! Other names of a subject: an e-mail address by which the site lets people log in, say.

use crate::{
    step_up::{EnrolmentRegistry, StoreError},
    types::SubjectId,
};

/// Makes a name another name of a subject. An alias leads to a subject, never to itself or to another alias.
pub async fn add_alias(
    registry: &impl EnrolmentRegistry,
    alias: &SubjectId,
    subject: &SubjectId,
) -> Result<(), StoreError> {
    if alias == subject {
        return Err(StoreError::Refused(
            "the two names are one subject already: only their spelling differs",
        ));
    }
    if registry.status(subject).await?.alias_of.is_some() {
        return Err(StoreError::Refused("the subject is an alias itself; name the subject that it leads to"));
    }
    registry.add_alias(alias, subject).await
}

/// Forgets an alias. Returns whether there was one.
pub async fn remove_alias(registry: &impl EnrolmentRegistry, alias: &SubjectId) -> Result<bool, StoreError> {
    registry.remove_alias(alias).await
}
