//! `[revocation]`: whether and how withheld tokens are revoked upstream.

use std::path::Path;

use http::Method;

use super::{client, reader::Reader};
use crate::upstream::{
    ClientCredentials, RevocationClient, RevocationEndpoint, RevocationSettings, RevocationStyle, UpstreamUrl,
};

/// Where RFC 7009 servers have it, unless something else is set.
const RFC7009_URL: &str = "/oauth2/revoke";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Off,
    Rfc7009,
    Request,
}

/// Reads the section; `None` when it is switched off, or faulty.
pub(super) fn read(
    reader: &mut Reader<'_>,
    base: &Path,
    upstream: Option<&UpstreamUrl>,
) -> Option<RevocationSettings> {
    let style = reader.text("revocation.style", |text| match text {
        "off" => Ok(Style::Off),
        "rfc7009" => Ok(Style::Rfc7009),
        "request" => Ok(Style::Request),
        _ => Err("must be off, rfc7009 or request".into()),
    });
    let method = reader.text("revocation.method", |text| match text {
        "DELETE" => Ok(Method::DELETE),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "GET" => Ok(Method::GET),
        _ => Err("must be DELETE, POST, PUT, PATCH or GET".into()),
    });
    let own = reader.text("revocation.client", |text| match text {
        "same" => Ok(false),
        "own" => Ok(true),
        _ => Err("must be same or own".into()),
    });
    let client_id = reader.text("revocation.client_id", client::client_id);
    let style = style.unwrap_or(Style::Off);
    let secret = reader.file("revocation.client_secret_file", base, |path| match style {
        Style::Off => Ok(None),
        Style::Rfc7009 | Style::Request => client::secret(path).map(Some),
    });
    let url = reader.text("revocation.url", |text| Ok(text.to_owned()));

    let style = match style {
        Style::Off => return None,
        Style::Rfc7009 => {
            if method.is_some() {
                reader.contradiction("revocation.method", "is for revocation.style = \"request\" only");
            }
            RevocationStyle::Rfc7009
        }
        Style::Request => RevocationStyle::Request(method.unwrap_or(Method::DELETE)),
    };
    let own = own.unwrap_or(false);
    for key in ["revocation.client_id", "revocation.client_secret_file"] {
        if own && !reader.is_set(key) {
            reader.contradiction(key, "must be set when revocation.client is own");
        } else if !own && reader.is_set(key) {
            reader.contradiction(key, "is for revocation.client = \"own\" only");
        }
    }
    let client = if own {
        RevocationClient::Own(ClientCredentials { client_id: client_id?, client_secret: secret.flatten()? })
    } else {
        RevocationClient::Same
    };
    let url = match (url, &style) {
        (Some(url), _) => url,
        (None, RevocationStyle::Rfc7009) => RFC7009_URL.to_owned(),
        (None, RevocationStyle::Request(_)) => {
            let rule = "must be set when revocation.style is request, such as /oauth2/tokens/{token}";
            reader.contradiction("revocation.url", rule);
            return None;
        }
    };
    match RevocationEndpoint::parse(&url, &style, upstream?) {
        Ok(endpoint) => Some(RevocationSettings { style, endpoint, client }),
        Err(fault) => {
            reader.contradiction("revocation.url", fault.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LEAST, read};

    fn faults(section: &str) -> String {
        read(&format!("{LEAST}[revocation]\n{section}")).unwrap_err()
    }

    fn settings(section: &str) -> String {
        format!("{:?}", read(&format!("{LEAST}[revocation]\n{section}")).unwrap().revocation)
    }

    #[test]
    fn it_is_off_unless_it_is_switched_on() {
        assert_eq!(settings(""), "None");
        assert_eq!(settings("style = 'off'\nurl = '/x'\nmethod = 'DELETE'\nclient = 'own'\n"), "None");
    }

    #[test]
    fn the_comments_of_the_shipped_file_show_the_defaults_of_each_style() {
        let shipped = include_str!("../../gateway.toml");
        let (_, section) = shipped.split_once("[revocation]\n").unwrap();
        let (section, _) = section.split_once("\n[").unwrap();
        let default = |key: &str| {
            let line = section.lines().find_map(|line| line.strip_prefix(&format!("#{key} = ")));
            format!("{key} = {}\n", line.unwrap())
        };
        assert_eq!(settings(&default("style")), "None");
        let rfc7009 = "style = 'rfc7009'\n";
        let all = format!("{rfc7009}{}{}", default("url"), default("client"));
        assert_eq!(settings(&all), settings(rfc7009));
        let request = "style = 'request'\nurl = '/oauth2/tokens/{token}'\n";
        let all = format!("{request}{}{}", default("method"), default("client"));
        assert_eq!(settings(&all), settings(request));
    }

    #[test]
    fn every_fault_of_the_section_is_told_with_its_rule() {
        let said = faults("style = 'on'\nmethod = 'delete'\nclient = 'mine'\nclient_id = ''\nurls = 'x'\n");
        for wanted in [
            "revocation.style: must be off, rfc7009 or request, but it is 'on'",
            "revocation.method: must be DELETE, POST, PUT, PATCH or GET, but it is 'delete'",
            "revocation.client: must be same or own, but it is 'mine'",
            "revocation.client_id: must be 1 to 1024 printable ASCII characters, but it is ''",
            "revocation.urls: is not a setting; did you mean 'revocation.url'?",
        ] {
            assert!(said.contains(wanted), "{wanted}\nis not in\n{said}");
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        for (section, wanted) in [
            ("style = 'request'", "revocation.url: must be set when revocation.style is request"),
            ("style = 'request'\nurl = '/x'", "revocation.url: must hold {token} once"),
            ("style = 'rfc7009'\nurl = '/x/{token}'", "revocation.url: must not hold {token}"),
            ("style = 'rfc7009'\nurl = 'http://u:hunter22@h/x'", "revocation.url: must be a path"),
            (
                "style = 'rfc7009'\nmethod = 'POST'",
                "revocation.method: is for revocation.style = \"request\" only",
            ),
            (
                "style = 'rfc7009'\nclient_id = 'x'",
                "revocation.client_id: is for revocation.client = \"own\" only",
            ),
            ("style = 'rfc7009'\nclient = 'own'", "revocation.client_secret_file: must be set when"),
            (
                "style = 'rfc7009'\nclient = 'own'\nclient_id = 'x'\nclient_secret_file = 'nowhere'",
                "revocation.client_secret_file: must be a file that can be read",
            ),
        ] {
            let said = faults(section);
            assert!(said.contains(wanted) && !said.contains("hunter22"), "{wanted}\nis not in\n{said}");
        }
    }

    #[test]
    fn the_gateways_own_secret_is_read_from_its_file_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "hunter22\n").unwrap();
        let shown = settings(&format!(
            "style = 'rfc7009'\nclient = 'own'\nclient_id = 'gw'\nclient_secret_file = '{}'\n",
            file.display()
        ));
        assert!(
            shown.contains("gw") && shown.contains("[redacted]") && !shown.contains("hunter22"),
            "{shown}"
        );
        std::fs::write(&file, "two\nlines\n").unwrap();
        let said = faults(&format!(
            "style = 'rfc7009'\nclient = 'own'\nclient_id = 'gw'\nclient_secret_file = '{}'\n",
            file.display()
        ));
        assert!(said.contains("must be a file that holds the secret on one line"), "{said}");
    }
}
