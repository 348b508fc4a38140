//! A list that has at least one element, so that "no factor" cannot hide in an empty one.

/// One or more values of `T`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonEmpty<T>(Vec<T>);

impl<T> NonEmpty<T> {
    /// `None` when there is nothing in `values`.
    pub fn from_vec(values: Vec<T>) -> Option<Self> {
        if values.is_empty() { None } else { Some(Self(values)) }
    }

    /// The values, at least one.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}
