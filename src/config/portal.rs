//! `[portal]`: the self-service pages. They are off until `url` is set.

use std::{fs, path::Path};

use figment::{
    Figment,
    providers::{Format as _, Toml},
};

use super::{client, reader::Reader};
use crate::{
    portal::{Logo, PortalClient, PortalSettings, PortalUrl, Texts},
    types::limits::LOGO_BYTES_MAX,
};

/// Reads the section; `None` when it is off, or faulty.
pub(super) fn read(reader: &mut Reader<'_>, base: &Path, issuer: &str) -> Option<PortalSettings> {
    let url = reader.text("portal.url", |text| {
        PortalUrl::parse(text).ok_or_else(|| {
            "must be an https URL (http on loopback alone) with a path of lower-case letters, digits, '-' and '_', and a \
             '/' at its end, such as https://site.example/tfa/"
                .into()
        })
    });
    let client_id = reader.text("portal.client_id", client::client_id);
    let client_secret = reader.file("portal.client_secret_file", base, client::secret);
    let scope = reader.text("portal.scope", |text| {
        if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
    });
    let site_name = reader.text("portal.site_name", |text| {
        if text.trim().is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            return Err("must be 1 to 200 bytes of text on one line".to_owned());
        }
        Ok(text.to_owned())
    });
    let logo = reader.file("portal.logo_file", base, logo);
    let texts = reader.file("portal.texts_file", base, texts);
    let session_secs = reader.number("portal.session_secs", 60..=3600, 900);
    let Some(url) = url else {
        for key in ["portal.client_id", "portal.client_secret_file", "portal.logo_file", "portal.texts_file"]
        {
            if reader.is_set(key) && !reader.is_set("portal.url") {
                reader.contradiction(key, "must stand beside portal.url, which switches the pages on");
            }
        }
        return None;
    };
    if client_id.is_none() && !reader.is_set("portal.client_id") {
        reader.contradiction(
            "portal.client_id",
            "must be set beside portal.url: a client of the server that may use the password grant",
        );
    }
    Some(PortalSettings {
        url,
        client: PortalClient { client_id: client_id?, client_secret },
        scope,
        site_name: site_name.unwrap_or_else(|| issuer.to_owned()),
        logo,
        session_secs,
        texts: texts.unwrap_or_default(),
    })
}

fn logo(path: &Path) -> Result<Logo, String> {
    let media_type = match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        _ => return Err("must be a file whose name ends with .svg, .png, .jpg or .webp".into()),
    };
    let size =
        fs::metadata(path).map_err(|error| format!("must be a file that can be read ({error})"))?.len();
    if size > LOGO_BYTES_MAX {
        return Err("must be a file of 256 KiB at most".into());
    }
    let bytes = fs::read(path).map_err(|error| format!("must be a file that can be read ({error})"))?;
    Ok(Logo { media_type, bytes: bytes.into() })
}

fn texts(path: &Path) -> Result<Texts, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("must be a file that can be read ({error})"))?;
    Figment::from(Toml::string(&text))
        .extract()
        .map_err(|error| format!("must hold texts as gateway.toml's comments say: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LEAST, read};

    #[test]
    fn the_pages_are_off_until_they_have_a_url() {
        assert!(read(LEAST).unwrap().portal.is_none());
        let settings =
            read(&format!("{LEAST}\n[portal]\nurl = 'https://site.example/tfa/'\nclient_id = 'cli'\n"))
                .unwrap();
        let portal = settings.portal.unwrap();
        assert_eq!((portal.url.path(), portal.site_name.as_str()), ("/tfa/", "tfa-gateway"));
    }

    #[test]
    fn what_is_wrong_with_the_section_is_named() {
        for (section, expected) in [
            ("url = 'https://site.example/tfa'\nclient_id = 'x'", "portal.url: must be an https URL"),
            ("url = 'https://site.example/tfa/'", "portal.client_id: must be set"),
            ("client_id = 'x'", "portal.client_id: must stand beside portal.url"),
            (
                "url = 'https://a/oauth2/'\nclient_id = 'x'",
                "portal.url: must not have the token endpoint below",
            ),
            (
                "url = 'https://a/t/'\nclient_id = 'x'\nlogo_file = 'a.exe'",
                "portal.logo_file: must be a file whose",
            ),
            (
                "url = 'https://a/t/'\nclient_id = 'x'\nlogo_file = 'a.png'",
                "portal.logo_file: must be a file that can",
            ),
            (
                "url = 'https://a/t/'\nclient_id = 'x'\ntexts_file = 'a.toml'",
                "portal.texts_file: must be a file that",
            ),
            ("url = 'https://a/t/'\nclient_id = 'x'\nsession_secs = 5", "portal.session_secs: must be"),
        ] {
            let said = read(&format!("{LEAST}\n[portal]\n{section}\n")).unwrap_err();
            assert!(said.contains(expected), "{section}: {said}");
        }
    }

    #[test]
    fn the_german_texts_are_whole() {
        let texts = super::texts(std::path::Path::new("deploy/portal/texts.de.toml")).unwrap();
        let english = format!("{:?}", crate::portal::Texts::default());
        let german = format!("{texts:?}");
        for (english, german) in english.split("\", ").zip(german.split("\", ")) {
            assert_ne!(english, german);
        }
    }
}
