//! Parameters that one parser finds and another does not.

use super::{
    draft::Draft,
    names::{self, PEOPLE},
    random::Random,
};

/// The names that matter.
const PROTOCOL: &[&str] = &["grant_type", "username", "username", "password"];

/// What the type of a password grant may be written as.
const GRANTS: &[&str] = &[
    "PASSWORD",
    "Password",
    " password",
    "password ",
    "password\0",
    "password\0x",
    "ｐassword",
    "pássword",
    "pass\u{200b}word",
    "refresh_token",
    "client_credentials",
    "urn:password",
    "password,refresh_token",
    "",
];

/// Parameters that are none of the grant's, and still change what it is to someone.
const MORE: &[(&str, &str)] = &[
    ("_method", "GET"),
    ("_method", "PUT"),
    ("_METHOD", "post"),
    ("q", "oauth2/token"),
    ("q", "node"),
    ("scope", ""),
    ("state", "x y+z&=%"),
    ("user_name", "carol"),
    ("UserName", "carol"),
    ("x[", "1"),
    ("x]", "1"),
    ("", "1"),
    ("=", "1"),
    ("x\0y", "1"),
    ("utf8", "✓"),
    ("_charset_", "utf-16"),
    ("__proto__", "x"),
    ("GLOBALS[username]", "bob"),
    ("x", "\u{feff}"),
    ("x", "😀"),
    ("x", "&grant_type=password&username=bob&"),
    ("x", "\",\"username\":\"bob"),
    ("x", "\r\n--BB\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nbob"),
];

/// A name as some parser writes it back to the plain one, or takes it for it.
fn mangled(name: &str, random: &mut Random) -> String {
    match random.below(19) {
        0 => name.replace('_', "."),
        1 => name.replace('_', " "),
        2 => name.replace('_', "["),
        3 => name.replace('_', "-"),
        4 => name.to_uppercase(),
        5 => format!(" {name}"),
        6 => format!("{name} "),
        7 => format!("{name}\0"),
        8 => format!("{name}\0x"),
        9 => format!("{name}[]"),
        10 => format!("{name}[0]"),
        11 => format!("{name}[x][y]"),
        12 => format!("{name}["),
        13 => format!("{name}]"),
        14 => format!("\u{feff}{name}"),
        15 => format!("{}{}", name[..1].to_uppercase(), &name[1..]),
        16 => format!("[{name}]"),
        17 => format!("?{name}"),
        _ => format!("&{name}"),
    }
}

/// A value that would make another request of it.
fn decoy(name: &str, random: &mut Random) -> String {
    match name {
        "grant_type" if random.one_in(2) => "password".to_owned(),
        "grant_type" => random.pick(GRANTS).to_owned(),
        "username" if random.one_in(2) => random.pick(&PEOPLE).to_owned(),
        "username" => random.pick(&["carol", "mallory", ""]).to_owned(),
        _ => "hunter22".to_owned(),
    }
}

/// Changes one thing about the parameters.
pub(crate) fn twist(draft: &mut Draft, random: &mut Random) {
    let name = random.pick(PROTOCOL);
    let position = draft.parameters.iter().position(|(n, _)| n == name);
    let anywhere = random.below(draft.parameters.len() + 1);
    match random.below(14) {
        0 | 1 => {
            let duplicate = (name.to_owned(), decoy(name, random));
            draft.parameters.insert(anywhere, duplicate);
        }
        2 | 3 => {
            let twin = (mangled(name, random), decoy(name, random));
            draft.parameters.insert(anywhere, twin);
        }
        4 | 5 => {
            if let Some(at) = position {
                draft.parameters[at].0 = mangled(name, random);
            }
        }
        6 => {
            if let Some(at) = position {
                let moved = draft.parameters.remove(at);
                draft.query.push(moved);
            }
        }
        7 => draft.query.push((name.to_owned(), decoy(name, random))),
        8 => {
            if let Some(at) = position {
                let (name, value) = draft.parameters.remove(at);
                draft
                    .headers
                    .push(("Cookie".to_owned(), format!("{name}={}", value.replace(char::is_control, ""))));
            }
        }
        9 => {
            if let Some(grant) = draft.parameters.iter_mut().find(|(n, _)| n == "grant_type") {
                random.pick(GRANTS).clone_into(&mut grant.1);
            }
        }
        10 => {
            let person = random.pick(&PEOPLE);
            if let Some(username) = draft.parameters.iter_mut().find(|(n, _)| n == "username") {
                username.1 = names::cut(person, random);
            }
        }
        11 if random.one_in(4) => {
            // PHP drops what comes after a thousand.
            let many = (0..1001).map(|i| (format!("x{i}"), String::new()));
            draft.parameters.splice(anywhere..anywhere, many);
        }
        12 => {
            if let Some(at) = position {
                draft.parameters.remove(at);
            }
        }
        _ => {
            let (name, value) = MORE[random.below(MORE.len())];
            let more = (name.to_owned(), value.to_owned());
            if random.one_in(4) { draft.query.push(more) } else { draft.parameters.insert(anywhere, more) }
        }
    }
}
