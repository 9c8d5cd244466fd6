//! How concentrated a head's bilinear form W_qᵀ W_k is.
//!
//! It is (C, C) but of rank d, and its singular values squared are the eigenvalues of the (d, d) matrix
//! G_q^½ G_k G_q^½ with the Gram matrices G_q = W_q W_qᵀ and G_k = W_k W_kᵀ: two dense eigenproblems of size d,
//! in f64 whatever the parameters' precision.

use ndarray::{Array2, ArrayView2};

use crate::architecture::GptConfig;
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
    let (c, d) = (config.n_embd, config.head_size());
    let all = config.parameters();
    let weights: Vec<_> = all
        .iter()
        .filter(|p| p.name.ends_with("attn.c_attn.weight"))
        .map(|p| (p.layer(), p.range()))
        .collect();
    let places: Vec<(usize, usize)> =
        (0..weights.len()).flat_map(|i| (0..config.n_head).map(move |head| (i, head))).collect();
    let of = |&(i, head): &(usize, usize)| {
        let (layer, range) = &weights[i];
        // the rows of the weight are q, k, v, each head after head
        let part = |first: usize| {
            let start = range.start + first * c;
            Array2::from_shape_fn((d, c), |(row, column)| parameters.get(start + row * c + column))
        };
        let (sigma, energy) = spectrum(part(head * d).view(), part(c + head * d).view())?;
        let (layer, head) = (layer.map(|layer| layer as u32), Some(head as u32));
        let place = |row: Row| Row { layer, head, ..row.n(d as u64).without_batch() };
        let mut rows = vec![place(Row::new("attention/qk_sigma1", sigma))];
        if energy > 0.0 {
            rows.push(place(Row::new("attention/qk_energy_share", sigma * sigma / energy)));
        }
        Ok(rows)
    };
    // one after the other: LAPACK has threads of its own
    let rows: Vec<Vec<Row>> = places.iter().map(of).collect::<Result<_>>()?;
    let mut rows = rows.concat();
    // layers in their order, which that of names is not beyond ten
    rows.sort_by_key(|row| (row.layer, row.head));
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
