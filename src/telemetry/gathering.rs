//! How writers of lines save calls to the system.

use std::{thread, time::Duration};

/// How long a writer of lines lets the next ones gather after it has written some. Under load, to wake it and to call
/// the system for each of them would cost more than to make them.
const GATHERED_FOR: Duration = Duration::from_millis(2);

/// Lets lines gather, on the thread of whoever writes them.
#[expect(clippy::disallowed_methods, reason = "such a thread has nothing else to do")]
pub(super) fn gather() {
    thread::sleep(GATHERED_FOR);
}
