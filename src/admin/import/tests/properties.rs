//! Whatever a file holds, it is read to its end without a panic; what is exported is imported again as it was.

use proptest::prelude::*;

use super::{
    super::{
        DrupalFiles, DrupalKey, Format, Line,
        sealed::{End, SealedFactor, bound},
    },
    factor, fault, read,
};
use crate::{
    factor::totp::{Algorithm, Totp, TotpParameters},
    sealing::{KEY_BYTES, KeyId, KeyRing},
    store::envelope,
    types::{Secret, UnixTime},
};

fn ring() -> KeyRing {
    KeyRing::new((KeyId::parse("k1").expect("an id"), Secret::new([7; KEY_BYTES])), vec![])
}

fn formats() -> Vec<Format> {
    let key = DrupalKey::parse(b"0123456789abcdef0123456789abcdef").expect("a key");
    let drupal = DrupalFiles {
        key,
        users: None,
        recovery_codes: None,
        accepted_codes: None,
        table_prefix: String::new(),
    };
    vec![
        Format::Drupal(drupal),
        Format::Authelia,
        Format::Privacyidea,
        Format::Otpauth,
        Format::Google,
        Format::Csv,
        Format::Sealed(Box::new(ring())),
    ]
}

/// Bytes that look a little like one of the formats.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"INSERT INTO `tfa_totp_seed` VALUES (".to_vec()),
        Just(b"CREATE TABLE `users` (`uid` int,".to_vec()),
        Just(b"'a\\'b',".to_vec()),
        Just(b"subject,secret\n".to_vec()),
        Just(b"otpauth://totp/a:b?secret=AAAA&".to_vec()),
        Just(b"otpauth-migration://offline?data=".to_vec()),
        Just(b"- owner: a@b\n  otpkey: '00'\n".to_vec()),
        Just(b"totp_configurations:\n".to_vec()),
        Just(b"{\"tfa_gateway_export\":1,\"file\":\"x\"}\n".to_vec()),
        Just(b"uid,seed\n1,AAAA\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\"".to_vec()),
        "\\PC{0,8}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..24),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn parameters() -> impl Strategy<Value = TotpParameters> {
    let algorithm = prop_oneof![Just(Algorithm::Sha1), Just(Algorithm::Sha256), Just(Algorithm::Sha512)];
    (algorithm, 6_u8..=8, 15_u32..=300).prop_map(|(algorithm, digits, period)| {
        TotpParameters::new(algorithm, digits, period, 1).expect("bounds")
    })
}

proptest! {
    #[test]
    fn no_file_makes_a_parser_panic(text in texts()) {
        for format in formats() {
            let _ = read(format, text.clone());
        }
    }

    #[test]
    fn a_plain_export_is_read_as_it_was(
        secret in proptest::collection::vec(any::<u8>(), 10..=128),
        parameters in parameters(),
        subject in "[#a-z0-9@.: -]{0,15}[a-z]",
    ) {
        let totp = Totp::taken_over(parameters, &Secret::new(secret.clone())).expect("bounds");
        let line = format!("{subject}\t{}", *totp.otpauth_uri("Example: Inc", &subject));
        let rows = read(Format::Otpauth, line);
        prop_assert_eq!(rows.len(), 1);
        let read = factor(&rows[0]);
        prop_assert_eq!((&read.subject, read.secret.expose(), read.parameters), (&subject.trim().to_owned(), &secret, parameters));
    }

    #[test]
    fn a_sealed_line_is_read_as_it_was_and_at_its_place_alone(
        secret in proptest::collection::vec(any::<u8>(), 10..=128),
        parameters in parameters(),
        subject in "\\PC{1,20}",
        label in proptest::option::of("\\PC{1,20}"),
        step in any::<Option<u64>>(),
        enrolled_at in any::<Option<u64>>(),
    ) {
        let line = Line::Factor(SealedFactor {
            subject: subject.clone(),
            id: Some("imp-1".into()),
            secret: zeroize::Zeroizing::new(data_encoding::BASE32_NOPAD.encode(&secret)),
            alg: parameters.algorithm().as_str().into(),
            digits: parameters.digits(),
            period: parameters.period_secs(),
            skew: parameters.skew_steps(),
            label: label.clone(),
            enrolled_at,
            last_used_step: step,
            recovery_codes: vec![],
        });
        let seal = |line: &Line, number| {
            envelope::seal(&ring(), &bound("f", number), &serde_json::to_vec(line).expect("JSON")).expect("sealed")
        };
        let header = "{\"tfa_gateway_export\":1,\"file\":\"f\"}";
        let (body, end) = (seal(&line, 2), seal(&Line::End(End { lines: 2 }), 3));
        let sealed = || Format::Sealed(Box::new(ring()));
        let rows = read(sealed(), format!("{header}\n{body}\n{end}\n"));
        prop_assert_eq!(rows.len(), 1);
        let found = factor(&rows[0]);
        prop_assert_eq!(found.secret.expose(), &secret);
        prop_assert_eq!((&found.subject, found.parameters, &found.label), (&subject, parameters, &label));
        prop_assert_eq!((found.last_used_step, found.enrolled_at.map(UnixTime::as_secs)), (step, enrolled_at));

        let cut = read(sealed(), format!("{header}\n{body}\n"));
        prop_assert!(fault(&cut[1]).contains("ends too early"));
        let moved = read(sealed(), format!("{header}\n\n{body}\n"));
        prop_assert!(moved.iter().all(|row| row.entry.is_err()));
        let other = read(sealed(), format!("{}\n{body}\n{end}\n", header.replace("\"f\"", "\"g\"")));
        prop_assert!(other.iter().all(|row| row.entry.is_err()));
    }
}
