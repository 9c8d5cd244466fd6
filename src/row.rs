//! One measured number: the row every report is made of.
//!
//! The columns, their types and the meaning of each status are the same for every analysis, so that
//! any two reports can be stacked. `uncertainty` is that of the computation (a residual, or one
//! standard error over probes); `sampling_error` is one standard error over batches. Both carry the
//! unit of the value.

use std::fmt;
use std::sync::Arc;

/// How far a number can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Converged, finite and, where that can be checked, complete.
    Ok,
    /// The solver stopped before its tolerance was met; the value is its best.
    Unconverged,
    /// The data cannot answer: a list may be incomplete, a mean does not stand out of its noise.
    Unresolved,
    /// The computation met NaN or infinity; there is no value.
    Nonfinite,
}

impl Status {
    /// The word written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Unconverged => "unconverged",
            Status::Unresolved => "unresolved",
            Status::Nonfinite => "nonfinite",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One measured number.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Run name; set by [`Row::stamp`].
    pub run: Arc<str>,
    /// Updates applied; set by [`Row::stamp`].
    pub step: u64,
    /// Slash name, such as `hessian/lambda`.
    pub quantity: Arc<str>,
    /// "all", a parameter name, or a block name.
    pub scope: Arc<str>,
    /// Transformer block, from 0.
    pub layer: Option<u32>,
    /// Attention head, from 0.
    pub head: Option<u32>,
    /// Position in an ordered list, from 1: eigenvalue 1 is the largest.
    pub index: Option<u32>,
    /// Random probe, from 0.
    pub probe: Option<u32>,
    /// The quantile level, the damping, whatever the quantity's definition takes.
    pub parameter: Option<f64>,
    /// The number; `None` only when the status is [`Status::Nonfinite`].
    pub value: Option<f64>,
    /// Residual, or one standard error over probes.
    pub uncertainty: Option<f64>,
    /// One standard error over batches.
    pub sampling_error: Option<f64>,
    /// Sample size behind the number: products, probes, sequences or coordinates.
    pub n: Option<u64>,
    /// How far to trust it.
    pub status: Status,
}

impl Row {
    /// A row of scope "all". A value that is NaN or infinite becomes null with status nonfinite.
    pub fn new(quantity: impl Into<Arc<str>>, value: f64) -> Self {
        Row {
            run: "".into(),
            step: 0,
            quantity: quantity.into(),
            scope: "all".into(),
            layer: None,
            head: None,
            index: None,
            probe: None,
            parameter: None,
            value: value.is_finite().then_some(value),
            uncertainty: None,
            sampling_error: None,
            n: None,
            status: if value.is_finite() { Status::Ok } else { Status::Nonfinite },
        }
    }

    /// Sets the scope.
    pub fn scope(mut self, scope: impl Into<Arc<str>>) -> Self {
        self.scope = scope.into();
        self
    }

    /// Sets the index, from 1.
    pub fn index(mut self, index: usize) -> Self {
        self.index = Some(index as u32);
        self
    }

    /// Sets the uncertainty; one that is not finite is left out.
    pub fn uncertainty(mut self, uncertainty: f64) -> Self {
        self.uncertainty = uncertainty.is_finite().then_some(uncertainty);
        self
    }

    /// Sets the sample size.
    pub fn n(mut self, n: u64) -> Self {
        self.n = Some(n);
        self
    }

    /// Sets the parameter of the quantity's definition.
    pub fn parameter(mut self, parameter: f64) -> Self {
        self.parameter = Some(parameter);
        self
    }

    /// Lowers the status; a nonfinite row stays nonfinite.
    pub fn status(mut self, status: Status) -> Self {
        if self.status != Status::Nonfinite {
            self.status = status;
        }
        self
    }

    /// Says which run and step the row belongs to.
    pub fn stamp(mut self, run: &Arc<str>, step: u64) -> Self {
        self.run = run.clone();
        self.step = step;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_finite_is_null_and_says_so() {
        let row = Row::new("hessian/lambda", f64::NAN).status(Status::Ok);
        assert_eq!(row.value, None);
        assert_eq!(row.status, Status::Nonfinite);
        assert_eq!(Row::new("hessian/lambda", 1.0).uncertainty(f64::INFINITY).uncertainty, None);
    }
}
