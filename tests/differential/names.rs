//! User names, and whom they mean.

use super::random::Random;

/// Whose second factor is asked for.
pub(crate) const PEOPLE: [&str; 2] = ["alice", "bob"];

/// What databases and people take for one letter.
const LETTERS: &[(char, &[&str])] = &[
    ('a', &["A", "á", "Á", "à", "ä", "å", "Ā", "ａ", "Ａ", "a\u{301}", "A\u{30a}", "ª", "ⓐ", "𝐚"]),
    ('l', &["L", "ł", "Ł", "ｌ", "Ľ", "l\u{323}", "ⓛ"]),
    ('i', &["I", "ı", "İ", "í", "Ï", "ｉ", "i\u{307}", "ⁱ", "ɨ"]),
    ('c', &["C", "ç", "Ć", "ｃ", "č", "c\u{327}", "ⓒ"]),
    ('e', &["E", "é", "Ê", "ë", "ｅ", "e\u{301}", "ə"]),
    ('b', &["B", "ｂ", "ḃ", "Ｂ", "b\u{331}"]),
    ('o', &["O", "ó", "Ö", "ø", "ｏ", "º", "o\u{308}"]),
];

/// What stands beside and between letters without being seen or compared.
const AROUND: &[&str] =
    &[" ", "  ", "\u{a0}", "\u{3000}", "\u{2003}", "\u{200b}", "\u{ad}", "\u{feff}", "\u{301}"];
const BETWEEN: &[&str] = &["\u{200b}", "\u{200d}", "\u{ad}", "\u{2060}", "\u{feff}", "\u{34f}"];

/// What makes another name of a name, or none at all.
const CUTS: &[&str] = &[
    "\0",
    "\0x",
    "%",
    "%00",
    "\u{7f}",
    "\n",
    "\t",
    "😀",
    "😀x",
    "\u{fffd}",
    ";x",
    "&x",
    "\\",
    "'",
    "@example.com",
];

/// One spelling of the person's name: mostly the plain one, with all of its letters recognisable.
pub(crate) fn spelt(person: &str, random: &mut Random) -> String {
    if random.one_in(2) {
        return person.to_owned();
    }
    let mut name = String::new();
    if random.one_in(6) {
        name += random.pick(AROUND);
    }
    for (index, letter) in person.chars().enumerate() {
        // A mark or a joiner needs something to stand on.
        if index > 0 && random.one_in(20) {
            name += random.pick(BETWEEN);
        }
        let twins = LETTERS.iter().find(|(plain, _)| *plain == letter).map_or(&[][..], |(_, twins)| twins);
        if !twins.is_empty() && random.one_in(3) {
            name += random.pick(twins);
        } else {
            name.push(letter);
        }
    }
    if random.one_in(6) {
        name += random.pick(AROUND);
    }
    name
}

/// A name that some server reads as the person's, and another server as somebody else's.
pub(crate) fn cut(person: &str, random: &mut Random) -> String {
    let cut = random.pick(CUTS);
    match random.below(4) {
        0 => format!("{cut}{person}"),
        1 => format!("{}{cut}{}", &person[..1], &person[1..]),
        _ => format!("{person}{cut}"),
    }
}
