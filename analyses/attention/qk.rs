//! How concentrated a head's bilinear form W_qᵀ W_k is.
//!
//! It is (C, C) but of rank d, and its singular values squared are the eigenvalues of the (d, d) matrix
//! G_q^½ G_k G_q^½ with the Gram matrices G_q = W_q W_qᵀ and G_k = W_k W_kᵀ: two dense eigenproblems of size d,
//! in f64 whatever the parameters' precision.

use ndarray::{Array2, ArrayView2};

use crate::architecture::{GptConfig, Projection};
use crate::base::error::Result;
use crate::base::row::Row;
use crate::base::values::Values;
use crate::linalg::dense;

/// `attention/qk_sigma1` and `attention/qk_energy_share` of every head of a model with the flat `parameters`;
/// no row is stamped yet. A form that is zero has no share.
///
/// # Errors
/// Where LAPACK fails its check.
pub fn rows(config: &GptConfig, parameters: &Values) -> Result<Vec<Row>> {
    let (d, list) = (config.head_size(), config.parameters());
    let mut rows = Vec::new();
    // one after the other: LAPACK has threads of its own
    for (layer, head) in (0..config.n_layer).flat_map(|l| (0..config.n_head).map(move |h| (l, h))) {
        // (d, C)
        let weight = |projection: Projection| {
            let mut weights = list.iter().filter(|p| p.layer == Some(layer) && !p.bias);
            let range = weights.find_map(|p| p.head_rows(projection, head, d))?;
            let c = range.len() / d;
            Some(Array2::from_shape_fn((d, c), |(i, j)| parameters.get(range.start + i * c + j)))
        };
        let (Some(q), Some(k)) = (weight(Projection::Query), weight(Projection::Key)) else { continue };
        let (sigma, energy) = spectrum(q.view(), k.view())?;
        let (layer, head) = (Some(layer as u32), Some(head as u32));
        let place = |row: Row| Row { layer, head, ..row.n(d as u64).without_batch() };
        rows.push(place(Row::new("attention/qk_sigma1", sigma)));
        if energy > 0.0 {
            rows.push(place(Row::new("attention/qk_energy_share", sigma * sigma / energy)));
        }
    }
    Ok(rows)
}

/// (σ1, ‖·‖_F²) of W_qᵀ W_k, with W_q and W_k (d, C).
fn spectrum(q: ArrayView2<f64>, k: ArrayView2<f64>) -> Result<(f64, f64)> {
    let (gram_q, gram_k) = (q.dot(&q.t()), k.dot(&k.t()));
    let (values, vectors) = dense::eigh(&gram_q)?;
    let root: Array2<f64> = (&vectors * &values.mapv(|x| x.max(0.0).sqrt())).dot(&vectors.t());
    let inner = root.dot(&gram_k).dot(&root);
    let (values, _) = dense::eigh(&((&inner + &inner.t()) * 0.5))?;
    let largest = values.last().copied().unwrap_or(0.0).max(0.0);
    Ok((largest.sqrt(), inner.diag().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray_linalg::SVD;

    #[test]
    fn small_matrices_give_the_large_ones_singular_values() {
        let entry = |seed: f64| move |(i, j): (usize, usize)| (seed * (i * 17 + j * 5 + 1) as f64).sin();
        let (q, k) = (Array2::from_shape_fn((3, 12), entry(0.7)), Array2::from_shape_fn((3, 12), entry(1.3)));
        let (sigma, energy) = spectrum(q.view(), k.view()).expect("decomposed");
        let (_, singular, _) = q.t().dot(&k).svd(false, false).expect("decomposed");
        assert!((sigma / singular[0] - 1.0).abs() < 1e-12);
        let squares: f64 = singular.iter().map(|s| s * s).sum();
        assert!((energy / squares - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_form_of_zero_has_no_share() {
        let config: GptConfig = serde_json::from_str(
            r#"{"n_layer": 1, "n_head": 2, "n_embd": 4, "block_size": 3, "vocab_size": 5, "bias": false}"#,
        )
        .expect("valid");
        let zeros = Values::F64(vec![0.0; config.num_parameters()]);
        let rows = rows(&config, &zeros).expect("decomposed");
        assert!(rows.len() == 2 && rows.iter().all(|row| row.value == Some(0.0)));
    }
}
