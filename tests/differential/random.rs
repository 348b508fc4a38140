//! Random choices that come again with the same seed.

/// Xorshift64*, seeded for one case of a run.
pub(crate) struct Random(u64);

impl Random {
    /// The choices of one case. Seeds and numbers that are close to each other give unrelated choices.
    pub(crate) fn new(seed: u64, case: u64) -> Self {
        // SplitMix64, twice: xorshift itself starts slowly, and never from zero.
        let mixed = |value: u64| {
            let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            value ^ (value >> 31)
        };
        Self(mixed(mixed(seed) ^ case) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).expect("31 bits") % limit
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}
