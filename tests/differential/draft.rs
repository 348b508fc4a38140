//! A token request while it is being put together, and as bytes.

use super::{
    bodies::{self, Care},
    fields,
    names::{self, PEOPLE},
    parameters,
    random::Random,
    targets,
};

/// All that can be changed about a request.
pub(crate) struct Draft {
    method: String,
    target: Vec<u8>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) parameters: Vec<(String, String)>,
}

/// One request of the run.
pub(crate) struct Case {
    /// With `{host}` where the host belongs.
    template: Vec<u8>,
    /// The spelling of the name that it started with, and whom that means.
    pub(crate) spelt: String,
    pub(crate) person: &'static str,
}

const HOST: &[u8] = b"{host}";

/// The case of that number: a password grant, with up to three things about it changed.
pub(crate) fn case(seed: u64, number: u64) -> Case {
    let random = &mut Random::new(seed, number);
    let person = random.pick(&PEOPLE);
    let spelt = names::spelt(person, random);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut draft = Draft {
        method: "POST".to_owned(),
        target: b"/oauth2/token".to_vec(),
        query: Vec::new(),
        headers: Vec::new(),
        parameters: vec![
            pair("grant_type", "password"),
            pair("username", &spelt),
            pair("password", "p w&=+%ä\"\\"),
            pair("scope", "basic"),
        ],
    };
    let style = fields::random_style(random);
    let mut media_type = Some(fields::plain_type(style));
    let mut care = Care::Careful;
    for _ in 0..[0, 1, 1, 1, 2, 2, 3][random.below(7)] {
        match random.below(11) {
            0..=2 => draft.target = targets::twisted(random),
            3 => draft.method = fields::method(random),
            4 | 5 => fields::add(&mut draft, random),
            6 => media_type = Some(fields::twisted_type(style, random)).filter(|kept| !kept.is_empty()),
            7 | 8 => parameters::twist(&mut draft, random),
            9 => care = Care::Sloppy,
            _ => shuffle(&mut draft.parameters, random),
        }
    }
    if let Some(media_type) = media_type {
        let at = if random.one_in(2) { 0 } else { draft.headers.len() };
        draft.headers.insert(at, ("Content-Type".to_owned(), media_type.to_owned()));
    }
    let body = bodies::written(style, care, &draft.parameters, random);
    Case { template: draft.template(&body, random), spelt, person }
}

fn shuffle(parameters: &mut [(String, String)], random: &mut Random) {
    for at in (1..parameters.len()).rev() {
        parameters.swap(at, random.below(at + 1));
    }
}

impl Draft {
    fn template(&self, body: &[u8], random: &mut Random) -> Vec<u8> {
        let mut bytes = self.method.clone().into_bytes();
        bytes.push(b' ');
        bytes.extend(&self.target);
        if !self.query.is_empty() {
            bytes.push(if self.target.contains(&b'?') { b'&' } else { b'?' });
            bytes.extend(bodies::form(Care::Careful, &self.query, random).bytes());
        }
        bytes.extend(b" HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        bytes.extend(body);
        bytes
    }
}

impl Case {
    /// The request on the wire. Whoever receives it can tell by the host which case it is.
    pub(crate) fn raw(&self, host: &str) -> Vec<u8> {
        let mut raw = Vec::with_capacity(self.template.len() + 64);
        let mut rest = &self.template[..];
        while let Some(at) = rest.windows(HOST.len()).position(|window| window == HOST) {
            raw.extend(&rest[..at]);
            raw.extend(host.bytes());
            rest = &rest[at + HOST.len()..];
        }
        raw.extend(rest);
        raw
    }
}
