//! One measured number: the row every report is made of.
//!
//! The columns, their types and the meaning of each status are the same for every analysis, so that
//! any two reports can be stacked: a row says of which run, analysis, batch and step it is. `uncertainty` is that of
//! the computation (a residual, or the half-width of a 68% interval over probes or samples); `sampling_error` is one
//! standard error over batches. Both carry the unit of the value.

use std::fmt;
use std::sync::Arc;

/// How far a number can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Converged, finite and, where that can be checked, complete.
    Ok,
    /// The solver stopped before its tolerance was met; the value is its best.
    Unconverged,
    /// A list of eigenvalues may have skipped one; written as unresolved.
    Incomplete,
    /// The data cannot answer: a mean does not stand out of its noise.
    Unresolved,
    /// The definition gives no value here, such as 2/η at η = 0; written as nonfinite.
    Undefined,
    /// The computation met NaN or infinity; there is no value.
    Nonfinite,
}

impl Status {
    /// The word written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Unconverged => "unconverged",
            Status::Incomplete | Status::Unresolved => "unresolved",
            Status::Undefined | Status::Nonfinite => "nonfinite",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every row of one measurement has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Run name.
    pub run: Arc<str>,
    /// The analysis that measured.
    pub analysis: Arc<str>,
    /// First digits of the batch's hash.
    pub batch: Arc<str>,
    /// Updates applied.
    pub step: u64,
}

impl Origin {
    /// An analysis of a run at a step on a batch.
    pub fn new(
        run: impl Into<Arc<str>>,
        analysis: impl Into<Arc<str>>,
        batch: impl Into<Arc<str>>,
        step: u64,
    ) -> Self {
        Origin { run: run.into(), analysis: analysis.into(), batch: batch.into(), step }
    }
}

/// One measured number.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Run name; set by [`Row::stamp`].
    pub run: Arc<str>,
    /// The analysis that measured it; set by [`Row::stamp`].
    pub analysis: Arc<str>,
    /// First digits of the hash of the batch it was measured on; `None` where no batch enters
    /// ([`Row::without_batch`]). Empty until [`Row::stamp`].
    pub batch: Option<Arc<str>>,
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
    /// The number; `None` only when the status is written as nonfinite.
    pub value: Option<f64>,
    /// Residual, or the half-width of a 68% interval over probes or samples.
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
            analysis: "".into(),
            batch: Some("".into()),
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

    /// Says that the quantity's definition gives no value here.
    pub fn undefined(self) -> Self {
        Row { value: None, uncertainty: None, status: Status::Undefined, ..self }
    }

    /// Lowers the status; a row without a value keeps its own.
    pub fn status(mut self, status: Status) -> Self {
        if self.value.is_some() {
            self.status = status;
        }
        self
    }

    /// Says that no batch enters: the number follows from weights, optimizer state and settings alone.
    pub fn without_batch(mut self) -> Self {
        self.batch = None;
        self
    }

    /// Lowers the status of a settled row, as one of its ingredients is less certain.
    pub fn no_better_than(self, status: Status) -> Self {
        if self.status == Status::Ok { self.status(status) } else { self }
    }

    /// Says which batch the number was measured on, unless the row has said so, or that none enters.
    pub fn on_batch(mut self, batch: impl Into<Arc<str>>) -> Self {
        if self.batch.as_deref() == Some("") {
            self.batch = Some(batch.into());
        }
        self
    }

    /// Says what the row belongs to; of its batch it may have said more already.
    pub fn stamp(mut self, origin: &Origin) -> Self {
        self.run = origin.run.clone();
        self.analysis = origin.analysis.clone();
        self.step = origin.step;
        self.on_batch(origin.batch.clone())
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

    #[test]
    fn a_row_keeps_what_it_says_of_its_batch() {
        let origin = Origin::new("r", "hessian", "0a1b2c3d", 7);
        let batch = |row: Row| row.stamp(&origin).batch;
        let row = || Row::new("sharpness/threshold", 1.0);
        assert_eq!(batch(row()).as_deref(), Some("0a1b2c3d"));
        assert_eq!(batch(row().without_batch()), None);
        assert_eq!(batch(row().without_batch().on_batch("ffffffff")), None);
        assert_eq!(batch(row().on_batch("ffffffff")).as_deref(), Some("ffffffff"));
    }
}
