//! Broadcasting arithmetic on a backend's tensor primitive, so that composed kernels read like their
//! formulas.

use std::ops::{Add, Mul, Sub};

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Scalar, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Shape, Slice};

/// A float tensor of backend `B`; cloning shares the storage.
#[derive(Clone, Debug)]
pub(crate) struct Array<B: Backend>(pub FloatTensor<B>);

impl<B: Backend> Array<B> {
    /// Extent of axis `axis`.
    pub fn dim(&self, axis: usize) -> usize {
        self.0.shape()[axis]
    }

    pub fn reshape<const D: usize>(self, shape: [usize; D]) -> Self {
        Array(B::float_reshape(self.0, Shape::from(shape)))
    }

    pub fn permute(self, axes: &[usize]) -> Self {
        Array(B::float_permute(self.0, axes))
    }

    /// Swaps the last two axes.
    pub fn t(self) -> Self {
        let rank = self.0.shape().num_dims();
        Array(B::float_swap_dims(self.0, rank - 2, rank - 1))
    }

    /// Matrix product over the last two axes, broadcast over the others.
    pub fn matmul(self, rhs: Self) -> Self {
        Array(B::float_matmul(self.0, rhs.0))
    }

    /// Sum over an axis, which stays with extent 1.
    pub fn sum(self, axis: usize) -> Self {
        Array(B::float_sum_dim(self.0, axis))
    }

    /// Mean over an axis, which stays with extent 1.
    pub fn mean(self, axis: usize) -> Self {
        Array(B::float_mean_dim(self.0, axis))
    }

    /// Maximum over an axis, which stays with extent 1.
    pub fn max(self, axis: usize) -> Self {
        Array(B::float_max_dim(self.0, axis))
    }

    pub fn scale(self, factor: f64) -> Self {
        Array(B::float_mul_scalar(self.0, Scalar::Float(factor)))
    }

    pub fn shift(self, amount: f64) -> Self {
        Array(B::float_add_scalar(self.0, Scalar::Float(amount)))
    }

    pub fn exp(self) -> Self {
        Array(B::float_exp(self.0))
    }

    pub fn log(self) -> Self {
        Array(B::float_log(self.0))
    }

    pub fn erf(self) -> Self {
        Array(B::float_erf(self.0))
    }

    pub fn tanh(self) -> Self {
        Array(B::float_tanh(self.0))
    }

    /// 1/√x.
    pub fn rsqrt(self) -> Self {
        Array(B::float_recip(B::float_sqrt(self.0)))
    }

    pub fn square(self) -> Self {
        self.clone() * self
    }

    /// Part `index` of extent `len` along `axis`.
    pub fn part(self, axis: usize, start: usize, len: usize) -> Self {
        let shape = self.0.shape();
        let slices: Vec<Slice> = (0..shape.num_dims())
            .map(|a| if a == axis { Slice::from(start..start + len) } else { Slice::full() })
            .collect();
        Array(B::float_slice(self.0, &slices))
    }

    /// Rows `tokens` of axis 0.
    pub fn rows(self, tokens: IntTensor<B>) -> Self {
        Array(B::float_select(self.0, 0, tokens))
    }

    /// Adds row i of `values` to row `tokens[i]`.
    pub fn add_rows(self, tokens: IntTensor<B>, values: Self) -> Self {
        Array(B::float_select_assign(self.0, 0, tokens, values.0, IndexingUpdateOp::Add))
    }

    /// Zeros of the given shape on the device and in the dtype of `self`.
    pub fn zeros<const D: usize>(&self, shape: [usize; D]) -> Self {
        let dtype = self.0.dtype().into();
        Array(B::float_zeros(Shape::from(shape), &self.0.device(), dtype))
    }

    /// Adds `other` where there is one.
    pub fn plus(self, other: Option<FloatTensor<B>>) -> Self {
        match other {
            Some(other) => self + Array(other),
            None => self,
        }
    }
}

impl<B: Backend> Add for Array<B> {
    type Output = Self;
    fn add(self, rhs: Self) -> Self {
        Array(B::float_add(self.0, rhs.0))
    }
}

impl<B: Backend> Sub for Array<B> {
    type Output = Self;
    fn sub(self, rhs: Self) -> Self {
        Array(B::float_sub(self.0, rhs.0))
    }
}

impl<B: Backend> Mul for Array<B> {
    type Output = Self;
    fn mul(self, rhs: Self) -> Self {
        Array(B::float_mul(self.0, rhs.0))
    }
}
