//! Between tensors and the slices the CPU kernels work on.

use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use super::float::Float;

/// A tensor whose numbers lie in order, as a slice.
pub struct Input<E> {
    tensor: FlexTensor,
    numbers: std::marker::PhantomData<E>,
}

impl<E: Float> Input<E> {
    /// Copies only where the tensor is a view in another order.
    pub fn new(tensor: FlexTensor) -> Self {
        Input { tensor: tensor.to_contiguous(), numbers: std::marker::PhantomData }
    }

    /// The numbers, row-major.
    pub fn get(&self) -> &[E] {
        self.tensor.as_slice::<E>().expect("contiguous, and of the dtype the kernel was chosen by")
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
#[allow(unsafe_code)]
#[allow(clippy::uninit_vec)]
pub fn unfilled<E: Float>(len: usize) -> Vec<E> {
    let mut numbers = Vec::with_capacity(len);
    // SAFETY: every bit pattern is a valid f32 or f64 (`Float: Pod`), the capacity is there, and the kernels
    // write each number before anything reads it
    unsafe { numbers.set_len(len) };
    numbers
}
