//! Moving out: every factor that counts, written as it is read.
//!
//! Invariants: who exports is recorded before the first secret is written; a factor that does not open is named and
//! counted, and the rest is written.

use std::io::{self, Write};

use futures_util::{StreamExt as _, stream};
use zeroize::Zeroizing;

use super::{
    AdminError, Administration,
    import::{End, Header, Line, SealedAlias, SealedCode, SealedFactor, bound},
};
use crate::{
    factor::Factor,
    sealing::KeyRing,
    step_up::{AuditTrail, ChangeKind, Clock, Departing, EnrolmentRegistry, ListQuery, StoreError},
    store::envelope,
    types::{FactorId, Secret, SubjectId, UnixTime, limits::LIST_PAGE_MAX},
};

/// How much was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportSummary {
    /// Factors that were written.
    pub factors: u64,
    /// Aliases that were written, or that the format has no place for.
    pub aliases: u64,
    /// Recovery codes that were written, or that the format has no place for.
    pub recovery_codes: u64,
    /// Names whose records do not open.
    pub failed: u64,
}

/// How a file is written.
pub struct ExportFile<'a, W> {
    out: W,
    style: Style<'a>,
    lines: u64,
}

enum Style<'a> {
    Sealed { ring: &'a KeyRing, file: String },
    Plain { issuer: &'a str },
}

impl<'a, W: Write> ExportFile<'a, W> {
    /// Sealed with the current key, for `import --format sealed`.
    pub fn sealed(mut out: W, ring: &'a KeyRing) -> Result<Self, AdminError> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| StoreError::Failed(error.into()))?;
        let header = Header { tfa_gateway_export: 1, file: data_encoding::HEXLOWER.encode(&name) };
        let text = serde_json::to_string(&header).map_err(|error| AdminError::File(error.into()))?;
        writeln!(out, "{text}").map_err(AdminError::File)?;
        Ok(Self { out, style: Style::Sealed { ring, file: header.file }, lines: 1 })
    }

    /// In clear, as `import --format otpauth` reads it.
    pub const fn plain(out: W, issuer: &'a str) -> Self {
        Self { out, style: Style::Plain { issuer }, lines: 0 }
    }

    fn what(&self) -> &'static str {
        match self.style {
            Style::Sealed { .. } => "sealed",
            Style::Plain { .. } => "plain",
        }
    }

    fn alias(&mut self, alias: &SubjectId, subject: &SubjectId) -> Result<(), AdminError> {
        match self.style {
            Style::Plain { .. } => Ok(()),
            Style::Sealed { .. } => self.seal(&Line::Alias(SealedAlias {
                alias: alias.as_str().to_owned(),
                subject: subject.as_str().to_owned(),
            })),
        }
    }

    fn factor(
        &mut self,
        subject: &SubjectId,
        factor: &Factor,
        last_used_step: Option<u64>,
        codes: &[(FactorId, Secret<Vec<u8>>)],
    ) -> Result<(), AdminError> {
        if let Style::Plain { issuer } = self.style {
            let uri = factor.totp.otpauth_uri(issuer, subject.as_str());
            return writeln!(self.out, "{subject}\t{}", *uri).map_err(AdminError::File);
        }
        let parameters = factor.totp.parameters();
        let code = |(id, digest): &(FactorId, Secret<Vec<u8>>)| SealedCode {
            id: id.as_str().to_owned(),
            digest: Zeroizing::new(data_encoding::BASE64.encode(digest.expose())),
        };
        self.seal(&Line::Factor(SealedFactor {
            subject: subject.as_str().to_owned(),
            id: Some(factor.id.as_str()).filter(|id| *id != FactorId::PLAIN).map(str::to_owned),
            secret: factor.totp.secret_base32(),
            alg: parameters.algorithm().as_str().to_owned(),
            digits: parameters.digits(),
            period: parameters.period_secs(),
            skew: parameters.skew_steps(),
            label: factor.label.clone(),
            enrolled_at: factor.enrolled_at.map(UnixTime::as_secs),
            last_used_step,
            recovery_codes: codes.iter().map(code).collect(),
        }))
    }

    fn seal(&mut self, line: &Line) -> Result<(), AdminError> {
        let Style::Sealed { ring, file } = &self.style else { return Ok(()) };
        self.lines += 1;
        let plain =
            serde_json::to_vec(line).map(Zeroizing::new).map_err(|error| AdminError::File(error.into()))?;
        let sealed = envelope::seal(ring, &bound(file, self.lines), &plain)?;
        writeln!(self.out, "{sealed}").map_err(AdminError::File)
    }

    /// Writes the end, and all that was held back.
    fn finish(&mut self) -> Result<(), AdminError> {
        self.seal(&Line::End(End { lines: self.lines }))?;
        self.out.flush().map_err(AdminError::File)
    }
}

/// Subjects that are read from the store at once.
const READ_AT_ONCE: usize = 64;

impl<S, C> Administration<'_, S, C>
where
    S: EnrolmentRegistry + AuditTrail,
    C: Clock,
{
    /// Writes every factor that counts. `told` hears of the names whose records do not open, and of how many were read.
    pub async fn export<W: Write>(
        &self,
        mut file: ExportFile<'_, W>,
        mut told: impl FnMut(u64, Option<(&SubjectId, &StoreError)>),
    ) -> Result<ExportSummary, AdminError> {
        self.record(ChangeKind::Exported, None, Some(file.what())).await?;
        let mut summary = ExportSummary::default();
        let mut query = ListQuery { limit: LIST_PAGE_MAX, ..ListQuery::default() };
        let mut read = 0;
        loop {
            let page = self.store().list(&query).await?;
            // Many at once, and written in their order.
            let reading =
                page.names.iter().map(async |name| (&name.name, self.store().export(&name.name).await));
            let mut reading = stream::iter(reading).buffered(READ_AT_ONCE);
            while let Some((name, departing)) = reading.next().await {
                read += 1;
                match departing {
                    Ok(departing) => write(&mut file, name, &departing, &mut summary)?,
                    Err(error @ (StoreError::Malformed { .. } | StoreError::Sealed { .. })) => {
                        summary.failed += 1;
                        told(read, Some((name, &error)));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            told(read, None);
            query.cursor = page.next;
            if query.cursor.is_none() {
                file.finish()?;
                return Ok(summary);
            }
        }
    }
}

fn write<W: Write>(
    file: &mut ExportFile<'_, W>,
    name: &SubjectId,
    departing: &Departing,
    summary: &mut ExportSummary,
) -> Result<(), AdminError> {
    match departing {
        Departing::AliasOf(subject) => {
            summary.aliases += 1;
            file.alias(name, subject)
        }
        Departing::Subject { factors, recovery_codes } => {
            // The recovery codes go with the first factor: with none, they are worth nothing.
            let mut codes = recovery_codes.as_slice();
            for (factor, step) in factors {
                file.factor(name, factor, *step, std::mem::take(&mut codes))?;
                summary.factors += 1;
            }
            summary.recovery_codes += recovery_codes.len() as u64;
            Ok(())
        }
    }
}

impl From<io::Error> for AdminError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}
