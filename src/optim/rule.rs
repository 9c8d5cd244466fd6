//! What an optimizer is: how it updates, and what may be asked of it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Hyperparameters, Limits, Part, Preconditioner, Sums};
use crate::base::values::Values;

/// The numbers of one update.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Counted by the optimizer from 1.
    pub t: u64,
    /// Learning rate, η.
    pub lr: f64,
    /// What clipping leaves of the gradient.
    pub clip: f64,
}

/// The vectors of a state by name, as far as they are there.
pub type State<'a> = BTreeMap<&'a str, &'a Values>;

/// An update that was made, and what it was made of: its change is known without the rounding of the parameters.
#[derive(Debug, Clone)]
pub struct Made<'a> {
    /// Parameters before it.
    pub before: &'a Values,
    /// Parameters after it.
    pub after: &'a Values,
    /// The gradient, before clipping.
    pub gradient: &'a Values,
    /// The state after it.
    pub state: State<'a>,
}

/// How parameters are updated, with all constants but the learning rate.
///
/// The change of a tensor is Δ = −η(λa + u), a the parameters before, λ the decay that goes past the gradient, u the
/// direction.
pub trait Rule: Send + Sync {
    /// The vectors of its state, by PyTorch's names, in the order in which they are handed to it.
    fn vectors(&self) -> &'static [&'static str];

    /// Those of them that its preconditioner is made of.
    fn preconditioned_by(&self) -> &'static [&'static str] {
        &[]
    }

    /// The vector that averages gradients, where there is one.
    fn momentum(&self) -> Option<&'static str> {
        None
    }

    /// λ of tensors that decay; 0 where decay is added to the gradient, and so is part of u.
    fn decay(&self) -> f64;

    /// Updates the parameters and the state, in one pass.
    fn update(
        &self,
        update: &Update,
        parts: &[Part],
        parameters: &mut Values,
        gradient: &Values,
        state: &mut [Values],
    );

    /// [`update`](Self::update), to the same bits, with the sums of each tensor.
    fn update_tracked(
        &self,
        update: &Update,
        parts: &[Part],
        parameters: &mut Values,
        gradient: &Values,
        state: &mut [Values],
    ) -> Vec<(Part, Sums)>;

    /// The sums of the update that led to a state, with what it started from rebuilt; `None` where the state does not
    /// tell.
    fn last_update(
        &self,
        update: &Update,
        parts: &[Part],
        parameters: &Values,
        state: &State,
    ) -> Option<Vec<(Part, Sums)>>;

    /// The parameters `range` of a tensor before an update, and u over [`rows_scale`](Self::rows_scale).
    fn rows(&self, update: &Update, part: &Part, range: Range<usize>, made: &Made) -> (Values, Values);

    /// See [`rows`](Self::rows).
    fn rows_scale(&self, _t: u64) -> f64 {
        1.0
    }

    /// u of all parameters.
    fn direction(&self, update: &Update, parts: &[Part], made: &Made) -> Values;

    /// Whether the next update can be formed from the state and a gradient.
    ///
    /// # Errors
    /// Why not, a sentence.
    fn next_update_is_known(&self) -> Result<(), String> {
        Ok(())
    }

    /// Adam's constants, where it keeps Adam's two moments.
    fn moments(&self) -> Option<Hyperparameters> {
        None
    }

    /// P of the state after so many updates, where it has one and the state tells.
    fn preconditioner(&self, _state: &State, _updates: u64) -> Option<Preconditioner> {
        None
    }

    /// P of the next update, made of this gradient, of which clipping leaves the factor `clip`.
    fn next_preconditioner(
        &self,
        _state: &State,
        _gradient: &Values,
        _clip: f64,
        _updates: u64,
    ) -> Option<Preconditioner> {
        None
    }

    /// How much curvature it stands at update t with learning rate `lr`.
    fn limits(&self, lr: f64, t: u64) -> Limits;

    /// What the momentum makes of the step that a gradient alone would be, where the quotient that foretells spikes is
    /// defined for it.
    fn memory(&self, _t: u64) -> Option<f64> {
        None
    }

    /// Radians that a matrix turns per update once decay and updates of random direction balance, where the formula is
    /// known: after 1/(ηλ) updates, for ηλ well below the share of a gradient in the momentum.
    ///
    /// Kosson, Messmer and Jaggi, Rotational Equilibrium, arXiv 2305.17212; with momentum as in the authors' code.
    fn equilibrium_angle(&self, _lr: f64) -> Option<f64> {
        None
    }

    /// It in words, for the facts of a run.
    fn words(&self) -> String;

    /// Updates until its averages have settled: those that are worth tracking one by one.
    fn settling(&self) -> f64;
}
