//! Random start vectors and probes.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::panel;
use crate::base::random::Random;
use crate::base::values::{DType, Values};
use crate::base::vectors::Vectors;

/// k vectors drawn uniformly from the unit sphere of dimension n.
pub fn sphere(k: usize, n: usize, dtype: DType, random: &mut Random) -> Vectors {
    let values = match dtype {
        DType::F32 => {
            let draw = |_| {
                let x: f64 = StandardNormal.sample(random);
                x as f32
            };
            Values::F32((0..k * n).map(draw).collect())
        }
        DType::F64 => Values::F64((0..k * n).map(|_| StandardNormal.sample(random)).collect()),
    };
    let mut vectors = Vectors::new(values, n);
    let norms = panel::norms(&vectors);
    panel::scale_rows(&mut vectors, &norms.iter().map(|norm| 1.0 / norm).collect::<Vec<_>>());
    vectors
}

/// k vectors of independent signs ±1.
pub fn rademacher(k: usize, n: usize, dtype: DType, random: &mut Random) -> Vectors {
    let mut bits = 0u64;
    let mut sign = |i: usize| {
        if i.is_multiple_of(64) {
            bits = random.next_u64();
        }
        let bit = bits >> (i % 64) & 1;
        if bit == 1 { 1.0 } else { -1.0 }
    };
    let values = match dtype {
        DType::F32 => Values::F32((0..k * n).map(|i| sign(i) as f32).collect()),
        DType::F64 => Values::F64((0..k * n).map(sign).collect()),
    };
    Vectors::new(values, n)
}
