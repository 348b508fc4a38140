//! Challenges that no code has met: a right password that none ever follows is a sign that somebody has it who should
//! not.
//!
//! Invariants: so many subjects are watched at once, and no more.

use std::{collections::BTreeMap, time::Duration};

use crate::types::{SubjectId, UnixTime};

/// Subjects that are watched at once. A flood of right passwords for more of them is seen by the first ones.
const WATCHED_MAX: usize = 10_000;

/// What is told of challenges to whoever watches that they are met.
#[derive(Debug, Clone)]
pub enum ChallengeNews {
    /// A right password was followed by no code, at that time.
    Asked(SubjectId, UnixTime),
    /// A factor was verified.
    Met(SubjectId),
}

/// The challenges of subjects who have met none of theirs since.
#[derive(Debug)]
pub struct OpenChallenges {
    after: Duration,
    open: BTreeMap<SubjectId, Challenges>,
}

/// The challenges of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenges {
    /// When the first one was.
    pub since: UnixTime,
    /// How many there were.
    pub count: u64,
}

impl OpenChallenges {
    /// None yet; one that is not met for so long is abandoned.
    pub const fn new(after: Duration) -> Self {
        Self { after, open: BTreeMap::new() }
    }

    /// Takes in what is told.
    pub fn hear(&mut self, news: ChallengeNews) {
        match news {
            ChallengeNews::Met(subject) => drop(self.open.remove(&subject)),
            ChallengeNews::Asked(subject, since) => {
                let is_full = self.open.len() >= WATCHED_MAX;
                match self.open.get_mut(&subject) {
                    Some(known) => known.count += 1,
                    None if is_full => {}
                    None => drop(self.open.insert(subject, Challenges { since, count: 1 })),
                }
            }
        }
    }

    /// Takes back what was taken out, for another look.
    pub fn put_back(&mut self, subject: SubjectId, challenges: Challenges) {
        if self.open.len() < WATCHED_MAX {
            self.open.insert(subject, challenges);
        }
    }

    /// Takes out those that are abandoned by now.
    pub fn take_abandoned(&mut self, now: UnixTime) -> Vec<(SubjectId, Challenges)> {
        let is_over = |open: &Challenges| open.since.secs_until(now) >= self.after.as_secs();
        let over: Vec<_> = self
            .open
            .iter()
            .filter(|(_, it)| is_over(it))
            .map(|(subject, it)| (subject.clone(), *it))
            .collect();
        for (subject, _) in &over {
            self.open.remove(subject);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fold_username;

    fn subject(name: &str) -> SubjectId {
        fold_username(name).unwrap()
    }

    fn asked(name: &str, at: u64) -> ChallengeNews {
        ChallengeNews::Asked(subject(name), UnixTime::from_secs(at))
    }

    #[test]
    fn what_nobody_meets_in_time_is_abandoned_once_and_counted_from_the_first() {
        let mut open = OpenChallenges::new(Duration::from_secs(60));
        for news in [asked("a", 100), asked("b", 101), asked("a", 130), ChallengeNews::Met(subject("b"))] {
            open.hear(news);
        }
        assert_eq!(open.take_abandoned(UnixTime::from_secs(159)), []);
        let since = UnixTime::from_secs(100);
        assert_eq!(
            open.take_abandoned(UnixTime::from_secs(160)),
            [(subject("a"), Challenges { since, count: 2 })]
        );
        assert_eq!(open.take_abandoned(UnixTime::from_secs(999)), []);
        open.put_back(subject("a"), Challenges { since, count: 2 });
        assert_eq!(open.take_abandoned(UnixTime::from_secs(999)).len(), 1);
    }

    #[test]
    fn so_many_are_watched_and_those_that_are_go_on_to_be() {
        let mut open = OpenChallenges::new(Duration::from_secs(60));
        for n in 0..=WATCHED_MAX {
            open.hear(asked(&format!("u{n}"), 1));
        }
        open.hear(asked("u0", 2));
        let abandoned = open.take_abandoned(UnixTime::from_secs(100));
        assert_eq!(abandoned.len(), WATCHED_MAX);
        assert!(!abandoned.iter().any(|(who, _)| *who == subject(&format!("u{WATCHED_MAX}"))));
        assert!(abandoned.iter().any(|(who, of)| *who == subject("u0") && of.count == 2));
    }
}
