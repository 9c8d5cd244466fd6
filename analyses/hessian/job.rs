//! The options of the analysis, understood.

use crate::base::error::{Error, Result};
use crate::base::takes::Takes;
use crate::linalg::{Request, trace};
use crate::operator::{self, Curvature, Demand, Keep, Plan, Scope};
use crate::optim::{Optimizer, Preconditioner, clip_factor};
use crate::snapshot::Snapshot;
use crate::snapshot::analysis::Options;

/// Which matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hessian,
    Ggn,
    Preconditioned,
    PreconditionedNext,
}

impl Kind {
    /// From what was typed.
    pub fn parse(text: &str) -> Result<Self> {
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
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Hessian => "hessian",
            Kind::Ggn => "ggn",
            Kind::Preconditioned => "preconditioned",
            Kind::PreconditionedNext => "preconditioned_next",
        }
    }

    /// What stands in front of the names of its limits: those of the stored P have none.
    pub fn of_limits(self) -> &'static str {
        if self == Kind::PreconditionedNext { "preconditioned_next/" } else { "" }
    }

    /// Whether it is in Adam's geometry.
    pub fn is_preconditioned(self) -> bool {
        matches!(self, Kind::Preconditioned | Kind::PreconditionedNext)
    }

    /// The vector that P of this kind is made of.
    ///
    /// # Errors
    /// Where the optimizer has no preconditioner.
    pub fn exists_for(self, whose: &str, optimizer: &Optimizer) -> Result<&'static str> {
        optimizer.preconditioned_by().first().copied().ok_or_else(|| {
            let name = optimizer.entry().name;
            Error::usage_hint(
                format!(
                    "{whose} optimizer is {name}, which has no preconditioner: {} is not defined",
                    self.prefix()
                ),
                "use --operator hessian or ggn",
            )
        })
    }

    /// P of this kind, where it has one.
    pub fn preconditioner(
        self,
        snapshot: &Snapshot,
        curvature: &Curvature,
    ) -> Result<Option<Preconditioner>> {
        if !self.is_preconditioned() {
            return Ok(None);
        }
        let (o, rule) = snapshot.rule()?;
        let own = self.exists_for("the checkpoint's", &rule)?;
        let found = if self == Kind::Preconditioned {
            if o.updates == 0 {
                return Err(Error::usage_hint(
                    "no update has been applied yet: the second moment is zero and P⁻¹ would be 1/ε everywhere",
                    "use --operator preconditioned-next, which adds this batch's gradient first, or a later step",
                ));
            }
            rule.preconditioner(&o.state(), o.updates)
        } else {
            rule.next_update_is_known().map_err(Error::usage)?;
            // this batch's gradient enters v as the run would clip it
            let (gradient, max_norm) = (curvature.gradient(), o.grad_clip.unwrap_or(0.0));
            let (_, clip) = clip_factor(gradient, max_norm);
            rule.next_preconditioner(&o.state(), gradient, clip, o.updates)
        };
        found.map(Some).ok_or_else(|| {
            Error::usage_hint(
                format!("the checkpoint has no second moment ({own}), so Adam's preconditioner is not known"),
                "use --operator hessian, or a checkpoint saved with its optimizer",
            )
        })
    }
}

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

/// --bottom where it is not given.
const AUTO: &str = "auto";

/// Probes multiplied at a time where the memory allows.
const GROUP: usize = 8;

impl Job {
    /// Reads the options, refusing what is impossible.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn parse(options: &Options) -> Result<Self> {
        let kinds =
            options.all("operator").iter().map(|text| Kind::parse(text)).collect::<Result<Vec<_>>>()?;
        let tol: f64 = options.get("tol")?;
        if tol.is_nan() || tol <= 0.0 {
            return Err(Error::usage(format!("--tol {tol} must be positive")));
        }
        let top: usize = options.get("top")?;
        let bottom = match options.get::<String>("bottom")?.as_str() {
            AUTO => None,
            text => {
                let hint = "leave it out, or use --bottom 1";
                Some(Takes::COUNT.whole(text).map_err(|refusal| refusal.of("--bottom", text, hint))? as usize)
            }
        };
        let max_matvecs: usize = options.get("max-matvecs")?;
        let exact = options.is_on("exact");
        let (density, trace) = (options.is_on("density"), options.is_on("trace"));
        let (probes, depth): (usize, usize) = (options.get("probes")?, options.get("num-matvecs")?);
        if (density || trace) && (probes < 2 || depth < 2) {
            return Err(Error::usage(
                "--probes and --num-matvecs must be at least 2: an error needs a spread",
            ));
        }
        if max_matvecs == 0 {
            return Err(Error::usage("--max-matvecs 0 leaves nothing to compute with"));
        }
        let completeness = !options.is_on("no-completeness");
        let request = Request { top, bottom: 0, tol, max_matvecs, completeness, max_basis: 0 };
        let scope = options.get("scope")?;
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
