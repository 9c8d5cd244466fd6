//! Extreme eigenvalues of curvature matrices.
//!
//! **What.** The largest and the smallest eigenvalues of the Hessian H of the mean loss, of its
//! Gauss-Newton part G, and of either in Adam's geometry, P^-½ H P^-½; for the whole model or for parts.
//!
//! **Estimator and error.** Lanczos with full reorthogonalisation on exact products. Each eigenvalue comes
//! with its recomputed residual ‖A v − θ v‖: some eigenvalue lies within it. A second start checks that none
//! was skipped. `--exact` builds the matrix and decomposes it whole.
//!
//! **Cost.** One product is about two gradients; isolated eigenvalues take 15 to 60 products, one more
//! each for verification, and an eighth to a quarter more for the check.
//!
//! **References.** Ghorbani, Krishnan and Xiao 2019, arXiv 1901.10159 (spectra of networks by Lanczos);
//! Cohen et al. 2022, arXiv 2207.14484 (preconditioned sharpness, and the threshold (2+2β1)/((1−β1)η)).

use crate::analysis::{Analysis, OptionSpec, Options, Quantity};
use crate::error::{Error, Result};
use crate::linalg::{self, Eigenpairs, LinearOperator, Request, Ritz, dense};
use crate::observer::Observer;
use crate::operator::{self, Curvature, GaussNewton, Preconditioned, Preconditioner, Restricted, Scope};
use crate::random;
use crate::row::{Row, Status};
use crate::snapshot::Snapshot;

/// Extreme eigenvalues of curvature matrices.
pub struct Hessian;

const QUANTITIES: &[Quantity] = &[
    Quantity { name: "loss/mean", unit: "nats", about: "mean cross-entropy over all targets of the batch" },
    Quantity {
        name: "gradient/norm",
        unit: "nats",
        about: "Euclidean norm of the gradient of the mean loss",
    },
    Quantity { name: "{operator}/lambda", unit: "nats", about: "eigenvalues from the largest down" },
    Quantity { name: "{operator}/lambda_min", unit: "nats", about: "eigenvalues from the smallest up" },
    Quantity {
        name: "{operator}/lambda_masked",
        unit: "nats",
        about: "largest eigenvalues without the coordinates where √v̂ < 10 ε (preconditioned operators)",
    },
    Quantity {
        name: "{operator}/masked_fraction",
        unit: "",
        about: "share of coordinates where √v̂ < 10 ε (preconditioned operators)",
    },
    Quantity {
        name: "sharpness/threshold",
        unit: "nats",
        about: "(2+2β1)/((1−β1)η): asymptotic stability limit of frozen Adam at the next learning rate η",
    },
    Quantity {
        name: "sharpness/threshold_t",
        unit: "nats",
        about: "threshold·(1−β1^t) at the next update t = N+1",
    },
    Quantity {
        name: "sharpness/margin",
        unit: "",
        about: "threshold_t over the largest preconditioned eigenvalue",
    },
];

const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "top",
        value: "K",
        default: "5",
        repeatable: false,
        help: "How many of the largest eigenvalues",
    },
    OptionSpec {
        name: "bottom",
        value: "K",
        default: "1",
        repeatable: false,
        help: "How many of the smallest",
    },
    OptionSpec {
        name: "operator",
        value: "NAME",
        default: "hessian",
        repeatable: true,
        help: "hessian, ggn, preconditioned or preconditioned-next; may be repeated",
    },
    OptionSpec {
        name: "scope",
        value: "SCOPE",
        default: "all",
        repeatable: false,
        help: "all, blocks (one per tensor), layers, heads, or a regular expression over parameter names",
    },
    OptionSpec {
        name: "tol",
        value: "TOL",
        default: "1e-3",
        repeatable: false,
        help: "Residual, relative to its eigenvalue, at which a pair is converged",
    },
    OptionSpec {
        name: "max-matvecs",
        value: "N",
        default: "300",
        repeatable: false,
        help: "Products to spend per operator and scope",
    },
    OptionSpec {
        name: "exact",
        value: "",
        default: "",
        repeatable: false,
        help: "Build the matrix and report its whole spectrum (small models and scopes)",
    },
    OptionSpec {
        name: "no-completeness",
        value: "",
        default: "",
        repeatable: false,
        help: "Skip the check that no eigenvalue was missed",
    },
];

impl Analysis for Hessian {
    fn name(&self) -> &'static str {
        "hessian"
    }

    fn about(&self) -> &'static str {
        "Extreme eigenvalues of the Hessian, the Gauss-Newton matrix and the Adam-preconditioned Hessian"
    }

    fn example(&self) -> &'static str {
        "warmlab hessian --ckpt step_500 --operator hessian --operator preconditioned --top 3"
    }

    fn quantities(&self) -> &'static [Quantity] {
        QUANTITIES
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn notes(&self) -> &'static str {
        "loss: mean cross-entropy over all targets, dropout off; uncertainty of an eigenvalue: recomputed \
         residual norm; n: products spent; preconditioned: P^-1/2 H P^-1/2, P = diag(sqrt(v/(1-beta2^N)) + eps)"
    }

    fn run(&self, snapshot: &Snapshot, options: &Options, observer: &dyn Observer) -> Result<Vec<Row>> {
        let job = Job::parse(snapshot, options)?;
        let plan = snapshot.plan(BLOCK, job.wanted() + 5, job.request.max_matvecs + 1)?;
        observer.note(&format!(
            "plan: n = {}, {}",
            snapshot.config().num_parameters(),
            plan.describe(snapshot.batch())
        ));
        let curvature = snapshot.curvature(&plan)?;
        observer.note(&job.cost(curvature));
        let request = Request { max_basis: plan.max_basis, ..job.request.clone() };

        let norm = curvature.gradient().to_f64().iter().map(|g| g * g).sum::<f64>().sqrt();
        let tokens = snapshot.batch().num_tokens() as u64;
        let mut rows = vec![
            Row::new("loss/mean", curvature.loss()).n(tokens),
            Row::new("gradient/norm", norm).n(tokens),
        ];
        for kind in &job.kinds {
            for scope in &job.scopes {
                rows.extend(measure(*kind, scope, snapshot, curvature, &request, job.exact, observer)?);
            }
        }
        Ok(rows.into_iter().map(|row| row.stamp(snapshot.run(), snapshot.step())).collect())
    }
}

/// Vectors multiplied at a time.
const BLOCK: usize = 1;

/// Which matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hessian,
    Ggn,
    Preconditioned,
    PreconditionedNext,
}

impl Kind {
    fn parse(text: &str) -> Result<Self> {
        match text {
            "hessian" => Ok(Kind::Hessian),
            "ggn" => Ok(Kind::Ggn),
            "preconditioned" => Ok(Kind::Preconditioned),
            "preconditioned-next" => Ok(Kind::PreconditionedNext),
            _ => Err(Error::usage_hint(
                format!("--operator `{text}` is not known"),
                "use hessian, ggn, preconditioned or preconditioned-next",
            )),
        }
    }

    /// The first part of its quantities' names.
    fn prefix(self) -> &'static str {
        match self {
            Kind::Hessian => "hessian",
            Kind::Ggn => "ggn",
            Kind::Preconditioned => "preconditioned",
            Kind::PreconditionedNext => "preconditioned_next",
        }
    }

    /// P of this kind, where it has one.
    fn preconditioner(self, snapshot: &Snapshot, curvature: &Curvature) -> Result<Option<Preconditioner>> {
        let optimizer = snapshot.optimizer();
        match self {
            Kind::Hessian | Kind::Ggn => Ok(None),
            Kind::Preconditioned => Preconditioner::stored(optimizer, snapshot.step()).map(Some),
            Kind::PreconditionedNext => {
                let Some(o) = optimizer else {
                    return Err(Error::usage_hint(
                        "the checkpoint does not say which Adam trained it (beta2, eps), so its next \
                         preconditioner is not known",
                        "add the optimizer to state.json, or use --operator hessian",
                    ));
                };
                let (v, gradient) = (o.exp_avg_sq.as_ref(), curvature.gradient());
                Ok(Some(Preconditioner::next(v, gradient, o.beta2, snapshot.step(), o.eps)))
            }
        }
    }
}

/// The options, understood.
struct Job {
    kinds: Vec<Kind>,
    scopes: Vec<Scope>,
    request: Request,
    exact: bool,
}

impl Job {
    fn parse(snapshot: &Snapshot, options: &Options) -> Result<Self> {
        let kinds =
            options.all("operator").iter().map(|text| Kind::parse(text)).collect::<Result<Vec<_>>>()?;
        let tol: f64 = options.get("tol")?;
        if tol.is_nan() || tol <= 0.0 {
            return Err(Error::usage(format!("--tol {tol} must be positive")));
        }
        let (top, bottom): (usize, usize) = (options.get("top")?, options.get("bottom")?);
        let max_matvecs: usize = options.get("max-matvecs")?;
        let exact = options.is_on("exact");
        if top + bottom == 0 && !exact {
            return Err(Error::usage("--top 0 and --bottom 0 ask for no eigenvalue"));
        }
        if max_matvecs == 0 {
            return Err(Error::usage("--max-matvecs 0 leaves nothing to compute with"));
        }
        let scopes = operator::scopes(&options.get::<String>("scope")?, snapshot.config())?;
        if exact {
            for scope in &scopes {
                fits_dense(scope, snapshot.settings().memory)?;
            }
        }
        let completeness = !options.is_on("no-completeness");
        let request = Request { top, bottom, tol, max_matvecs, completeness, block: BLOCK, max_basis: 0 };
        Ok(Job { kinds, scopes, request, exact })
    }

    fn wanted(&self) -> usize {
        self.request.top + self.request.bottom
    }

    fn cost(&self, curvature: &Curvature) -> String {
        let each = curvature.predicted_seconds();
        let solves = self.kinds.len() * self.scopes.len();
        let products: usize = if self.exact {
            self.kinds.len() * self.scopes.iter().map(Scope::n).sum::<usize>()
        } else {
            solves * self.request.max_matvecs
        };
        format!(
            "cost: {}{products} products of about {:.3} s, {:.0} s",
            if self.exact { "" } else { "at most " },
            each,
            (each * products as f64).ceil()
        )
    }
}

/// The dense matrix, its copy, LAPACK's vectors and the check's product.
fn fits_dense(scope: &Scope, memory: u64) -> Result<()> {
    let needed = (scope.n() as u64).pow(2).saturating_mul(8 * 4);
    if needed <= memory {
        return Ok(());
    }
    Err(Error::usage_hint(
        format!(
            "--exact on {} coordinates needs {} and --memory allows {}",
            scope.n(),
            operator::bytes(needed),
            operator::bytes(memory)
        ),
        "leave out --exact, or narrow --scope",
    ))
}

/// All rows of one matrix on one scope.
fn measure(
    kind: Kind,
    scope: &Scope,
    snapshot: &Snapshot,
    curvature: &Curvature,
    request: &Request,
    exact: bool,
    observer: &dyn Observer,
) -> Result<Vec<Row>> {
    let hessian = operator::Hessian(curvature);
    let ggn = GaussNewton(curvature);
    let base: &dyn LinearOperator = if kind == Kind::Ggn { &ggn } else { &hessian };
    let solve = |preconditioner: Option<&Preconditioner>, request: &Request| -> Result<Eigenpairs> {
        let preconditioned = preconditioner.map(|p| Preconditioned::new(base, p));
        let whole: &dyn LinearOperator = preconditioned.as_ref().map_or(base, |p| p);
        let block = Restricted::new(whole, scope.ranges.clone());
        let matrix: &dyn LinearOperator = if scope.n() == whole.n() { whole } else { &block };
        if exact {
            return dense::spectrum(matrix, request.bottom, request.tol, observer);
        }
        let purpose = format!("hessian/{}/{}", kind.prefix(), scope.name);
        let random = &mut random::stream(snapshot.settings().seed, snapshot.step(), &purpose);
        linalg::eigsh(matrix, request, random, observer)
    };

    let preconditioner = kind.preconditioner(snapshot, curvature)?;
    let found = solve(preconditioner.as_ref(), request)?;
    let name = |quantity: &str| format!("{}/{quantity}", kind.prefix());
    let mut rows = list(&found, name("lambda"), &found.top);
    rows.extend(list(&found, name("lambda_min"), &found.bottom));
    if let Some(preconditioner) = &preconditioner {
        let share = preconditioner.masked_fraction(&scope.ranges);
        let masked = if share > 0.0 {
            solve(Some(&preconditioner.masked()), &Request { bottom: 0, ..request.clone() })?
        } else {
            found.clone()
        };
        rows.extend(list(&masked, name("lambda_masked"), &masked.top));
        rows.push(Row::new(name("masked_fraction"), share).n(scope.n() as u64));
        if scope.name == "all" {
            rows.extend(stability(snapshot, &found));
        }
    }
    let place = |row: Row| Row { layer: scope.layer, head: scope.head, ..row.scope(scope.name.as_str()) };
    Ok(rows.into_iter().map(place).collect())
}

/// The limit at the next update's learning rate, and how far the largest eigenvalue is from it.
fn stability(snapshot: &Snapshot, found: &Eigenpairs) -> Vec<Row> {
    let Some(o) = snapshot.optimizer().filter(|o| o.lr > 0.0) else { return vec![] };
    let threshold = (2.0 + 2.0 * o.beta1) / ((1.0 - o.beta1) * o.lr);
    let threshold_t = threshold * (1.0 - o.beta1.powf((snapshot.step() + 1) as f64));
    let mut rows =
        vec![Row::new("sharpness/threshold", threshold), Row::new("sharpness/threshold_t", threshold_t)];
    if let Some(first) = found.top.first().filter(|first| first.value > 0.0) {
        let margin = threshold_t / first.value;
        let row = Row::new("sharpness/margin", margin).uncertainty(margin * first.residual / first.value);
        rows.push(row.n(found.matvecs as u64).status(status(found, first)));
    }
    rows
}

fn status(pairs: &Eigenpairs, pair: &Ritz) -> Status {
    match (pair.converged, pairs.complete) {
        (false, _) => Status::Unconverged,
        (true, Some(false)) => Status::Unresolved,
        (true, _) => Status::Ok,
    }
}

fn list(pairs: &Eigenpairs, quantity: String, chosen: &[Ritz]) -> Vec<Row> {
    let row = |(i, pair): (usize, &Ritz)| {
        Row::new(quantity.as_str(), pair.value)
            .index(i + 1)
            .uncertainty(pair.residual)
            .n(pairs.matvecs as u64)
            .status(status(pairs, pair))
    };
    chosen.iter().enumerate().map(row).collect()
}
