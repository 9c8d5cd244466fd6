//! How a computation is done: precision, device, memory, seed.

use crate::base::device::Device;
use crate::base::values::DType;

/// The settings every analysis shares.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Precision of the model and of all vectors.
    pub dtype: DType,
    /// Where tensors live.
    pub device: Device,
    /// Sequences per micro-batch; `None` lets the plan choose.
    pub micro_batch: Option<usize>,
    /// Bytes that may be used.
    pub memory: u64,
    /// Of everything random.
    pub seed: u64,
}
