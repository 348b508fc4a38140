//! Every format, with samples by the layouts that its file documents.

mod drupal;
mod properties;

use std::io::Cursor;

use prost::Message as _;

use super::{
    Entry, Format, IncomingFactor, Row, RowFault,
    google::{MigrationPayload, OtpParameters},
    rows,
};
use crate::{factor::totp::Algorithm, types::UnixTime};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const BYTES: &[u8] = b"12345678901234567890";

fn read(format: Format, text: impl Into<Vec<u8>>) -> Vec<Row> {
    rows(format, Box::new(Cursor::new(text.into())), 1).collect()
}

fn factor(row: &Row) -> &IncomingFactor {
    match &row.entry {
        Ok(Entry::Factor(factor)) => factor,
        other => panic!("line {}: {other:?}", row.line),
    }
}

fn fault(row: &Row) -> String {
    row.entry.as_ref().expect_err("a bad row").to_string()
}

/// Line, subject, algorithm, digits and period of each, or the fault.
fn summed_up(rows: &[Row]) -> Vec<String> {
    let sum_up = |row: &Row| match &row.entry {
        Ok(Entry::Factor(factor)) => {
            let p = factor.parameters;
            format!(
                "{}: {} {} {} {} {}",
                row.line,
                factor.subject,
                p.algorithm().as_str(),
                p.digits(),
                p.period_secs(),
                data_encoding::BASE32_NOPAD.encode(factor.secret.expose()),
            )
        }
        Ok(Entry::Alias { alias, subject }) => format!("{}: {alias} -> {subject}", row.line),
        Err(fault) => format!("{}: {fault}", row.line),
    };
    rows.iter().map(sum_up).collect()
}

#[test]
fn csv_has_columns_in_any_order_and_defaults() {
    let text = format!(
        "\u{feff}Secret,subject,algorithm,digits,period,label,recovery_codes,enrolled_at\n\
         {SECRET},alice,sha256,8,60,\"phone, old\",abcd-efgh-jkmn;12345678,2023-11-14T22:13:20Z\n\
         {SECRET},bob\n\
         \n\
         not base32!,carol\n\
         {SECRET},,SHA1\n\
         {SECRET},dave,MD5\n\
         {SECRET},erin,,9\n\
         {SECRET},frank,,,,,short,\n\
         {SECRET},grace,,,,,,yesterday\n"
    );
    let rows = read(Format::Csv, text);
    assert_eq!(
        summed_up(&rows),
        [
            format!("2: alice SHA256 8 60 {SECRET}"),
            format!("3: bob SHA1 6 30 {SECRET}"),
            "5: the secret must be base32 (letters A to Z and digits 2 to 7), and it is not".into(),
            "6: subject: must not be empty".into(),
            "7: the algorithm must be SHA1, SHA256 or SHA512".into(),
            "8: digits must be 6 to 8".into(),
            "9: a recovery code must have 8 letters and digits or more".into(),
            "10: enrolled_at: must be Unix seconds, or as 2026-01-31T09:00:00Z".into(),
        ]
    );
    let alice = factor(&rows[0]);
    assert_eq!(alice.label.as_deref(), Some("phone, old"));
    assert_eq!(alice.recovery_codes.len(), 2);
    assert_eq!(alice.enrolled_at.map(UnixTime::as_secs), Some(1_700_000_000));
}

#[test]
fn csv_with_an_unknown_column_is_not_read_at_all() {
    let rows = read(Format::Csv, "subject,secret,recovery_code\na,b,c\n");
    assert_eq!(rows.len(), 1);
    assert!(fault(&rows[0]).starts_with("recovery_code: "), "{}", fault(&rows[0]));
    assert!(fault(&read(Format::Csv, "subject\na\n")[0]).starts_with("secret: "));
}

#[test]
fn otpauth_takes_the_subject_before_a_tab_or_the_account() {
    let text = format!(
        "# exported yesterday\n\
         otpauth://totp/Example%20Inc:alice%40example.org?secret={SECRET}&issuer=Example%20Inc\n\
         Bob\tOTPAUTH://totp/x?secret={}&algorithm=SHA512&digits=8&period=60\n\
         \n\
         otpauth://hotp/carol?secret={SECRET}&counter=3\n\
         otpauth://totp/dave?secret={SECRET}&secret={SECRET}\n\
         otpauth://totp/erin\n\
         https://example.org/\n",
        SECRET.to_lowercase()
    );
    assert_eq!(
        summed_up(&read(Format::Otpauth, text)),
        [
            format!("2: alice@example.org SHA1 6 30 {SECRET}"),
            format!("3: Bob SHA512 8 60 {SECRET}"),
            "5: HOTP (a counter) is not supported; enrol the person anew".into(),
            "6: the URI must name each parameter once".into(),
            "7: a line must be otpauth://totp/…, or a subject, a tab and that".into(),
            "8: a line must be otpauth://totp/…, or a subject, a tab and that".into(),
        ]
    );
}

#[test]
fn google_transfers_several_accounts_in_one_line() {
    // The example of github.com/dim13/otpauth, which leaves algorithm and digits unspecified.
    let published = "otpauth-migration://offline?data=\
                     CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbRoHRXhhbXBsZTAC";
    let account = |name: &str, algorithm, digits, kind| OtpParameters {
        secret: BYTES.to_vec(),
        name: name.into(),
        issuer: "Example".into(),
        algorithm,
        digits,
        kind,
    };
    let payload = MigrationPayload {
        otp_parameters: vec![account("bob", 2, 2, 2), account("carol", 1, 1, 1), account("dave", 4, 1, 2)],
    };
    let ours = data_encoding::BASE64.encode(&payload.encode_to_vec());
    let rows =
        read(Format::Google, format!("{published}\notpauth-migration://offline?data={ours}\nnothing\n"));
    assert_eq!(
        summed_up(&rows),
        [
            "1: alice@google.com SHA1 6 30 JBSWY3DPEHPK3PXP".to_owned(),
            format!("2: bob SHA256 8 30 {SECRET}"),
            "2: HOTP (a counter) is not supported; enrol the person anew".into(),
            "2: the algorithm must be SHA1, SHA256 or SHA512".into(),
            "3: a line must be otpauth-migration://offline?data=…".into(),
        ]
    );
}

#[test]
fn authelia_exports_yaml_and_csv() {
    let secret = data_encoding::BASE64.encode(SECRET.as_bytes());
    let yaml = format!(
        "# yaml-language-server: $schema=https://www.authelia.com/schemas/latest/json-schema/exports.totp.json\n\n\
         totp_configurations:\n    \
         - created_at: 2023-11-14T22:13:20Z\n      last_used_at: 2023-11-14T22:15:00Z\n      username: john\n      \
         issuer: Authelia\n      algorithm: SHA1\n      digits: 6\n      period: 30\n      secret: {secret}\n    \
         - created_at: 2023-11-14T22:13:20Z\n      last_used_at: null\n      username: \"1234\"\n      \
         issuer: Authelia\n      algorithm: SHA512\n      digits: 8\n      period: 60\n      secret: {secret}\n    \
         - username: broken\n      digits: 6\n"
    );
    let rows = read(Format::Authelia, yaml);
    assert_eq!(
        summed_up(&rows),
        [
            format!("4: john SHA1 6 30 {SECRET}"),
            format!("12: 1234 SHA512 8 60 {SECRET}"),
            "20: the entry does not have the members of this export, or it is no YAML".into(),
        ]
    );
    let john = factor(&rows[0]);
    assert_eq!(john.enrolled_at.map(UnixTime::as_secs), Some(1_700_000_000));
    assert_eq!(john.last_used_step, Some(1_700_000_100 / 30 + 1));
    assert_eq!(factor(&rows[1]).last_used_step, None);

    let csv = format!("issuer,username,algorithm,digits,period,secret\nAuthelia,john,SHA256,6,30,{SECRET}\n");
    assert_eq!(summed_up(&read(Format::Authelia, csv)), [format!("2: john SHA256 6 30 {SECRET}")]);
    assert!(read(Format::Authelia, "totp_configurations: []\n").is_empty());
    assert!(fault(&read(Format::Authelia, "nothing: here\n")[0]).contains("no list"));
}

#[test]
fn privacyidea_exports_yaml_and_csv_in_hexadecimal_or_base32() {
    let hex = data_encoding::HEXLOWER.encode(BYTES);
    let yaml = format!(
        "- count: 0\n  count_window: 10\n  description: my phone\n  id: 1\n  info_list:\n    hashlib: sha256\n    \
         timeShift: '0'\n    timeStep: '60'\n  otpkey: {hex}\n  otplen: 8\n  owner: alice@realm1\n  realms:\n  - realm1\n  \
         serial: TOTP0001\n  type: totp\n  user_id: '1001'\n\
         - info_list: {{}}\n  otpkey: {SECRET}\n  otplen: 6\n  owner: bob@example.org@realm1\n  serial: T2\n  type: totp\n\
         - otpkey: {hex}\n  otplen: 6\n  owner: carol@realm1\n  type: hotp\n\
         - otpkey: {hex}\n  otplen: 6\n  owner: n/a\n  type: totp\n"
    );
    let rows = read(Format::Privacyidea, yaml);
    assert_eq!(
        summed_up(&rows),
        [
            format!("1: alice SHA256 8 60 {SECRET}"),
            format!("17: bob@example.org SHA1 6 30 {SECRET}"),
            "23: HOTP (a counter) is not supported; enrol the person anew".into(),
            "27: the token has no owner".into(),
        ]
    );
    assert_eq!(factor(&rows[0]).label.as_deref(), Some("my phone"));

    let csv = format!(
        "alice@realm1, TOTP0001, {hex}, totp, 6, 30\nbob@realm1, OATH2, {hex}, hotp, 6\n\
         n/a, T3, {hex}, totp, 6, 30\ncarol@realm1, T4, {SECRET}, totp, 8, None\n"
    );
    assert_eq!(
        summed_up(&read(Format::Privacyidea, csv)),
        [
            format!("1: alice SHA1 6 30 {SECRET}"),
            "2: HOTP (a counter) is not supported; enrol the person anew".into(),
            "3: the token has no owner".into(),
            format!("4: carol SHA1 8 30 {SECRET}"),
        ]
    );
}

#[test]
fn a_line_that_is_too_long_or_no_utf_8_is_bad_and_the_next_one_is_read() {
    let mut text = vec![b'x'; 200_000];
    text.extend_from_slice(b"\n\xff\xfe\n");
    text.extend_from_slice(format!("otpauth://totp/alice?secret={SECRET}").as_bytes());
    let rows = read(Format::Otpauth, text);
    assert_eq!(
        summed_up(&rows),
        [
            "1: a line may have at most 64 KiB".to_owned(),
            "2: a line must be UTF-8".into(),
            format!("3: alice SHA1 6 30 {SECRET}"),
        ]
    );
    assert!(matches!(rows[1].entry, Err(RowFault::Rule(_))));
}

#[test]
fn a_bad_row_does_not_show_its_secret() {
    let row = &read(Format::Csv, format!("subject,secret\nalice,{SECRET}1\n"))[0];
    assert!(!format!("{row:?}").contains(&SECRET[..8]));
    let good = &read(Format::Csv, format!("subject,secret\nalice,{SECRET}\n"))[0];
    assert!(!format!("{good:?}").contains(&SECRET[..8]));
    assert_eq!(factor(good).parameters.algorithm(), Algorithm::Sha1);
}

/// What stands between it and the next one, or the end, is of others.
#[test]
fn a_quotation_mark_that_is_not_closed_shows_nobodys_secret() {
    let others = format!("bob,{SECRET}\ncarol,{SECRET}\n");
    for first in [format!("\"alice,{SECRET}"), format!("alice,\"{SECRET}")] {
        let rows = read(Format::Csv, format!("subject,secret\n{first}\n{others}"));
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        let said = fault(row);
        assert!(said.contains("a quotation mark opens here") && !said.contains(SECRET), "{said}");
        assert_eq!((row.line, &row.subject), (2, &None));
    }
}
