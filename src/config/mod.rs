//! Layer 7: gateway.toml and the environment, parsed into each module's own settings.
//!
//! Invariants: every fault is found before anything listens, and all of them are reported at once, each
//! with its key, the rule and the value; a key that nobody reads is a fault; a value that may hold a
//! password is never shown.

mod admin;
mod audit;
mod client;
mod fixed;
mod grants;
mod identity;
mod listen;
mod policy;
mod portal;
mod reader;
mod revocation;
mod sections;
mod settings;
mod store;
mod table;
mod tls;
mod watched;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};

pub use fixed::Fixed;
pub use reader::Fault;
use reader::Reader;
pub use settings::Settings;
pub use watched::WatchedFile;

/// The file that is read when no other is named.
pub const DEFAULT_FILE: &str = "gateway.toml";
/// What every environment variable starts with; `TFA_GATEWAY_STORE__URL` is `store.url`.
pub const ENV_PREFIX: &str = "TFA_GATEWAY_";

/// Why a configuration is refused.
#[derive(Debug)]
pub struct ConfigError {
    faults: Vec<Fault>,
    files: Vec<WatchedFile>,
}

impl ConfigError {
    /// All that is wrong with it.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The files that it was read from, as far as they are known: a change of one of them may mend it.
    pub fn files(&self) -> &[WatchedFile] {
        &self.files
    }

    /// Says so where the faults may come of this: that there is no file.
    fn without_file(mut self, named: Option<&Path>) -> Self {
        if named.is_none() && !Path::new(DEFAULT_FILE).exists() {
            let rule = "is not in this directory: say --config FILE, or set TFA_GATEWAY_CONFIG".to_owned();
            self.faults.insert(0, Fault { key: DEFAULT_FILE.into(), rule, value: None, source: None });
        }
        self
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        write!(f, "the configuration has {count} fault{}:", if count == 1 { "" } else { "s" })?;
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

/// Reads the named file, or `gateway.toml` if there is one, and then the environment, which wins.
///
/// Relative paths in the configuration are relative to the file's directory, so that the command line
/// finds the same store from wherever it is called.
pub fn load(named: Option<&Path>) -> Result<Settings, ConfigError> {
    let file = named.unwrap_or(Path::new(DEFAULT_FILE));
    let watched = WatchedFile::look(std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file)));
    let read = merged(named).and_then(|(figment, base)| parse(&figment, &base));
    match read.map_err(|error| error.without_file(named)) {
        Ok(mut settings) => {
            settings.files.push(watched);
            Ok(settings)
        }
        Err(mut error) => {
            error.files.push(watched);
            Err(error)
        }
    }
}

/// For `keys generate` alone: the key file may be made before anything else is known.
pub fn load_for_keys(named: Option<&Path>) -> Result<Settings, ConfigError> {
    let (figment, base) = merged(named)?;
    let unknown = |key, url| Serialized::default(key, url);
    let rest = figment
        .join(unknown("upstream.url", "http://unknown.invalid"))
        .join(unknown("store.url", "redis://unknown.invalid"));
    parse(&rest, &base).map_err(|error| error.without_file(named))
}

/// The file and the environment; and what relative paths are relative to.
fn merged(named: Option<&Path>) -> Result<(Figment, PathBuf), ConfigError> {
    let file = named.unwrap_or(Path::new(DEFAULT_FILE));
    let mut figment = Figment::new();
    if named.is_some() || file.exists() {
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error.to_string()))?;
        // Parsed by itself first: a syntax error must not hide behind missing keys, and its message
        // must not quote the line, which may hold a password.
        if let Err(error) = Toml::from_str::<figment::value::Dict>(&text) {
            let line =
                error.span().and_then(|span| text.get(..span.start)).map(|t| t.matches('\n').count() + 1);
            let place = line.map_or_else(String::new, |line| format!("line {line}: "));
            return Err(unreadable(file, &format!("{place}{}", error.message())));
        }
        figment = figment.merge(Toml::file_exact(file));
    }
    // Kubernetes sets variables such as TFA_GATEWAY_SERVICE_HOST for a Service of that name: what has
    // no double underscore is not ours.
    let environment = Env::prefixed(ENV_PREFIX).filter(|name| name.as_str().contains("__")).split("__");
    let base = match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => std::path::absolute(directory),
        _ => std::env::current_dir(),
    };
    let base = base.map_err(|error| unreadable(file, &error.to_string()))?;
    Ok((figment.merge(environment), base))
}

fn unreadable(file: &Path, why: &str) -> ConfigError {
    let fault = Fault {
        key: file.display().to_string(),
        rule: format!("cannot be read: {}", why.trim_end()),
        value: None,
        source: None,
    };
    ConfigError { faults: vec![fault], files: Vec::new() }
}

fn parse(figment: &Figment, base: &Path) -> Result<Settings, ConfigError> {
    let mut reader = Reader::new(figment);
    let mut settings = sections::read(&mut reader, base);
    let files: Vec<_> = reader.files().iter().map(|(_, file)| file.clone()).collect();
    if let Some(settings) = &mut settings {
        settings.files.clone_from(&files);
        settings.fixed = fixed::Fixed::of(figment, reader.files());
    }
    let faultless = reader.is_faultless();
    let faults = reader.finish();
    match settings {
        Some(settings) if faultless && faults.is_empty() => Ok(settings),
        _ => Err(ConfigError { faults, files }),
    }
}

/// The demonstration's configuration: an embedded store in `directory`, nothing else that is not a default.
pub fn demo(directory: &Path, listen: SocketAddr, upstream: SocketAddr) -> Result<Settings, ConfigError> {
    let figment = Figment::new()
        .merge(("listen.address", listen.to_string()))
        .merge(("upstream.url", format!("http://{upstream}")))
        .merge(("store.url", "embedded:demo.db"))
        .merge(("factor.totp.issuer", "tfa-gateway demo"))
        .merge(("log.level", "warn"))
        .merge(("admin.address", "127.0.0.1:0"));
    parse(&figment, directory)
}

#[cfg(test)]
mod tests;
