//! Every bound that is not a setting, in one place, with its reason.

/// Bytes of a token request's body. Real ones are below 1 KiB; `code_verifier`s and assertions need more.
pub const TOKEN_REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Parameters of a token request. PHP drops what exceeds 1000, so that the first duplicate wins there.
pub const TOKEN_REQUEST_PARAMETERS_MAX: usize = 64;
/// Bytes of an upstream's answer to a gated grant, which is held back whole until it is cleared.
pub const TOKEN_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a user name as typed. Drupal allows 60 characters, an e-mail address 254.
pub const USERNAME_BYTES_MAX: usize = 1024;
/// Bytes of an `X-Drupal-TFA` value that are looked at; longer ones are a wrong code.
pub const PASSCODE_BYTES_MAX: usize = 64;
/// Factors of one subject. Each one multiplies the chance of a guess.
pub const FACTORS_MAX: usize = 5;
/// Bytes of a factor's label.
pub const LABEL_BYTES_MAX: usize = 64;
/// Bytes of a shared secret that is accepted: RFC 4226 section 4 R6 asks for 128 bits at least.
pub const TOTP_SECRET_BYTES_MIN: usize = 16;
/// Bytes of a secret that is taken over from another system. Phones hold them already, so that they cannot grow:
/// Drupal's `tfa_basic` makes 15 bytes, and early authenticator apps were given 10. Nobody can try 2^80 secrets.
pub const TOTP_SECRET_BYTES_TAKEN_OVER_MIN: usize = 10;
/// Longer secrets are hashed by HMAC anyway (RFC 2104 section 2).
pub const TOTP_SECRET_BYTES_MAX: usize = 128;
/// Bytes of a secret the gateway makes: 160 bits (RFC 4226 section 4 R6).
pub const TOTP_SECRET_BYTES: usize = 20;
/// How much longer than its window a used step is remembered, so that gateways whose clocks differ by
/// as much still agree that it was used. Seconds.
pub const USED_STEP_MARGIN_SECS: u64 = 3600;
/// Failures in a row after which only an administrator unlocks (NIST SP 800-63B-4 section 3.2.2).
pub const FAILURES_IN_A_ROW_MAX: u32 = 100;
/// Revocations that a store keeps; beyond it the oldest is dropped. Every log-in without a code leaves one while
/// the upstream does not revoke: ten a second for nearly three hours, some 100 MiB.
pub const REVOCATIONS_MAX: u64 = 100_000;
/// Seconds for which a revocation is tried. Few access tokens live longer, and some refresh tokens do.
pub const REVOCATION_AGE_SECS_MAX: u64 = 7 * 24 * 3600;
/// Bytes of an orphan's tokens and credentials together; signed tokens have some 2 KiB each.
pub const ORPHAN_BYTES_MAX: usize = 32 * 1024;
/// Recovery codes that are made at once.
pub const RECOVERY_CODES: usize = 10;
/// Random bytes of a recovery code: 80 bits.
pub const RECOVERY_CODE_BYTES: usize = 10;
/// Characters by which a recovery code is told from a passcode, which has eight at most.
pub const RECOVERY_CODE_CHARACTERS_MIN: usize = 9;
/// Characters of a recovery code that is taken over: Drupal's `tfa_basic` makes eight digits.
pub const RECOVERY_CODE_CHARACTERS_TAKEN_OVER_MIN: usize = 8;
/// Bytes of a recovery code that is taken over, as it is written.
pub const RECOVERY_CODE_BYTES_TAKEN_OVER_MAX: usize = 40;
/// Recovery codes that a subject may have, those that were taken over from another system included.
pub const RECOVERY_CODES_MAX: usize = 20;
/// Seconds within which a factor that was proposed must be confirmed.
pub const PENDING_SECS_MAX: u64 = 3600;
/// Factors of one subject that wait for their confirmation; one more takes the place of the oldest.
pub const PENDING_MAX: usize = 3;
/// Events of the audit trail that a store keeps of operators, and as many of people's own changes; beyond it the oldest
/// go. Some 20 MiB each.
pub const TRAIL_EVENTS_MAX: usize = 100_000;
/// Events of one subject's own changes; beyond it the oldest of this subject go, so that nobody pushes others out.
pub const TRAIL_OWN_EVENTS_MAX: usize = 100;
/// Seconds without a change after which those of one subject are no longer counted.
pub const TRAIL_OWN_EVENTS_SECS: u64 = 30 * 24 * 3600;
/// Events of single rows that were imported; each run leaves one among those of operators as well.
pub const TRAIL_IMPORTED_EVENTS_MAX: usize = 10_000;
/// Audit events of grants that Redis keeps for whoever reads them; beyond it the oldest go. Some 30 MiB.
pub const AUDIT_EVENTS_MAX: usize = 100_000;
/// Names that are read from a store at once.
pub const LIST_PAGE_MAX: usize = 1000;
/// Bytes of a form of the self-service pages.
pub const PORTAL_FORM_BYTES_MAX: usize = 16 * 1024;
/// Seconds after which a session of the self-service pages ends, whatever was done in it.
pub const PORTAL_SESSION_SECS_MAX: u64 = 3600;
/// Changes that are made in one session of the self-service pages. Nobody needs a tenth of them, and each leaves a
/// trace.
pub const PORTAL_CHANGES_MAX: u32 = 100;
/// How often a change of a session is tried when other requests change the same one.
pub const PORTAL_SESSION_TRIES: usize = 16;
/// Seconds after the confirmation of a factor within which the first recovery codes are made without another code.
pub const PORTAL_CONFIRMED_SECS: u64 = 60;
/// Bytes of the picture on the self-service pages.
pub const LOGO_BYTES_MAX: u64 = 256 * 1024;
/// Devices that are remembered for a subject; one more takes the place of the one that was used least lately.
pub const DEVICES_MAX: usize = 10;
/// Seconds within which a device's secret that was used already is no sign of theft: requests of one client may
/// overlap.
pub const DEVICE_GRACE_SECS: u64 = 60;
/// Bytes of what is kept of a client's name for itself.
pub const DEVICE_LABEL_BYTES_MAX: usize = 100;
/// Rows of an import that are on their way to the store at once: enough to fill a batch of commits.
pub const IMPORTS_AT_ONCE: usize = 64;
/// Bytes of one line or one value of a file that is imported; longer ones are bad rows. A QR code holds 3 KiB.
pub const IMPORT_VALUE_BYTES_MAX: usize = 64 * 1024;
