//! Estimates on reference checkpoints against the dense matrix: each within five of its uncertainties. How often 68%
//! intervals hold the truth is the coverage suite's.

use warmlab::base::observer::Silent;
use warmlab::base::row::Row;
use warmlab::base::values::DType;
use warmlab::data::read_batch;
use warmlab::linalg::dense;
use warmlab::linalg::operator::DenseOperator;
use warmlab::operator::{Curvature, Hessian, Keep};
use warmlab::run;
use warmlab::snapshot::Snapshot;
use warmlab::stats::quantile::quantiles;

use crate::support::{analysis, measure, references, settings};

fn snapshot(path: &std::path::Path) -> Snapshot<'static> {
    let checkpoint = run::open(path, DType::F64).unwrap();
    let batch = read_batch(&path.join("batch.safetensors")).unwrap();
    Snapshot::new(checkpoint, batch, settings(DType::F64, None, 1))
}

/// The Hessian of a reference checkpoint as a matrix.
fn matrix(path: &std::path::Path) -> DenseOperator {
    let snapshot = snapshot(path);
    let batch = snapshot.batch().unwrap();
    let curvature =
        Curvature::new(snapshot.gpt().unwrap().clone(), batch, batch.batch_size(), Keep::Kept).unwrap();
    let (matrix, asymmetry) = dense::to_dense(&Hessian(&curvature), 32, &Silent).unwrap();
    assert!(asymmetry < 1e-12);
    DenseOperator { matrix: (&matrix + &matrix.t()) / 2.0 }
}

fn analyse(path: &std::path::Path, name: &str, options: &[(&str, &str)]) -> Vec<Row> {
    measure(analysis(name), &snapshot(path), options)
}

fn row<'a>(rows: &'a [Row], quantity: &str) -> &'a Row {
    rows.iter().find(|r| &*r.quantity == quantity && &*r.scope == "all").unwrap()
}

#[test]
fn estimated_conditions_and_densities_are_those_of_the_whole_spectrum() {
    for path in references() {
        for operator in ["hessian", "ggn", "preconditioned"] {
            let exact = analyse(&path, "hessian", &[("operator", operator), ("exact", "true")]);
            let options = [
                ("operator", operator),
                ("density", "true"),
                ("trace", "true"),
                ("probes", "30"),
                ("num-matvecs", "60"),
                ("top", "10"),
                ("bottom", if operator == "ggn" { "0" } else { "1" }),
            ];
            let found = analyse(&path, "hessian", &options);
            let prefix = if operator == "hessian" { String::new() } else { format!("{operator}/") };
            let names = [
                format!("{operator}/trace"),
                format!("{operator}/frobenius_sq"),
                format!("{prefix}condition/rms"),
                format!("{prefix}condition/top10"),
                format!("{prefix}condition/mean_abs"),
                format!("{prefix}spectrum/negative_mass"),
            ];
            // where the smallest eigenvalue is asked for, and where the trace is a count of directions
            let more = if operator == "ggn" { "ggn/effective_rank" } else { "spectrum/stable_rank" };
            let names =
                names.into_iter().chain([format!("{}{more}", if operator == "ggn" { "" } else { &prefix })]);
            for name in &names.collect::<Vec<_>>() {
                let (truth, estimate) = (row(&exact, name), row(&found, name));
                let off = (estimate.value.unwrap() - truth.value.unwrap()).abs();
                assert!(off <= 5.0 * estimate.uncertainty.unwrap() + 1e-9, "{name}: {estimate:?} {truth:?}");
            }
            // a lower bound on the condition of the bulk
            let (bound, truth) = (
                row(&found, &format!("{prefix}condition/bulk")),
                row(&exact, &format!("{prefix}condition/bulk")),
            );
            assert!(bound.value.unwrap() <= 1.2 * truth.value.unwrap(), "{bound:?} {truth:?}");
            let values: Vec<f64> = exact
                .iter()
                .filter(|r| *r.quantity == format!("{operator}/lambda"))
                .map(|r| r.value.unwrap())
                .collect();
            for moment in found.iter().filter(|r| r.quantity.ends_with("density_moment")) {
                let k = moment.parameter.unwrap() as i32;
                let truth = values.iter().map(|x| x.powi(k)).sum::<f64>() / values.len() as f64;
                let off = (moment.value.unwrap() - truth).abs();
                assert!(off <= 5.0 * moment.uncertainty.unwrap(), "moment {k}: {moment:?} {truth}");
            }
            let mut sorted = values.clone();
            for found in found.iter().filter(|r| r.quantity.ends_with("density_quantile")) {
                let level = found.parameter.unwrap();
                let truth = quantiles(&mut sorted, &[level])[0];
                let allowed = 5.0 * found.uncertainty.unwrap();
                assert!((found.value.unwrap() - truth).abs() <= allowed, "{found:?} {truth}");
            }
            if operator == "hessian" {
                let dense = matrix(&path).matrix;
                let square = row(&found, "hessian/diagonal_sq");
                let truth = dense.diag().iter().map(|x| x * x).sum::<f64>();
                assert!(
                    (square.value.unwrap() - truth).abs() <= 5.0 * square.uncertainty.unwrap(),
                    "{square:?} {truth}"
                );
                for parameter in snapshot(&path).config().parameters() {
                    let truth: f64 = dense.diag().iter().skip(parameter.offset).take(parameter.len()).sum();
                    let block = |r: &&Row| &*r.quantity == "hessian/trace" && *r.scope == *parameter.name;
                    let block = found.iter().find(block).unwrap();
                    let off = (block.value.unwrap() - truth).abs();
                    assert!(off <= 5.0 * block.uncertainty.unwrap() + 1e-9, "{block:?} {truth}");
                }
            }
        }
    }
}

#[test]
fn sharpness_is_what_the_dense_matrix_says() {
    for path in references() {
        let rows = analyse(&path, "sharpness", &[]);
        let operator = matrix(&path);
        let snapshot = snapshot(&path);
        let batch = snapshot.batch().unwrap();
        let (_, g) = snapshot.gpt().unwrap().gradient(batch, batch.batch_size()).unwrap();
        let g = ndarray::Array1::from(g.to_f64());
        let hg = operator.matrix.dot(&g);
        let quotient = g.dot(&hg) / g.dot(&g);
        assert!((row(&rows, "sharpness/gradient").value.unwrap() / quotient - 1.0).abs() < 1e-9);
        let o = snapshot.optimizer().unwrap();
        let t = (snapshot.step() + 1) as f64;
        let (m, v) = (o.vector("exp_avg").unwrap(), o.vector("exp_avg_sq").unwrap());
        let p = |i: usize| {
            let v = o.constant("beta2") * v.get(i) + (1.0 - o.constant("beta2")) * g[i] * g[i];
            (v / (1.0 - o.constant("beta2").powf(t))).sqrt() + o.constant("eps")
        };
        let turned: f64 = (0..g.len()).map(|i| g[i] / p(i) * hg[i]).sum();
        let memory =
            (1.0 - o.constant("beta1")) / ((1.0 + o.constant("beta1")) * (1.0 - o.constant("beta1").powf(t)));
        let truth = memory * turned / g.dot(&g);
        assert!((row(&rows, "sharpness/gradient_adam").value.unwrap() / truth - 1.0).abs() < 1e-9);
        let correction = 1.0 - o.constant("beta1").powf(t);
        let d = (0..g.len()).map(|i| {
            (o.constant("beta1") * m.get(i) + (1.0 - o.constant("beta1")) * g[i]) / correction / p(i)
        });
        let d: ndarray::Array1<f64> = d.collect();
        let directional = d.dot(&operator.matrix.dot(&d)) / d.dot(&g);
        assert!((row(&rows, "sharpness/directional").value.unwrap() / directional - 1.0).abs() < 1e-9);
        if let Some(critical) = rows.iter().find(|r| &*r.quantity == "sharpness/critical") {
            // at the reported rate the loss is back where it was, within the bracket
            assert!(critical.uncertainty.unwrap() <= 0.04 * critical.value.unwrap(), "{critical:?}");
        }
    }
}
