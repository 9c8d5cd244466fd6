//! Each kernel at the two sizes of the engine bench, as throughput: kernels made of matrix products in flops
//! (compare with `gemm`), the others in bytes they must read and write (compare with `copy`).
//!
//!     cargo bench --bench kernels
#![allow(missing_docs)]

use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use warmlab::architecture::Activation;
use warmlab::kernels::attention::{self, Heads};
use warmlab::kernels::{cross_entropy, embedding, gelu, layer_norm, linear};

#[global_allocator]
static ALLOCATOR: warmlab::base::allocator::Allocator = warmlab::base::allocator::Allocator;

fn main() {
    warmlab::base::allocator::keep_freed_memory();
    divan::main();
}

/// (sequences, tokens, heads, width, directions).
#[derive(Clone, Copy, Debug)]
struct Size(usize, usize, usize, usize, usize);

impl Size {
    fn n(self) -> usize {
        self.0 * self.1
    }
    fn c(self) -> usize {
        self.3
    }
    fn k(self) -> usize {
        self.4
    }
    fn heads(self) -> Heads {
        Heads { batch: self.0, seq: self.1, n_head: self.2 }
    }
    /// Flops of one product with every lower triangle of attention.
    fn attention_flops(self) -> usize {
        self.0 * self.1 * (self.1 + 1) * self.3
    }
}

const SIZES: [Size; 3] = [Size(12, 64, 4, 128, 1), Size(12, 64, 4, 128, 8), Size(4, 256, 6, 384, 1)];
const VOCAB: usize = 65;

fn t<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), (&Device::flex(), DType::F32))
}

fn ids(n: usize) -> Tensor<1, Int> {
    let ids: Vec<i32> = (0..n).map(|i| (i * 7 % VOCAB) as i32).collect();
    Tensor::from_data(TensorData::new(ids, [n]), &Device::flex())
}

#[divan::bench(args = SIZES)]
fn gemm(bencher: Bencher, s: Size) {
    let (m, k, n) = (s.n() * s.k(), s.c(), 4 * s.c());
    let (x, w) = (t([m, k]), t([n, k]));
    bencher.counter(ItemsCount::new(2 * m * k * n)).bench(|| linear::linear(&x, &w, None, None));
}

#[divan::bench(args = SIZES)]
fn copy(bencher: Bencher, s: Size) {
    let from = vec![1.0f32; s.n() * s.k() * 4 * s.c()];
    let mut to = from.clone();
    bencher.counter(BytesCount::new(8 * from.len())).bench_local(|| {
        use rayon::prelude::*;
        let pieces = to.par_chunks_mut(1 << 16).zip(from.par_chunks(1 << 16));
        pieces.for_each(|(to, from)| to.copy_from_slice(from));
    });
}

#[divan::bench(args = SIZES)]
fn linear_tangent(bencher: Bencher, s: Size) {
    let (n, k, i, o) = (s.n(), s.k(), s.c(), 4 * s.c());
    let (x, x_dot, w, w_dot) = (t([n, i]), t([n, k, i]), t([o, i]), t([k, o, i]));
    bencher
        .counter(ItemsCount::new(4 * n * k * i * o))
        .bench(|| linear::linear_tangent(&x, &x_dot, &w, &w_dot, None, None));
}

#[divan::bench(args = SIZES)]
fn linear_backward(bencher: Bencher, s: Size) {
    let (n, k, i, o) = (s.n(), s.k(), s.c(), 4 * s.c());
    let (x, w, g) = (t([n, i]), t([o, i]), t([n, k, o]));
    bencher.counter(ItemsCount::new(4 * n * k * i * o)).bench(|| linear::linear_backward(&x, &w, &g, false));
}

#[divan::bench(args = SIZES)]
fn linear_backward_tangent(bencher: Bencher, s: Size) {
    let (n, k, i, o) = (s.n(), s.k(), s.c(), 4 * s.c());
    let (x, x_dot, w, w_dot) = (t([n, i]), t([n, k, i]), t([o, i]), t([k, o, i]));
    let (g, g_dot) = (t([n, o]), t([n, k, o]));
    bencher
        .counter(ItemsCount::new(8 * n * k * i * o))
        .bench(|| linear::linear_backward_tangent(&x, &x_dot, &w, &w_dot, &g, &g_dot, false));
}

#[divan::bench(args = SIZES)]
fn layer_norm_forward(bencher: Bencher, s: Size) {
    let (x, w) = (t([s.n(), s.c()]), t([s.c()]));
    bencher.counter(BytesCount::new(12 * s.n() * s.c())).bench(|| layer_norm::layer_norm(&x, &w, None, 1e-5));
}

#[divan::bench(args = SIZES)]
fn layer_norm_tangent(bencher: Bencher, s: Size) {
    let (n, k, c) = (s.n(), s.k(), s.c());
    let (_, x_hat, rstd) = layer_norm::layer_norm(&t([n, c]), &t([c]), None, 1e-5);
    let (w, x_dot, w_dot) = (t([c]), t([n, k, c]), t([k, c]));
    bencher
        .counter(BytesCount::new(4 * n * c * (1 + 3 * k)))
        .bench(|| layer_norm::layer_norm_tangent(&x_hat, &rstd, &w, &x_dot, &w_dot, None));
}

#[divan::bench(args = SIZES)]
fn layer_norm_backward(bencher: Bencher, s: Size) {
    let (n, k, c) = (s.n(), s.k(), s.c());
    let (_, x_hat, rstd) = layer_norm::layer_norm(&t([n, c]), &t([c]), None, 1e-5);
    let (w, g, add) = (t([c]), t([n, k, c]), t([n, k, c]));
    bencher
        .counter(BytesCount::new(4 * n * c * (1 + 3 * k)))
        .bench(|| layer_norm::layer_norm_backward(&x_hat, &rstd, &w, &g, false, Some(&add)));
}

#[divan::bench(args = SIZES)]
fn layer_norm_backward_tangent(bencher: Bencher, s: Size) {
    let (n, k, c) = (s.n(), s.k(), s.c());
    let (_, x_hat, rstd) = layer_norm::layer_norm(&t([n, c]), &t([c]), None, 1e-5);
    let (w, w_dot, g, slope) = (t([c]), t([k, c]), t([n, c]), t([n, k]));
    let (x_hat_dot, g_dot, add) = (t([n, k, c]), t([n, k, c]), t([n, k, c]));
    bencher.counter(BytesCount::new(4 * n * c * (2 + 4 * k))).bench(|| {
        layer_norm::layer_norm_backward_tangent(
            &x_hat,
            &rstd,
            &w,
            &x_hat_dot,
            &slope,
            &w_dot,
            &g,
            &g_dot,
            false,
            Some(&add),
        )
    });
}

#[divan::bench(args = SIZES)]
fn gelu_forward(bencher: Bencher, s: Size) {
    let x = t([s.n(), 4 * s.c()]);
    bencher.counter(BytesCount::new(16 * s.n() * 4 * s.c())).bench(|| gelu::gelu(&x, Activation::Gelu, true));
}

#[divan::bench(args = SIZES)]
fn gelu_scale(bencher: Bencher, s: Size) {
    let (first, t) = (t([s.n(), 4 * s.c()]), t([s.n(), s.k(), 4 * s.c()]));
    bencher
        .counter(BytesCount::new(16 * s.n() * s.c() * (1 + 2 * s.k())))
        .bench(|| gelu::gelu_scale(&first, &t));
}

#[divan::bench(args = SIZES)]
fn gelu_backward_tangent(bencher: Bencher, s: Size) {
    let (first, second_g) = (t([s.n(), 4 * s.c()]), t([s.n(), 4 * s.c()]));
    let (x_dot, g_dot) = (t([s.n(), s.k(), 4 * s.c()]), t([s.n(), s.k(), 4 * s.c()]));
    bencher
        .counter(BytesCount::new(16 * s.n() * s.c() * (2 + 3 * s.k())))
        .bench(|| gelu::gelu_backward_tangent(&first, &second_g, &x_dot, &g_dot));
}

#[divan::bench(args = SIZES)]
fn attention_forward(bencher: Bencher, s: Size) {
    let qkv = t([s.n(), 3 * s.c()]);
    bencher.counter(ItemsCount::new(2 * s.attention_flops())).bench(|| attention::attention(&qkv, s.heads()));
}

#[divan::bench(args = SIZES)]
fn attention_tangent(bencher: Bencher, s: Size) {
    let (qkv, dot) = (t([s.n(), 3 * s.c()]), t([s.n(), s.k(), 3 * s.c()]));
    let (_, p, _) = attention::attention(&qkv, s.heads());
    bencher
        .counter(ItemsCount::new(4 * s.k() * s.attention_flops()))
        .bench(|| attention::attention_tangent(&qkv, &p, &dot, s.heads()));
}

#[divan::bench(args = SIZES)]
fn attention_backward(bencher: Bencher, s: Size) {
    let (qkv, g) = (t([s.n(), 3 * s.c()]), t([s.n(), s.k(), s.c()]));
    let (_, p, _) = attention::attention(&qkv, s.heads());
    bencher
        .counter(ItemsCount::new(4 * s.k() * s.attention_flops()))
        .bench(|| attention::attention_backward(&qkv, &p, &g, s.heads()));
}

#[divan::bench(args = SIZES)]
fn attention_backward_tangent(bencher: Bencher, s: Size) {
    let (qkv, dot) = (t([s.n(), 3 * s.c()]), t([s.n(), s.k(), 3 * s.c()]));
    let (g, g_dot) = (t([s.n(), s.c()]), t([s.n(), s.k(), s.c()]));
    let (_, p, _) = attention::attention(&qkv, s.heads());
    let (_, p_dot) = attention::attention_tangent(&qkv, &p, &dot, s.heads());
    let (_, centred) = attention::attention_backward(&qkv, &p, &g.clone().unsqueeze_dim(1), s.heads());
    bencher.counter(ItemsCount::new(8 * s.k() * s.attention_flops())).bench(|| {
        attention::attention_backward_tangent(&qkv, &p, &centred, &g, &dot, &p_dot, &g_dot, s.heads())
    });
}

#[divan::bench(args = SIZES)]
fn embedding_tangent_and_backward(bencher: Bencher, s: Size) {
    let (n, k, c) = (s.n(), s.k(), s.c());
    let (tokens, wte, wpe, g) = (ids(n), t([k, VOCAB, c]), t([k, s.1, c]), t([n, k, c]));
    bencher.counter(BytesCount::new(8 * n * k * c)).bench(|| {
        let x = embedding::embedding_tangent(&tokens, &wte, &wpe, s.1);
        (x, embedding::embedding_backward(&tokens, &g, s.1, VOCAB, s.1))
    });
}

#[divan::bench(args = SIZES)]
fn cross_entropy_gradient(bencher: Bencher, s: Size) {
    let (h, w, y) = (t([s.n(), s.c()]), t([VOCAB, s.c()]), ids(s.n()));
    bencher.counter(ItemsCount::new(6 * s.n() * s.c() * VOCAB)).bench(|| {
        let (_, kept) = cross_entropy::cross_entropy(&h, &w, &y);
        cross_entropy::cross_entropy_backward(&h, &w, &y, &kept, 0.1)
    });
}

#[divan::bench(args = SIZES)]
fn cross_entropy_backward_tangent(bencher: Bencher, s: Size) {
    let (n, k, c) = (s.n(), s.k(), s.c());
    let (h, w, y) = (t([n, c]), t([VOCAB, c]), ids(n));
    let (h_dot, w_dot) = (t([n, k, c]), t([k, VOCAB, c]));
    let (_, kept) = cross_entropy::cross_entropy(&h, &w, &y);
    bencher
        .counter(ItemsCount::new(12 * n * k * c * VOCAB))
        .bench(|| cross_entropy::cross_entropy_backward_tangent(&h, &h_dot, &w, &w_dot, &y, &kept, 0.1));
}
