//! Drupal: a dump by the modules' own steps (`tests/data/drupal7/make.php`), and CSV of its tables.

use std::io::Cursor;

use super::{
    super::{DrupalFiles, DrupalKey, Format, Row, Source},
    factor, fault, read, summed_up,
};
use crate::types::UnixTime;

const DUMP: &str = include_str!("../../../../tests/data/drupal7/site.sql");
const KEY: &[u8] = include_bytes!("../../../../tests/data/drupal7/site.key");

fn files(key: &[u8], prefix: &str) -> DrupalFiles {
    DrupalFiles {
        key: DrupalKey::parse(key).expect("a key"),
        users: None,
        recovery_codes: None,
        accepted_codes: None,
        table_prefix: prefix.to_owned(),
    }
}

fn source(text: &str) -> Source {
    Box::new(Cursor::new(text.to_owned()))
}

fn dump(text: &str) -> Vec<Row> {
    read(Format::Drupal(files(KEY, "")), text)
}

#[test]
fn a_dump_gives_seeds_by_openssl_and_by_mcrypt_with_names_codes_and_used_steps() {
    let rows = dump(DUMP);
    let summed = summed_up(&rows);
    let without_line = |text: &String| text.split_once(": ").expect("a line").1.to_owned();
    assert_eq!(
        summed.iter().map(without_line).collect::<Vec<_>>(),
        [
            "alice SHA1 6 30 GEZDGNBVGY3TQOJQGEZDGNBV",
            "Bob O'Neill SHA1 6 30 JBSWY3DPEHPK3PXPJBSWY3DP",
            "carol SHA1 6 30 MFRGGZDFMZTWQ2LKNNWG23TP",
            "the seed does not open with this key, which must be the site's tfa_basic_secret_key, or else its \
         drupal_private_key",
            "the table users has no name for its uid",
        ]
    );
    let (alice, bob) = (factor(&rows[0]), factor(&rows[1]));
    assert_eq!((alice.recovery_codes.len(), bob.recovery_codes.len()), (1, 1));
    assert_eq!(alice.enrolled_at.map(UnixTime::as_secs), Some(1_690_000_000));
    assert_eq!(alice.last_used_step, Some(1_700_000_100 / 30 + 3));
    assert_eq!(factor(&rows[2]).last_used_step, None);
}

#[test]
fn a_dump_is_read_without_its_create_statements_and_with_a_prefix() {
    let only = |text: &str| -> String {
        text.split_inclusive('\n').filter(|line| line.starts_with("INSERT")).collect()
    };
    assert_eq!(summed_up(&dump(&only(DUMP)))[0], "4: alice SHA1 6 30 GEZDGNBVGY3TQOJQGEZDGNBV");
    let prefixed = DUMP.replace("`tfa_", "`d7_tfa_").replace("`users`", "`d7_users`");
    let rows = read(Format::Drupal(files(KEY, "d7_")), prefixed.as_str());
    assert_eq!(factor(&rows[0]).subject, "alice");
    assert!(fault(&dump(&prefixed)[0]).contains("--table-prefix"));
}

#[test]
fn the_last_window_of_user_data_counts_if_it_is_later() {
    let more = "INSERT INTO `tfa_user_data` (`uid`,`name`,`value`) VALUES (2,'tfa_totp_time_window','56666680'),\
                (4,'tfa_totp_time_window','7'),(4,'other','9');";
    let rows = dump(&format!("{DUMP}{more}"));
    assert_eq!(factor(&rows[0]).last_used_step, Some(56_666_680));
    assert_eq!(factor(&rows[2]).last_used_step, Some(7));
}

#[test]
fn another_key_opens_nothing() {
    let rows = read(Format::Drupal(files(b"another key that is long enough to be one", "")), DUMP);
    assert!(rows.iter().all(|row| row.entry.is_err()));
    assert!(
        rows.iter().all(|row| fault(row).contains("does not open with this key")),
        "{:?}",
        summed_up(&rows)
    );
}

#[test]
fn tables_as_csv_are_put_together() {
    let seeds = "uid,seed,created\n2,SEED,1690000000\n7,SEED,0\n";
    let line = DUMP.lines().find(|line| line.starts_with("INSERT INTO `tfa_totp_seed`")).expect("seeds");
    let seed = line.split('\'').nth(1).expect("a seed");
    let line = DUMP.lines().find(|line| line.starts_with("INSERT INTO `tfa_recovery_code`")).expect("codes");
    let code = line.split('\'').nth(1).expect("a code");
    let format = Format::Drupal(DrupalFiles {
        users: Some(source("uid,name\n2,alice\n")),
        recovery_codes: Some(source(&format!(
            "uid,code,used\n2,{code},0\n2,nonsense,0\n2,{code},1700000000\n"
        ))),
        accepted_codes: Some(source("uid,time_accepted\n2,1700000100\n")),
        ..files(KEY, "")
    });
    let rows = read(format, seeds.replace("SEED", seed));
    assert_eq!(
        summed_up(&rows),
        [
            "3: the recovery code does not open with this key, or has less than 8 characters",
            "2: alice SHA1 6 30 GEZDGNBVGY3TQOJQGEZDGNBV",
            "3: the table users has no name for its uid",
        ]
    );
    assert_eq!(factor(&rows[1]).recovery_codes.len(), 1);
    assert_eq!(factor(&rows[1]).last_used_step, Some(1_700_000_100 / 30 + 3));
}
