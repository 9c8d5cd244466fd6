//! The two names of a matrix that may be tied.

use super::tensors::TensorFile;
use crate::base::error::Result;

/// The head's matrix.
pub const HEAD: &str = "lm_head.weight";
/// The token embedding's, which a tied head is.
pub const EMBEDDING: &str = "transformer.wte.weight";

/// What a file has under the two names of a matrix that may be tied: writers keep either or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// The embedding alone.
    Absent,
    /// The head alone.
    Only,
    /// The embedding twice.
    Copy,
    /// A matrix of its own.
    Own,
}

impl Head {
    /// Looks at the tensors of a file that has this program's names.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn of(file: &dyn TensorFile) -> Result<Self> {
        Ok(match (file.describe(HEAD), file.describe(EMBEDDING)) {
            (None, _) => Head::Absent,
            (Some(_), None) => Head::Only,
            _ if file.same(HEAD, EMBEDDING)? => Head::Copy,
            _ => Head::Own,
        })
    }
}
