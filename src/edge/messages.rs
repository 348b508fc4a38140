//! What people are told when a passcode is wanted, wrong, used or locked.

use std::borrow::Cow;

use crate::policy::Challenge;

/// The texts, which `[messages]` can replace: other languages, other house style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// No code was sent.
    pub required: String,
    /// The code fits nothing.
    pub wrong: String,
    /// The code was used before.
    pub used: String,
    /// Too many failures; `{minutes}` is replaced.
    pub locked: String,
    /// Too many failures in a row.
    pub locked_for_good: String,
    /// A rule asks for a factor, and there is none yet.
    pub enrolment_wanted: String,
}

impl Default for Messages {
    /// The texts of the Drupal module that clients were written against.
    fn default() -> Self {
        Self {
            required: "Two-factor authentication is required".into(),
            wrong: "Invalid application code. Please try again.".into(),
            used: "Invalid code, it was recently used for a login. Please wait for the application to \
                   generate a new code."
                .into(),
            locked: "You have reached the threshold for incorrect code entry attempts. Please try again in \
                     {minutes} minutes."
                .into(),
            locked_for_good: "You have reached the threshold for incorrect code entry attempts. Please ask \
                              an administrator to unlock your account."
                .into(),
            enrolment_wanted: "Two-factor authentication must be set up before you can log in".into(),
        }
    }
}

impl Messages {
    /// The text of one challenge. Minutes are rounded up.
    pub fn text(&self, challenge: Challenge) -> Cow<'_, str> {
        match challenge {
            Challenge::PasscodeWanted => Cow::Borrowed(&self.required),
            Challenge::WrongPasscode => Cow::Borrowed(&self.wrong),
            Challenge::UsedPasscode => Cow::Borrowed(&self.used),
            Challenge::Locked { for_secs } => {
                let minutes = for_secs.div_ceil(60).max(1);
                Cow::Owned(self.locked.replace("{minutes}", &minutes.to_string()))
            }
            Challenge::LockedForGood => Cow::Borrowed(&self.locked_for_good),
            Challenge::EnrolmentWanted => Cow::Borrowed(&self.enrolment_wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_computed_and_rounded_up() {
        let messages = Messages::default();
        for (secs, minutes) in [(900, "in 15 minutes"), (61, "in 2 minutes"), (1, "in 1 minutes")] {
            let text = messages.text(Challenge::Locked { for_secs: secs });
            assert!(text.contains(minutes), "{text}");
        }
    }
}
