//! The residual of an eigenvalue, ‖A v − θ v‖, from one fresh product: some eigenvalue lies within it of θ.
//!
//! Approximate pairs are made as good as their span allows first, by Rayleigh-Ritz.

use ndarray::{Array2, Axis};

use super::operator::Products;
use super::{dense, panel};
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::vectors::Vectors;

/// Pairs, values descending.
pub struct RitzPairs {
    /// Rayleigh quotients.
    pub values: Vec<f64>,
    /// ‖A v − θ v‖: recomputed where verified, an estimate of the search elsewhere.
    pub residuals: Vec<f64>,
    /// Which residuals were recomputed.
    pub verified: Vec<bool>,
    /// Unit vectors.
    pub vectors: Vectors,
}

impl RitzPairs {
    /// How many.
    pub fn k(&self) -> usize {
        self.values.len()
    }

    /// The pairs at these places, in this order.
    pub fn select(&self, places: &[usize]) -> RitzPairs {
        RitzPairs {
            values: places.iter().map(|&i| self.values[i]).collect(),
            residuals: places.iter().map(|&i| self.residuals[i]).collect(),
            verified: places.iter().map(|&i| self.verified[i]).collect(),
            vectors: self.vectors.select(places),
        }
    }

    /// The first `top` and the last `bottom`.
    pub fn ends(&self, top: usize, bottom: usize) -> RitzPairs {
        self.select(&(0..top).chain(self.k() - bottom..self.k()).collect::<Vec<_>>())
    }

    /// Verifies the pairs at these places (ascending), one product each; the others stay as they are.
    ///
    /// # Errors
    /// As [`rayleigh_ritz`].
    pub fn verify(self, places: &[usize], products: &Products, observer: &dyn Observer) -> Result<RitzPairs> {
        if places.is_empty() {
            return Ok(self);
        }
        if places.len() == self.k() {
            return rayleigh_ritz(self.vectors, products, observer);
        }
        let others: Vec<usize> = (0..self.k()).filter(|i| !places.contains(i)).collect();
        let others = self.select(&others);
        let mut all = rayleigh_ritz(self.vectors.select(places), products, observer)?;
        all.values.extend(others.values);
        all.residuals.extend(others.residuals);
        all.verified.extend(others.verified);
        all.vectors.append(&others.vectors);
        let mut order: Vec<usize> = (0..all.k()).collect();
        order.sort_by(|&i, &j| all.values[j].total_cmp(&all.values[i]));
        Ok(all.select(&order))
    }
}

/// Rayleigh-Ritz on the span of vectors that are orthonormal to rounding: one product each, true residuals.
///
/// # Errors
/// Where a product or LAPACK fails, or the observer was told to stop.
pub fn rayleigh_ritz(
    mut vectors: Vectors,
    products: &Products,
    observer: &dyn Observer,
) -> Result<RitzPairs> {
    let k = vectors.k();
    let mut images = Vectors::with_capacity(k, vectors.n(), vectors.dtype());
    for i in 0..k {
        observer.check()?;
        images.append(&products.of(&vectors.slice(i..i + 1))?);
    }
    // make the small problem exact, though the vectors are not quite orthonormal
    let (g, q) = dense::eigh(&panel::gram(&vectors, &vectors))?;
    let whiten = &q * &g.mapv(|x| 1.0 / x.sqrt());
    let h = panel::gram(&vectors, &images);
    let h = whiten.t().dot(&((&h + &h.t()) * 0.5)).dot(&whiten);
    let (values, s) = dense::eigh(&h)?;
    let order: Vec<usize> = (0..k).rev().collect();
    let (values, s) = (values.select(Axis(0), &order), whiten.dot(&s).select(Axis(1), &order));
    panel::rotate(&mut vectors, s.view());
    panel::rotate(&mut images, s.view());
    panel::subtract(&mut images, &vectors, &Array2::from_diag(&values));
    let residuals = panel::norms(&images);
    Ok(RitzPairs { values: values.to_vec(), residuals, verified: vec![true; k], vectors })
}
