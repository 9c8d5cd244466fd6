//! Every solver on every kind of matrix: none may depend on a unit, hang or panic, and NaN is an error.

use ndarray::Array2;
use warmlab::base::error::{Error, Result};
use warmlab::base::observer::Silent;
use warmlab::base::random::stream;
use warmlab::base::values::{DType, Values};
use warmlab::base::vectors::Vectors;
use warmlab::linalg::{
    Follower, Following, LinearOperator, Request, dense, eigsh, quadrature, spectrum, trace,
};

/// A matrix in memory with products in either precision.
struct Matrix {
    matrix: Array2<f64>,
    scale: f64,
    dtype: DType,
}

impl LinearOperator for Matrix {
    fn n(&self) -> usize {
        self.matrix.nrows()
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn apply(&self, x: &Vectors) -> Result<Vectors> {
        let rows = (0..x.k()).flat_map(|i| self.matrix.dot(&ndarray::Array1::from(x.row(i))) * self.scale);
        Ok(Vectors::new(Values::F64(rows.collect()).cast(self.dtype), self.n()))
    }
}

/// Small matrices that have broken solvers somewhere.
fn matrices() -> Vec<(&'static str, Array2<f64>)> {
    let diagonal = |values: &[f64]| Array2::from_diag(&ndarray::arr1(values));
    let ones = Array2::<f64>::ones((12, 12));
    let dense = Array2::from_shape_fn((30, 30), |(i, j)| ((i * j + i + j) as f64).sin());
    vec![
        ("one by one", diagonal(&[3.0])),
        ("one by one, zero", diagonal(&[0.0])),
        ("two by two", ndarray::arr2(&[[1.0, 2.0], [2.0, -1.0]])),
        ("zero", Array2::zeros((9, 9))),
        ("identity", Array2::eye(20)),
        ("rank one", ones),
        ("no trace", ndarray::arr2(&[[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])),
        ("outlier", diagonal(&[1e6, 1.0, 0.5, 0.25, -0.1, 0.0, 0.0])),
        ("full", &dense + &dense.t()),
    ]
}

fn request(top: usize, bottom: usize) -> Request {
    Request { top, bottom, tol: 1e-3, max_matvecs: 200, completeness: true, max_basis: 100 }
}

/// Every number of every solver, those with the unit of the matrix first, of its square second.
fn everything(operator: &Matrix) -> Result<(Vec<f64>, Vec<f64>, Vec<usize>)> {
    let random = || stream(3, 0, "solvers");
    let (mut values, mut squares, mut counts) = (vec![], vec![], vec![]);
    let found = eigsh(operator, &request(3, 2), None, &mut random(), &Silent)?;
    values.extend(found.top.iter().chain(&found.bottom).flat_map(|pair| [pair.value, pair.residual]));
    counts.extend([found.matvecs, usize::from(found.settled())]);
    let warm = eigsh(operator, &request(3, 2), Some(&found.warm_start()), &mut random(), &Silent)?;
    values.extend(warm.top.iter().map(|pair| pair.value));
    counts.push(warm.matvecs);
    let mut follower = Follower::new(Following { tol: 1e-2, max_matvecs: 40, retained: 3, probes: 2 });
    for t in 0..12 {
        let found = follower.step(operator, &mut stream(3, t, "follow"))?;
        values.extend([found.value, found.residual]);
        squares.push(found.frobenius_sq.exact);
        squares.extend(found.frobenius_sq.samples);
        counts.push(found.matvecs);
    }
    let (measures, matvecs) = quadrature(operator, 3, 6, 2, &mut random(), &Silent)?;
    values.extend(measures.iter().flat_map(|measure| measure.nodes.clone()));
    counts.push(matvecs);
    let found = trace::traces(operator, 4, 3, &[0..operator.n()], &mut random(), &Silent)?;
    for estimate in [&found.trace, &found.blocks[0]] {
        values.push(estimate.exact);
        values.extend(&estimate.samples);
    }
    squares.push(found.frobenius_sq.exact);
    squares.extend(found.frobenius_sq.samples);
    squares.extend(found.diagonals);
    counts.push(found.matvecs);
    let whole = spectrum(operator, 2, 1e-3, &Silent)?;
    values.extend(whole.top.iter().map(|pair| pair.value));
    Ok((values, squares, counts))
}

#[test]
fn no_answer_depends_on_the_unit() {
    for (name, matrix) in matrices() {
        for dtype in [DType::F64, DType::F32] {
            let of = |scale: f64| {
                everything(&Matrix { matrix: matrix.clone(), scale, dtype })
                    .unwrap_or_else(|e| panic!("{name} {dtype} {scale:e}: {e}"))
            };
            let (values, squares, counts) = of(1.0);
            assert!(values.iter().chain(&squares).all(|x| x.is_finite()), "{name} {dtype}");
            // powers of two change no digit: 1e±15, and near the ends of f32
            for exponent in [50, -50, 100, -70] {
                let scale = 2f64.powi(exponent);
                let (scaled, scaled_squares, scaled_counts) = of(scale);
                assert_eq!(counts, scaled_counts, "{name} {dtype} 2^{exponent}");
                // rounding is what the solvers drop, and LAPACK's of a matrix it brings to its own size
                let size = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                for (a, b) in values.iter().zip(&scaled) {
                    let close = (a * scale - b).abs() <= 1e-9 * size * scale;
                    assert!(close, "{name} {dtype} 2^{exponent}: {a:e} {:e}", b / scale);
                }
                for (a, b) in squares.iter().zip(&scaled_squares) {
                    let close = (a * scale * scale - b).abs() <= 1e-9 * size * size * scale * scale;
                    assert!(close, "{name} {dtype} 2^{exponent}: {a:e} {:e}", b / scale / scale);
                }
            }
        }
    }
}

#[test]
fn small_and_degenerate_matrices_have_their_eigenvalues() {
    for (name, matrix) in matrices() {
        let truth: Vec<f64> = dense::eigh(&matrix).unwrap().0.iter().rev().copied().collect();
        let n = truth.len();
        for (top, bottom) in [(1, 0), (0, 1), (3, 2), (300, 1)] {
            for dtype in [DType::F64, DType::F32] {
                let operator = Matrix { matrix: matrix.clone(), scale: 1.0, dtype };
                let request = request(top, bottom);
                let random = &mut stream(5, 0, "solvers");
                let found = eigsh(&operator, &request, None, random, &Silent).unwrap();
                assert!(found.settled(), "{name} {top} {bottom}: {found:?}");
                assert_eq!(found.top.len() + found.bottom.len(), n.min(top + bottom), "{name}");
                // in f32 the small are known as well as the products with the large are
                let rounding = 50.0 * dtype.epsilon() * truth[0].abs().max(truth[n - 1].abs());
                let expected = truth.iter().take(top).chain(truth.iter().rev());
                for (pair, truth) in found.top.iter().chain(&found.bottom).zip(expected) {
                    assert!(
                        (pair.value - truth).abs() <= pair.residual + rounding,
                        "{name}: {pair:?} {truth}"
                    );
                }
            }
        }
    }
}

/// Products that are NaN or infinite from the `after`-th on.
struct Broken {
    inner: Matrix,
    after: std::cell::Cell<usize>,
    with: f64,
}

impl LinearOperator for Broken {
    fn n(&self) -> usize {
        self.inner.n()
    }

    fn dtype(&self) -> DType {
        self.inner.dtype()
    }

    fn apply(&self, x: &Vectors) -> Result<Vectors> {
        let mut y = self.inner.apply(x)?;
        if self.after.get() == 0 {
            match y.values_mut() {
                Values::F32(v) => v[0] = self.with as f32,
                Values::F64(v) => v[0] = self.with,
            }
        } else {
            self.after.set(self.after.get() - 1);
        }
        Ok(y)
    }
}

#[test]
fn products_that_are_not_finite_are_errors_wherever_they_occur() {
    let (_, matrix) = matrices().pop().unwrap();
    for after in [0, 1, 5, 20] {
        for with in [f64::NAN, f64::INFINITY] {
            for dtype in [DType::F64, DType::F32] {
                let broken = || Broken {
                    inner: Matrix { matrix: matrix.clone(), scale: 1.0, dtype },
                    after: after.into(),
                    with,
                };
                let random = || stream(3, 0, "solvers");
                let request = Request { tol: 1e-12, ..request(3, 1) };
                let following = Following { tol: 1e-12, max_matvecs: 40, retained: 3, probes: 2 };
                let answers = [
                    eigsh(&broken(), &request, None, &mut random(), &Silent).err(),
                    Follower::new(following).step(&broken(), &mut random()).err(),
                    quadrature(&broken(), 3, 30, 1, &mut random(), &Silent).err(),
                    trace::traces(&broken(), 10, 1, &[0..30], &mut random(), &Silent).err(),
                    dense::to_dense(&broken(), 1, &Silent).err(),
                ];
                for (i, answer) in answers.into_iter().enumerate() {
                    assert!(matches!(answer, Some(Error::NonFinite { .. })), "{i} after {after}: {answer:?}");
                }
            }
        }
    }
}
