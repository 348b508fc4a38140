//! Taking factors over and giving them away: the edits, and what is read.

use subtle::ConstantTimeEq as _;

use super::{
    StoreSettings,
    edit::{Change, Edit, Editor, Spent},
    fields::{self, Field, Fields},
    key_file::KeySource,
    record::{self, State, random_factor_id},
    recovery_record,
};
use crate::{
    factor::{Factor, PresentedRecoveryCode, RecoveryCode, totp::decode_base32},
    policy::lockout::Ledger,
    step_up::{Departing, EditDenial, StoreError, TakenCode, TakenOver, Takeover},
    types::{SubjectId, limits::RECOVERY_CODES_MAX},
};

impl Editor<'_> {
    /// Adds a factor from elsewhere with its recovery codes, and spends its last used step, unless the subject has that
    /// secret already, under whatever id.
    pub(super) fn import(self, takeover: &Takeover) -> Edit<TakenOver> {
        for (name, value) in self.fields {
            if self.is_there(name, value, takeover.factor.totp.expose_secret())? {
                return Ok((Change::nothing(self.fields), TakenOver::AlreadyThere));
            }
        }
        let (mut change, (id, _)) = self.enrol(&takeover.factor)?;
        self.add_codes(&mut change.after, &takeover.recovery_codes)?;
        change.spends = takeover.last_used_step.map(|step| Spent {
            factor: id,
            step,
            window_secs: takeover.factor.totp.window_secs(),
            at: takeover.now,
        });
        Ok((change, TakenOver::Added))
    }

    /// Whether a field is a factor with that secret. Two of them would accept one passcode twice.
    fn is_there(self, name: &str, value: &[u8], secret: &[u8]) -> Result<bool, StoreError> {
        match Field::of(name) {
            Field::Totp(id) => {
                let factor =
                    record::open(self.ring, self.subject, &fields::parse_id(id)?, State::Active, value)?;
                Ok(factor.totp.expose_secret().ct_eq(secret).into())
            }
            Field::Plain => {
                let plain = std::str::from_utf8(value).ok().and_then(decode_base32);
                Ok(plain.is_some_and(|plain| plain.expose().ct_eq(secret).into()))
            }
            Field::Alias | Field::Pending(_) | Field::Recovery(_) | Field::Unknown => Ok(false),
        }
    }

    fn add_codes(self, after: &mut Fields, codes: &[TakenCode]) -> Result<(), StoreError> {
        let set = random_factor_id()?;
        for (number, code) in codes.iter().enumerate() {
            let (id, record) = match code {
                TakenCode::Plain(code) if self.has_code(after, code)? => continue,
                TakenCode::Plain(code) => {
                    let id = fields::parse_id(&format!("{set}-{number}"))?;
                    let record = recovery_record::seal(self.ring, self.subject, &id, code)?;
                    (id, record)
                }
                TakenCode::Digest(id, digest) => {
                    (id.clone(), recovery_record::seal_digest(self.ring, self.subject, id, digest.expose())?)
                }
            };
            after.insert(fields::recovery(&id), record.into_bytes());
        }
        if fields::recovery_codes(after) > RECOVERY_CODES_MAX {
            Err(EditDenial::TooManyCodes.into())
        } else {
            Ok(())
        }
    }

    fn has_code(self, fields: &Fields, presented: &PresentedRecoveryCode) -> Result<bool, StoreError> {
        for (name, value) in fields {
            if let Field::Recovery(id) = Field::of(name) {
                let code = RecoveryCode { id: fields::parse_id(id)?, record: value.as_slice().into() };
                if recovery_record::fits(self.ring, self.subject, &code, presented)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Opens all that leaves. What does not open fails the whole, for a file that lacks a factor would lock somebody out,
/// or let them in.
pub(super) fn departing(
    keys: &KeySource,
    name: &SubjectId,
    fields: &Fields,
    ledger: &Ledger,
    settings: &StoreSettings,
) -> Result<Departing, StoreError> {
    if let Some(subject) = fields::alias_of(fields)? {
        return Ok(Departing::AliasOf(subject));
    }
    let (mut factors, mut recovery_codes) = (Vec::new(), Vec::new());
    for (field, value) in fields {
        match Field::of(field) {
            Field::Totp(id) => factors.push(fields::open_factor(keys, name, id, State::Active, value)?),
            Field::Plain => factors.push(fields::open_plain(value, settings)?),
            Field::Recovery(id) => {
                let id = fields::parse_id(id)?;
                let digest = keys.opening(|ring| recovery_record::open(ring, name, &id, value))?;
                recovery_codes.push((id, digest));
            }
            Field::Alias | Field::Pending(_) | Field::Unknown => {}
        }
    }
    let with_step = |factor: Factor| {
        let step = ledger.used.get(&factor.id).map(|used| used.step);
        (factor, step)
    };
    let factors = factors.into_iter().map(with_step).collect();
    Ok(Departing::Subject { factors, recovery_codes })
}
