//! stub
pub struct StatusReport;
impl StatusReport {
    pub fn to_json(&self) -> String {
        String::new()
    }
}
impl std::fmt::Display for StatusReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
pub async fn status(
    _: &impl crate::step_up::EnrolmentRegistry,
    _: &crate::types::SubjectId,
    _: crate::types::UnixTime,
) -> Result<StatusReport, crate::step_up::StoreError> {
    todo!()
}
