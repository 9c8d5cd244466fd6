//! A block Krylov basis, and what the products that made it say of the matrix.

use ndarray::{Array2, Axis, s};

use crate::base::error::Result;
use crate::base::random::Random;
use crate::base::vectors::Vectors;
use crate::linalg::operator::LinearOperator;
use crate::linalg::{dense, panel, probes};

/// Blocks that make up the basis: a power of the matrix each, which is enough to find what stands out.
const BLOCKS: usize = 5;

/// x − QQᵀx.
pub fn project(x: &mut Vectors, q: &Vectors) {
    let inside = panel::gram(q, x);
    panel::subtract(x, q, &inside);
}

/// An orthonormal basis Q and what A does on it.
pub struct Basis {
    /// (k, n).
    pub q: Vectors,
    /// QᵀAQ.
    pub t: Array2<f64>,
    /// ‖A Q‖_F².
    pub norm_sq: f64,
    /// The diagonal of A − (I − QQᵀ) A (I − QQᵀ).
    pub diagonal: Vec<f64>,
}

impl Basis {
    /// The block Krylov basis of `wanted` vectors, fewer where the matrix has no more to give.
    pub fn new(
        operator: &dyn LinearOperator,
        wanted: usize,
        apply: impl Fn(&Vectors, usize) -> Result<Vectors>,
        random: &mut Random,
    ) -> Result<Self> {
        let n = operator.n();
        let size = wanted.div_ceil(BLOCKS).max(1);
        let mut q = Vectors::with_capacity(wanted, n, operator.dtype());
        let mut t = Array2::<f64>::zeros((wanted, wanted));
        let (mut norm_sq, mut diagonal) = (0.0, vec![0.0; n]);
        let mut block = probes::sphere(size.min(wanted), n, operator.dtype(), random);
        while q.k() < wanted {
            block.truncate(wanted - q.k());
            let x = beyond(block, &q)?;
            if x.k() == 0 {
                break;
            }
            let (done, here) = (q.k(), x.k());
            let w = apply(&x, done)?;
            norm_sq += panel::norms(&w).iter().map(|norm| norm * norm).sum::<f64>();
            add_products(&mut diagonal, 2.0, &x, &w);
            q.append(&x);
            let c = panel::gram(&q, &w);
            t.slice_mut(s![..done + here, done..done + here]).assign(&c);
            t.slice_mut(s![done..done + here, ..done + here]).assign(&c.t());
            block = w;
        }
        let k = q.k();
        let t = t.slice(s![..k, ..k]).to_owned();
        for start in (0..k).step_by(size) {
            let end = k.min(start + size);
            let turned = panel::combine(&q, t.slice(s![.., start..end]));
            add_products(&mut diagonal, -1.0, &q.slice(start..end), &turned);
        }
        Ok(Basis { q, t, norm_sq, diagonal })
    }
}

/// sum += factor · Σ_j x_j∘w_j.
fn add_products(sum: &mut [f64], factor: f64, x: &Vectors, w: &Vectors) {
    for j in 0..x.k() {
        sum.iter_mut().zip(x.row(j).iter().zip(w.row(j))).for_each(|(sum, (x, w))| *sum += factor * x * w);
    }
}

/// An orthonormal basis of what `x` adds to the span of the orthonormal `q`. Directions are compared with the vectors
/// they are from, so that the size of the matrix does not matter.
fn beyond(mut x: Vectors, q: &Vectors) -> Result<Vectors> {
    let floor = 100.0 * x.dtype().epsilon();
    for _ in 0..2 {
        x = normalised(x, 0.0);
        project(&mut x, q);
        x = normalised(x, floor);
        if x.k() == 0 {
            return Ok(x);
        }
        let (values, vectors) = dense::eigh(&panel::gram(&x, &x))?;
        let largest = values.iter().fold(0.0f64, |m, v| m.max(*v));
        let keep: Vec<usize> = (0..values.len()).filter(|&i| values[i] > floor * largest).collect();
        let scale: ndarray::Array1<f64> = keep.iter().map(|&i| 1.0 / values[i].sqrt()).collect();
        panel::rotate(&mut x, (vectors.select(Axis(1), &keep) * &scale).view());
    }
    Ok(x)
}

/// The vectors longer than `floor`, of length 1.
fn normalised(mut x: Vectors, floor: f64) -> Vectors {
    let norms = panel::norms(&x);
    let keep: Vec<usize> = (0..x.k()).filter(|&i| norms[i] > floor).collect();
    let mut s = Array2::zeros((x.k(), keep.len()));
    keep.iter().enumerate().for_each(|(to, &from)| s[[from, to]] = 1.0 / norms[from]);
    panel::rotate(&mut x, s.view());
    x
}
