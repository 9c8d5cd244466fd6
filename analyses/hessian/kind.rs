//! The matrices, and what each is made of.

use std::str::FromStr;

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::operator::Curvature;
use crate::optim::{Optimizer, Preconditioner, clip_factor};
use crate::snapshot::Snapshot;

/// What `--operator` takes.
pub const OPERATORS: &[&str] = &["hessian", "ggn", "preconditioned", "preconditioned-next"];

/// Which matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Hessian,
    Ggn,
    Preconditioned,
    PreconditionedNext,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Hessian, Kind::Ggn, Kind::Preconditioned, Kind::PreconditionedNext];

    /// What `--operator` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::PreconditionedNext => "preconditioned-next",
            other => other.prefix(),
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

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}
