//! stub
use crate::{
    policy::{Enrolment, lockout::*},
    sealing::Fingerprint,
    step_up::*,
    types::*,
};
use std::{path::PathBuf, time::Duration};
pub struct Store;
#[derive(Clone)]
pub struct Opener;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct StoreOpenError;
pub struct StoreSettings;
impl Opener {
    pub fn new(_: &StoreSettings) -> Result<Self, StoreOpenError> {
        todo!()
    }
    pub fn open(&self) -> Result<Store, StoreOpenError> {
        todo!()
    }
}
#[derive(Debug, Clone)]
pub struct EmbeddedSettings {
    pub path: PathBuf,
    pub timeout: Duration,
}
#[derive(Debug, Clone)]
pub struct RedisSettings;
impl RedisSettings {
    pub fn parse(_: &str, _: Duration) -> Result<Self, StoreOpenError> {
        todo!()
    }
}
pub mod key_file {
    pub fn generate(_: &std::path::Path, _: crate::types::UnixTime) -> Result<String, super::StoreOpenError> {
        todo!()
    }
}
impl EnrolmentStore for Store {
    async fn load(&self, _: &SubjectId) -> Result<Enrolment, StoreError> {
        todo!()
    }
}
impl AttemptLedger for Store {
    async fn settle(&self, _: &SubjectId, _: &Attempt, _: UnixTime) -> Result<Settlement, StoreError> {
        todo!()
    }
}
impl Fingerprints for Store {
    fn fingerprint(&self, _: &SubjectId, _: &[u8]) -> Fingerprint {
        todo!()
    }
}
impl EnrolmentRegistry for Store {
    async fn enrol(&self, _: &SubjectId, _: NewFactor) -> Result<(FactorId, usize), StoreError> {
        todo!()
    }
    async fn disable(&self, _: &SubjectId) -> Result<usize, StoreError> {
        todo!()
    }
    async fn unlock(&self, _: &SubjectId) -> Result<bool, StoreError> {
        todo!()
    }
    async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }
}
impl crate::config::Settings {
    pub fn store_settings(&self) -> StoreSettings {
        StoreSettings
    }
}
