//! `[admin]`: who may administer, and over what.

use std::path::Path;

use super::{
    reader::Reader,
    table::TableReader,
    tls::{self, ServerTlsKeys},
};
use crate::{
    api::{AccessToken, Right, TOKEN_NAME_RULE, TokenDigest, is_token_name},
    edge::ServerTls,
};

const TOKEN_KEYS: [&str; 3] = ["name", "sha256", "may"];
/// Tokens; each is compared with whatever is presented.
const TOKENS_MAX: usize = 100;

const KEYS: ServerTlsKeys = ServerTlsKeys {
    certificate: "admin.certificate_file",
    key: "admin.key_file",
    others: None,
    client_ca: "admin.client_ca_file",
};

/// TLS on the private listener, if there is to be any. Probes have no certificate.
pub(super) fn tls(reader: &mut Reader<'_>, base: &Path) -> Option<ServerTls> {
    tls::server(reader, base, &KEYS, false, false)
}

/// `[[admin.tokens]]`
pub(super) fn tokens(reader: &mut Reader<'_>) -> Vec<AccessToken> {
    let mut tokens: Vec<AccessToken> = Vec::new();
    for (position, table) in reader.tables("admin.tokens").into_iter().enumerate() {
        let mut table = TableReader::new(reader, "admin.tokens", position, table);
        let Some(new) = token(&mut table) else { continue };
        if tokens.iter().any(|token| token.name == new.name) {
            table.fault("name", "must differ from those of other tokens");
        }
        if tokens.iter().any(|token| token.digest == new.digest) {
            table.fault("sha256", "must differ from those of other tokens");
        }
        tokens.push(new);
    }
    if tokens.len() > TOKENS_MAX {
        reader.contradiction("admin.tokens", format!("must be {TOKENS_MAX} at most"));
    }
    tokens
}

/// One of them. Reads it all, so that all that is wrong with it is said.
fn token(table: &mut TableReader<'_, '_>) -> Option<AccessToken> {
    table.knows(&TOKEN_KEYS, "a token");
    for (key, rule) in [
        ("name", TOKEN_NAME_RULE),
        ("sha256", "must be set; `tfa-gateway api-token NAME` makes a token and prints it"),
        ("may", "must be set, such as [\"read\", \"write\"]"),
    ] {
        if !table.has(key) {
            table.fault(key, rule);
        }
    }
    let name = table.text("name", |text| {
        if is_token_name(text) { Ok(text.to_owned()) } else { Err(TOKEN_NAME_RULE.to_owned()) }
    });
    // What is wrong here may be the token itself, pasted into the wrong place: it is not shown.
    let digest = table.hidden_text("sha256", |text| {
        TokenDigest::parse(text)
            .ok_or_else(|| "must be the SHA-256 of the token, as 64 hexadecimal digits".to_owned())
    });
    let may = table
        .list("may", |text| Right::parse(text).ok_or_else(|| "must hold read, write or both".to_owned()));
    Some(AccessToken { name: name?, digest: digest?, may: may? })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LEAST, read};

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn the_api_is_off_until_somebody_may_call() {
        assert!(read(LEAST).unwrap().api.is_none());
        let token = format!("[[admin.tokens]]\nname = 'desk'\nsha256 = '{DIGEST}'\nmay = ['read']\n");
        let settings = read(&format!("{LEAST}{token}")).unwrap();
        assert_eq!(settings.api.unwrap().tokens[0].digest.to_hex(), DIGEST);
    }

    #[test]
    fn what_is_wrong_with_a_token_is_named_and_the_token_not_shown() {
        let good = format!("name = 'a'\nsha256 = '{DIGEST}'\nmay = ['read']");
        for (token, expected) in [
            ("name = 'a b'", "admin.tokens[0].name: must be 1 to 64 letters"),
            ("name = 'a'", "admin.tokens[0].sha256: must be set"),
            ("sha256 = 'tfagw_hunter22'", "admin.tokens[0].sha256: must be the SHA-256"),
            ("may = ['all']", "admin.tokens[0].may: must hold read, write"),
            ("may = []", "admin.tokens[0].may: must be a list of texts, with one"),
            ("token = 'tfagw_hunter22'", "admin.tokens[0].token: is not a setting of a token"),
            (&format!("{good}\n[[admin.tokens]]\n{good}"), "admin.tokens[1].name: must differ"),
            (&format!("{good}\n[[admin.tokens]]\n{good}"), "admin.tokens[1].sha256: must differ"),
        ] {
            let said = read(&format!("{LEAST}\n[[admin.tokens]]\n{token}\n")).unwrap_err();
            assert!(said.contains(expected), "{token}: {said}");
            assert!(!said.contains("hunter22"), "{said}");
        }
    }

    #[test]
    fn tls_wants_its_files_whole() {
        for (section, expected) in [
            ("client_ca_file = '/x'", "admin.certificate_file: must be set"),
            ("client_ca_file = '/x'", "admin.key_file: must be set"),
            ("certificate_file = '/x'", "admin.key_file: must be set"),
            ("certificate_file = '/x'\nkey_file = '/x'", "admin.certificate_file: must be a file with"),
        ] {
            let said = read(&format!("{LEAST}[admin]\n{section}\n")).unwrap_err();
            assert!(said.contains(expected), "{section}: {said}");
        }
    }
}
