//! Enrols `bench1` to `benchN` for `bench/run.py` and `bench/count.py`, all with one secret, and prints the codes of the next hour
//! as a Lua table: `seed STORE_URL KEY_FILE COUNT [FROM]`; with `FROM`, those before it are there already.

use std::{path::PathBuf, time::Duration};

use futures_util::{StreamExt as _, stream};
use tfa_gateway::{
    factor::totp::{Totp, TotpParameters},
    identity::fold_username,
    policy::lockout::Lockout,
    step_up::{Clock as _, EnrolmentRegistry as _, NewFactor},
    store::{EmbeddedSettings, Opener, RedisSettings, StoreChoice, StoreSettings, key_file},
    telemetry::SystemClock,
    types::{FactorId, Secret},
};
use tokio::runtime::{Builder, LocalOptions};

/// Enrolments under way at once.
const AT_ONCE: usize = 512;
/// Steps of 30 seconds for which codes are printed.
const STEPS: u64 = 120;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo bench` adds an argument of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut next = |what: &'static str| arguments.next().ok_or(what);
    let (url, key_file, count) =
        (next("STORE_URL")?, PathBuf::from(next("KEY_FILE")?), next("COUNT")?.parse()?);
    let from = next("FROM").map_or(Ok(1), |from| from.parse())?;
    let now = SystemClock.now();
    let timeout = Duration::from_secs(60);
    let choice = match url.strip_prefix("embedded:") {
        Some(path) => StoreChoice::Embedded(EmbeddedSettings { path: path.into(), timeout }),
        None => StoreChoice::Redis(RedisSettings::parse(&url, timeout)?),
    };
    key_file::create_if_absent(&key_file, now)?;
    let settings = StoreSettings {
        plain_secrets: false,
        must_exist: false,
        default_totp: TotpParameters::default(),
        lockout: Lockout::default(),
    };
    let opener = Opener::new(&choice, key_file, settings, now)?;
    let totp = Totp::new(TotpParameters::default(), &Secret::new(vec![42; 20]))?;
    let id = FactorId::parse("bench")?;

    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(async {
        let store = opener.open()?;
        let enrolments = (from..=count).map(|n: u64| {
            let (store, totp, id) = (&store, totp.clone(), id.clone());
            async move {
                let new = NewFactor { id: Some(id), label: None, enrolled_at: now, totp };
                store.enrol(&fold_username(&format!("bench{n}"))?, new).await?;
                Ok::<_, Box<dyn std::error::Error>>(())
            }
        });
        let mut enrolling = stream::iter(enrolments).buffer_unordered(AT_ONCE);
        while let Some(enrolled) = enrolling.next().await {
            enrolled?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;

    let first = now.as_secs() / 30;
    println!("return {{ first = {first}, subjects = {count}, codes = {{");
    for step in first..first + STEPS {
        println!("\"{}\",", *totp.passcode_at(step));
    }
    println!("}} }}");
    Ok(())
}
