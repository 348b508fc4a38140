//! How long a revocation that failed waits: exponential backoff with full jitter, so that gateways whose upstream
//! comes back do not all ask at once.

/// The longest possible wait after the first attempt. Seconds.
const FIRST_SECS: u64 = 1;
/// The longest possible wait after any attempt. Seconds.
const LONGEST_SECS: u64 = 3600;

/// Seconds until the next attempt, after so many; `random` is drawn evenly from all numbers.
pub(super) fn delay_secs(attempts: u32, random: u64) -> u64 {
    let ceiling = 1_u64
        .checked_shl(attempts.saturating_sub(1))
        .and_then(|factor| FIRST_SECS.checked_mul(factor))
        .map_or(LONGEST_SECS, |secs| secs.clamp(FIRST_SECS, LONGEST_SECS));
    // The stores count whole seconds, and none would be no wait.
    1 + random % ceiling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_doubles_from_a_second_to_an_hour() {
        let longest = |attempts: u32| (0..4000).map(|random| delay_secs(attempts, random)).max().unwrap();
        let waits: Vec<u64> = [1, 2, 3, 4, 12, 13, 64, 65, u32::MAX].map(longest).into();
        assert_eq!(waits, [1, 2, 4, 8, 2048, 3600, 3600, 3600, 3600]);
        assert_eq!(delay_secs(9, 0), 1);
        assert_eq!(delay_secs(0, u64::MAX), 1);
    }
}
