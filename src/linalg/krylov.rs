//! Block Lanczos with full reorthogonalisation, thick restart, and breakdown as an answer.
//!
//! The state is a Krylov decomposition A V = V T + Q B: V the orthonormal basis (m vectors) already
//! multiplied, T = VᵀAV, Q the p pending vectors orthogonal to it, B their coupling. A Ritz pair (θ, V s)
//! of T has the residual ‖B s‖ without a further product. Every new block is orthogonalised against the
//! whole basis, twice where the first pass removed much, so there are no ghosts. When nothing is left of
//! a new block the basis spans an invariant subspace: its Ritz values are eigenvalues, and the caller may
//! go on from a fresh random vector.
//!
//! References: Lanczos 1950; Golub and Underwood 1977 (blocks); Wu and Simon 2000, Thick-Restart Lanczos;
//! Giraud, Langou and Rozložník 2005 ("twice is enough").

use ndarray::{Array1, Array2, Axis, s};

use super::operator::Products;
use super::{dense, orthonormal, panel, probes};
use crate::base::error::Result;
use crate::base::random::Random;
use crate::base::vectors::Vectors;

/// A growing Krylov decomposition of an operator, or of the operator deflated by locked vectors.
pub struct Krylov<'a> {
    products: &'a Products<'a>,
    /// Orthonormal vectors the search stays orthogonal to.
    locked: Option<&'a Vectors>,
    /// V and behind it Q.
    basis: Vectors,
    /// T, (m, m).
    t: Array2<f64>,
    /// B, (p, m).
    coupling: Array2<f64>,
}

impl<'a> Krylov<'a> {
    /// Starts from the given vectors (p, n), made orthonormal and orthogonal to `locked`. Room for
    /// `capacity` basis vectors is reserved.
    pub fn new(
        products: &'a Products<'a>,
        start: Vectors,
        locked: Option<&'a Vectors>,
        capacity: usize,
    ) -> Self {
        let basis = Vectors::with_capacity(capacity.min(start.n()), start.n(), start.dtype());
        let (t, coupling) = (Array2::zeros((0, 0)), Array2::zeros((0, 0)));
        let mut krylov = Krylov { products, locked, basis, t, coupling };
        let block = krylov.orthonormalise(start);
        krylov.coupling = Array2::zeros((block.k(), 0));
        krylov.basis.append(&block);
        krylov
    }

    /// Dimension of the projected operator, m.
    pub fn m(&self) -> usize {
        self.t.nrows()
    }

    /// Vectors the search stays orthogonal to.
    pub fn locked(&self) -> usize {
        self.locked.map_or(0, Vectors::k)
    }

    /// Vectors that wait to be multiplied, p; 0 when the basis is invariant.
    pub fn pending(&self) -> usize {
        self.coupling.nrows()
    }

    /// Products spent, by whomever.
    pub fn spent(&self) -> usize {
        self.products.spent()
    }

    /// Largest number of vectors the basis can have.
    fn room(&self) -> usize {
        self.products.n() - self.locked()
    }

    /// Whether the basis is the whole space, so that its Ritz values are all the eigenvalues.
    pub fn exhausted(&self) -> bool {
        self.m() == self.room()
    }

    /// The vectors that wait to be multiplied, (p, n).
    pub fn waiting(&self) -> Vectors {
        self.basis.slice(self.m()..self.m() + self.pending())
    }

    /// Multiplies the pending vectors and extends the decomposition by them.
    ///
    /// # Errors
    /// Where the product fails or is not finite.
    pub fn expand(&mut self) -> Result<()> {
        let w = self.products.of(&self.waiting())?;
        self.extend(w);
        Ok(())
    }

    /// Extends the decomposition by the products `w` of the pending vectors.
    pub fn extend(&mut self, mut w: Vectors) {
        let (m, p) = (self.m(), self.pending());
        let mut size = panel::norms(&w);
        let mut c = self.subtract_known(&mut w); // (m + p, p)
        let before = panel::norms(&w);
        c += &self.project(&mut w);

        let mut t = Array2::zeros((m + p, m + p));
        t.slice_mut(s![..m, ..m]).assign(&self.t);
        t.slice_mut(s![m.., ..m]).assign(&self.coupling);
        t.slice_mut(s![..m, m..]).assign(&self.coupling.t());
        let diagonal = c.slice(s![m.., ..]);
        t.slice_mut(s![m.., m..]).assign(&((&diagonal + &diagonal.t()) * 0.5));
        self.t = t;

        // a product is as exact as the operator is large: what is below that is rounding, its Ritz pairs converged
        let largest = self.t.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        size.iter_mut().for_each(|size| *size = size.max(largest));
        let (next, r) = self.orthonormalise_after(w, &before, &size);
        let mut coupling = Array2::zeros((next.k(), m + p));
        coupling.slice_mut(s![.., m..]).assign(&r);
        self.coupling = coupling;
        self.basis.append(&next);
    }

    /// Continues an invariant basis from p random vectors orthogonal to it, or as many as there are.
    pub fn refresh(&mut self, random: &mut Random, p: usize) {
        assert_eq!(self.pending(), 0, "the basis is not invariant");
        let p = p.min(self.room() - self.m());
        let start = probes::sphere(p, self.products.n(), self.products.dtype(), random);
        let block = self.orthonormalise(start);
        self.coupling = Array2::zeros((block.k(), self.m()));
        self.basis.append(&block);
    }

    /// Ritz values ascending, their vectors' coordinates in the basis as columns, their residuals.
    ///
    /// # Errors
    /// Where LAPACK fails.
    pub fn ritz(&self) -> Result<(Array1<f64>, Array2<f64>, Vec<f64>)> {
        let (values, s) = dense::eigh(&self.t)?;
        let bs = self.coupling.dot(&s);
        let residuals = bs.axis_iter(Axis(1)).map(|column| column.dot(&column).sqrt()).collect();
        Ok((values, s, residuals))
    }

    /// The vectors with coordinates `s` (m, k) in the basis, which is given up: no second basis is needed.
    pub fn into_vectors(mut self, s: &Array2<f64>) -> Vectors {
        panel::rotate(&mut self.basis, s.view());
        self.basis.truncate(s.ncols());
        self.basis.shrink();
        self.basis
    }

    /// Thick restart: keeps the Ritz pairs `keep` (positions in the ascending list) and the pending
    /// vectors, and forgets the rest of the basis.
    ///
    /// # Errors
    /// Where LAPACK fails.
    pub fn restart(&mut self, keep: &[usize]) -> Result<()> {
        let (values, s, _) = self.ritz()?;
        let s = s.select(Axis(1), keep);
        panel::rotate(&mut self.basis, s.view());
        self.coupling = self.coupling.dot(&s);
        self.t = Array2::from_diag(&values.select(Axis(0), keep));
        Ok(())
    }

    /// Removes from the products w of the pending vectors what the decomposition says is there: their overlaps with
    /// the vectors they came from, and with one another. What is left is small where it lies in the basis, so that
    /// one pass over all of it cleans up where two would be needed. Returns the overlaps, (m + p, p).
    fn subtract_known(&self, w: &mut Vectors) -> Array2<f64> {
        let (m, p) = (self.m(), self.pending());
        let first = (0..m).find(|&i| self.coupling.column(i).iter().any(|x| *x != 0.0)).unwrap_or(m);
        let mut c = Array2::zeros((m + p, p));
        c.slice_mut(s![..m, ..]).assign(&self.coupling.t());
        panel::subtract_rows(w, &self.basis, first..m, c.slice(s![first..m, ..]));
        let own = panel::gram_rows(&self.basis, m..m + p, w);
        panel::subtract_rows(w, &self.basis, m..m + p, own.view());
        c.slice_mut(s![m.., ..]).assign(&own);
        c
    }

    /// Removes from w what lies in the locked vectors and the basis; returns the overlaps with the basis.
    fn project(&self, w: &mut Vectors) -> Array2<f64> {
        if let Some(locked) = self.locked {
            orthonormal::remove(w, locked);
        }
        orthonormal::remove(w, &self.basis)
    }

    /// An orthonormal basis of w, orthogonal to everything so far. Each vector is compared with its own size alone:
    /// that of the operator says nothing of a direction.
    fn orthonormalise(&self, mut w: Vectors) -> Vectors {
        let before = panel::norms(&w);
        self.project(&mut w);
        self.orthonormalise_after(w, &before, &before).0
    }

    /// Q (p′, n) and R (p′, p) as of [`orthonormal::factor`], for w projected once already (`before`: norms before
    /// that; `size`: what each may have lost digits to).
    fn orthonormalise_after(&self, mut w: Vectors, before: &[f64], size: &[f64]) -> (Vectors, Array2<f64>) {
        // after one pass the overlap left is ε·‖before‖; where little is left of w that is not small
        let after = panel::norms(&w);
        if before.iter().zip(&after).any(|(b, a)| *a < 0.5 * b) {
            self.project(&mut w);
        }
        orthonormal::factor(w, size, |column| {
            self.project(column);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random;
    use crate::base::values::DType;
    use crate::linalg::operator::{DenseOperator, LinearOperator};
    use crate::linalg::prescribed::with_spectrum;

    fn start(p: usize, n: usize, seed: u64) -> Vectors {
        probes::sphere(p, n, DType::F64, &mut random::stream(seed, 0, "start"))
    }

    /// ‖A Vᵀ − Vᵀ T − Qᵀ B‖ and ‖V Vᵀ − I‖, largest entries.
    fn defects(krylov: &Krylov, operator: &DenseOperator) -> (f64, f64) {
        let (m, k) = (krylov.m(), krylov.basis.k());
        let rows = Array2::from_shape_vec((k, operator.n()), krylov.basis.values().to_f64()).expect("k by n");
        let v = rows.slice(s![..m, ..]);
        let q = rows.slice(s![m.., ..]);
        let residual = operator.matrix.dot(&v.t()) - v.t().dot(&krylov.t) - q.t().dot(&krylov.coupling);
        let gram = rows.dot(&rows.t()) - Array2::<f64>::eye(k);
        let largest = |a: &Array2<f64>| a.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        (largest(&residual), largest(&gram))
    }

    #[test]
    fn the_decomposition_holds_through_steps_and_restarts() {
        let spectrum: Vec<f64> = (0..60).map(|i| ((i * i) as f64).sin() * 10.0).collect();
        for p in 1..=3 {
            for seed in [1, 2, 3] {
                let operator = with_spectrum(&spectrum, seed);
                let products = Products::new(&operator);
                let mut krylov = Krylov::new(&products, start(p, 60, seed), None, 40);
                for _ in 0..8 {
                    krylov.expand().expect("expanded");
                }
                krylov.restart(&[0, 1, krylov.m() - 2, krylov.m() - 1]).expect("restarted");
                for _ in 0..4 {
                    krylov.expand().expect("expanded");
                }
                let (residual, orthogonality) = defects(&krylov, &operator);
                // ‖A‖ = 10, some 50 operations of relative size ε on each number
                assert!(residual < 1e-13 && orthogonality < 1e-13, "{residual} {orthogonality}");
            }
        }
    }

    #[test]
    fn the_whole_space_reconstructs_the_matrix() {
        let spectrum: Vec<f64> = (0..12).map(|i| i as f64 - 4.0).collect();
        let operator = with_spectrum(&spectrum, 5);
        let products = Products::new(&operator);
        let mut krylov = Krylov::new(&products, start(1, 12, 5), None, 12);
        while !krylov.exhausted() && krylov.pending() > 0 {
            krylov.expand().expect("expanded");
        }
        let (values, _, residuals) = krylov.ritz().expect("decomposed");
        assert!(values.iter().zip(&spectrum).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(residuals.iter().all(|r| *r < 1e-12));
    }

    #[test]
    fn an_invariant_subspace_is_found_and_left() {
        // three distinct eigenvalues: one vector's Krylov space has dimension 3
        let spectrum: Vec<f64> = (0..30).map(|i| [1.0, 5.0, -2.0][i % 3]).collect();
        let operator = with_spectrum(&spectrum, 7);
        let products = Products::new(&operator);
        let mut krylov = Krylov::new(&products, start(1, 30, 7), None, 30);
        while krylov.pending() > 0 {
            krylov.expand().expect("expanded");
        }
        assert_eq!(krylov.m(), 3);
        krylov.refresh(&mut random::stream(7, 0, "refresh"), 2);
        while krylov.pending() > 0 {
            krylov.expand().expect("expanded");
        }
        let (values, _, _) = krylov.ritz().expect("decomposed");
        let fives = values.iter().filter(|v| (*v - 5.0).abs() < 1e-12).count();
        assert_eq!((krylov.m(), fives), (9, 3));
    }
}
