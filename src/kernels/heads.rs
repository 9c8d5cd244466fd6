//! How attention is cut into heads, and how the CPU keeps its probabilities.

/// How the rows and channels of qkv are cut into heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Sequences, B.
    pub batch: usize,
    /// Tokens per sequence, T.
    pub seq: usize,
    /// Heads, H.
    pub n_head: usize,
}

/// Rows of P that the CPU's kernels work on together.
pub const BLOCK: usize = if cfg!(miri) { 4 } else { 64 };

/// Numbers of P that are kept per sequence and head: of each block of rows those up to its last diagonal entry.
pub const fn kept(seq: usize) -> usize {
    let (whole, rest) = (seq / BLOCK, seq % BLOCK);
    BLOCK * BLOCK * whole * (whole + 1) / 2 + rest * seq
}
