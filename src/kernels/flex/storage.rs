//! Between tensors and the slices the CPU kernels work on.

use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use super::float::Float;

/// A tensor whose numbers lie in order, as a slice.
///
/// The slice is asked for once: a tensor's answer, with its checks, takes as long as a row of a layer norm.
pub struct Input<E> {
    tensor: FlexTensor,
    start: *const E,
    len: usize,
}

// SAFETY: the numbers are the tensor's, which is `Sync`, and nothing writes them while it is held
#[allow(unsafe_code)]
unsafe impl<E: Sync> Sync for Input<E> where FlexTensor: Sync {}

impl<E: Float> Input<E> {
    /// Copies only where the tensor is a view in another order.
    pub fn new(tensor: FlexTensor) -> Self {
        let tensor = tensor.to_contiguous();
        let numbers = tensor.as_slice::<E>().expect("contiguous, and of the dtype the kernel was chosen by");
        let (start, len) = (numbers.as_ptr(), numbers.len());
        Input { tensor, start, len }
    }

    /// The numbers, row-major.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub fn get(&self) -> &[E] {
        // SAFETY: the slice that `new` got, of a buffer on the heap that `tensor` keeps alive and where it is
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// Extent of an axis.
    pub fn dim(&self, axis: usize) -> usize {
        self.tensor.layout().shape()[axis]
    }
}

/// Optional inputs.
pub fn optional<E: Float>(tensor: Option<FlexTensor>) -> Option<Input<E>> {
    tensor.map(Input::new)
}

/// The token ids of an int tensor.
pub fn ids(tensor: &FlexTensor) -> Vec<usize> {
    let tensor = tensor.to_contiguous();
    tensor.as_slice::<i32>().expect("token ids are i32").iter().map(|&id| id as usize).collect()
}

/// A tensor of the given numbers.
pub fn output<E: Float, const D: usize>(numbers: Vec<E>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(numbers, shape))
}

/// `len` numbers whose values are whatever the memory held. For buffers a kernel fills completely: zeroing
/// them first would be a third of the memory traffic of the elementwise kernels.
///
/// That every kernel writes each number before anything reads it is what `soundness` tests under Miri.
#[allow(unsafe_code)]
#[allow(clippy::uninit_vec)]
pub fn unfilled<E: Float>(len: usize) -> Vec<E> {
    let mut numbers = Vec::with_capacity(len);
    // SAFETY: every bit pattern is a valid f32 or f64 (`Float: Pod`), the capacity is there, and the kernels
    // write each number before anything reads it
    unsafe { numbers.set_len(len) };
    numbers
}
