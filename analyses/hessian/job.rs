//! The options of the analysis, understood.

use super::choices::HessianChoices;
use super::kind::Kind;
use crate::base::error::{Error, Result};
use crate::linalg::{Request, trace};
use crate::operator::{self, Curvature, Demand, Keep, Plan, Scope};
use crate::snapshot::Snapshot;

/// The options, understood.
pub struct Job {
    /// The matrices.
    pub kinds: Vec<Kind>,
    /// Which of their parts, as it was typed.
    pub scope: String,
    /// Which eigenvalues, how well; how many of the smallest depends on the matrix.
    request: Request,
    /// How many of the smallest, where that was said.
    bottom: Option<usize>,
    /// Whole spectra instead.
    pub exact: bool,
    /// Spectral densities too.
    pub density: bool,
    /// Traces and norms too.
    pub trace: bool,
    /// Random probes.
    pub probes: usize,
    /// Lanczos steps of each.
    pub depth: usize,
}

/// Probes multiplied at a time where the memory allows.
const GROUP: usize = 8;

impl Job {
    /// What was chosen, unless there is nothing to do.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn new(choices: &HessianChoices) -> Result<Self> {
        let HessianChoices { top, bottom, operator, scope, tol, max_matvecs, .. } = choices.clone();
        let HessianChoices { exact, no_completeness, density, trace, probes, num_matvecs, .. } = *choices;
        let completeness = !no_completeness;
        let request = Request { top, bottom: 0, tol, max_matvecs, completeness, max_basis: 0 };
        let (kinds, bottom, depth) = (operator, bottom.0, num_matvecs);
        let job = Job { kinds, scope, request, bottom, exact, density, trace, probes, depth };
        let nothing = |kind: &Kind| job.wanted(*kind) == 0;
        if !(exact || density || trace) && job.kinds.iter().any(nothing) {
            return Err(Error::usage("--top 0 and --bottom 0 ask for no eigenvalue"));
        }
        Ok(job)
    }

    /// The parts of the matrices of a model.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such part, or a whole spectrum of one does not fit the memory.
    pub fn scopes(&self, snapshot: &Snapshot) -> Result<Vec<Scope>> {
        let scopes = operator::scopes(&self.scope, snapshot.config())?;
        if self.exact {
            scopes.iter().try_for_each(|scope| fits_dense(scope, snapshot.settings().memory))?;
        }
        Ok(scopes)
    }

    /// What is wanted of a matrix of this kind, with a basis of at most `max_basis` vectors.
    ///
    /// The least eigenvalue is looked for unasked in the Hessian alone: the Gauss-Newton matrix is singular, and
    /// the lower end of a preconditioned one a cluster, and their search would have no end.
    pub fn request(&self, kind: Kind, max_basis: usize) -> Request {
        let bottom = self.bottom.unwrap_or(usize::from(kind == Kind::Hessian));
        Request { bottom, max_basis, ..self.request.clone() }
    }

    /// Eigenvalues wanted of a matrix of this kind.
    fn wanted(&self, kind: Kind) -> usize {
        let request = self.request(kind, 0);
        request.top + request.bottom
    }

    /// How products fit the memory: as many probes at a time as do, a basis for the solver and the probes; `warm` where
    /// searches start near what was found before.
    ///
    /// # Errors
    /// Where not even one vector at a time fits.
    pub fn plan(&self, snapshot: &Snapshot, warm: bool) -> Result<Plan> {
        let least = self.most_wanted() + 5;
        let least = if self.trace && !self.exact { least.max(trace::held(self.probes)) } else { least };
        let solver = self.request.max_matvecs + 1;
        let wish = if self.density { solver.max(self.group() * self.depth) } else { solver };
        let demand =
            |block: usize, wish: usize| Demand::new(block, least, wish).holding(self.held(warm, block));
        let several = snapshot.plan(demand(self.group(), wish));
        if self.group() == 1 || several.as_ref().is_ok_and(|plan| plan.keep == Keep::Kept) {
            return several;
        }
        snapshot.plan(demand(1, solver.max(self.depth)))
    }

    /// Eigenvalues wanted of the matrix of which most are.
    fn most_wanted(&self) -> usize {
        self.kinds.iter().map(|kind| self.wanted(*kind)).max().unwrap_or(0)
    }

    /// Vectors beside the basis: the products that verify what was found, a warm start for each matrix searched before
    /// or near where the last checkpoint's was, P and the scaled copies of what it multiplies.
    fn held(&self, warm: bool, block: usize) -> usize {
        let preconditioned = self.kinds.iter().any(|kind| kind.is_preconditioned());
        // kept, and a copy to start near
        let own = if preconditioned || warm { 2 } else { 0 };
        let starts = if self.exact { 0 } else { self.kinds.len() - 1 + own };
        self.most_wanted().saturating_sub(1) + starts + if preconditioned { 1 + block } else { 0 }
    }

    /// Probes multiplied at a time at most.
    pub fn group(&self) -> usize {
        if (self.density || self.trace) && !self.exact { GROUP.min(self.probes) } else { 1 }
    }

    /// What it will cost, in words.
    pub fn cost(&self, curvature: &Curvature, scopes: &[Scope]) -> String {
        let each = curvature.predicted_seconds();
        let solves = self.kinds.len() * scopes.len();
        let products: usize = if self.exact {
            self.kinds.len() * scopes.iter().map(Scope::n).sum::<usize>()
        } else {
            let searched = self.kinds.iter().any(|kind| self.wanted(*kind) > 0);
            let search = if searched { self.request.max_matvecs } else { 0 };
            let density = if self.density { self.probes * self.depth } else { 0 };
            solves * (search + density + if self.trace { 4 * self.probes } else { 0 })
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
