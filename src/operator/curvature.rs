//! The Hessian and the Gauss-Newton matrix of the mean loss over a batch.
//!
//! The batch is cut into micro-batches. Their primal passes are kept where they fit the memory, and
//! recomputed for every product where they do not.

use std::time::Instant;

use crate::base::error::{Error, Result};
use crate::base::values::{DType, Values};
use crate::base::vectors::Vectors;
use crate::data::Batch;
use crate::linalg::LinearOperator;
use crate::model::{Gpt, GradientMoments, Partial, Primal, fold, try_fold};

/// Whether primal passes stay in memory between products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Each product costs its own work only.
    Kept,
    /// Each product repeats the primal pass: half as much again, but the memory of one micro-batch.
    Recomputed,
}

/// A model and a batch, ready for products.
pub struct Curvature {
    gpt: Gpt,
    micro: Vec<Batch>,
    weight: f64,
    /// Of each micro-batch, or none.
    kept: Vec<Primal>,
    loss: f64,
    gradient: Values,
    seconds: f64,
}

impl Curvature {
    /// Runs the primal pass of every micro-batch of at most `micro_batch` sequences.
    ///
    /// # Errors
    /// [`Error::Usage`] where the batch does not fit the model, [`Error::NonFinite`] where the loss or
    /// the gradient is not finite.
    pub fn new(gpt: Gpt, batch: &Batch, micro_batch: usize, keep: Keep) -> Result<Self> {
        gpt.check(batch)?;
        let weight = 1.0 / batch.num_tokens() as f64;
        let micro = batch.micro_batches(micro_batch);
        let start = Instant::now();
        let (nll, gradient, kept) = fold(&micro, |_, piece| {
            let (primal, nll, gradient) = Primal::new(&gpt, piece, weight);
            (nll, gradient, if keep == Keep::Kept { vec![primal] } else { vec![] })
        });
        let seconds = start.elapsed().as_secs_f64();
        let gradient = gradient.into_values();
        if !(nll * weight).is_finite() || gradient.first_nonfinite().is_some() {
            return Err(Error::NonFinite {
                what: "the loss or its gradient on this batch".into(),
                hint: Some("compute with --dtype f64 to see whether activations overflow f32".into()),
            });
        }
        Ok(Curvature { gpt, micro, weight, kept, loss: nll * weight, gradient, seconds })
    }

    /// The model.
    pub fn gpt(&self) -> &Gpt {
        &self.gpt
    }

    /// Mean loss on the batch.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Its gradient, flat.
    pub fn gradient(&self) -> &Values {
        &self.gradient
    }

    /// About how long one product with the Hessian takes, from the time of the primal pass: in units of
    /// one GEMM a product is 6 and a primal pass 3, and what is not kept is computed again.
    pub fn predicted_seconds(&self) -> f64 {
        self.seconds * if self.kept.is_empty() { 3.0 } else { 2.0 }
    }

    /// For each `sequences` sequences in turn, with g_i the gradient of their mean loss and ḡ that of the whole
    /// batch: ‖g_i‖² and g_i·ḡ of every parameter tensor. A gradient g_i is computed only where its sequences do not
    /// lie in one micro-batch.
    ///
    /// # Errors
    /// Where a gradient cannot be computed.
    ///
    /// # Panics
    /// Where the batch is not of a multiple of `sequences`: a caller's mistake.
    pub fn moments(&self, sequences: usize) -> Result<GradientMoments> {
        let parameters = self.gpt.layout().parameters();
        if self.micro.iter().any(|piece| !piece.batch_size().is_multiple_of(sequences)) {
            let largest = self.micro[0].batch_size();
            return try_fold(&Batch::concatenate(&self.micro).micro_batches(sequences), |_, piece| {
                let (_, gradient) = self.gpt.gradient(piece, largest)?;
                Ok(GradientMoments::of(parameters, &gradient, &self.gradient))
            });
        }
        let mean = self.gpt.layout().weights(&self.gradient);
        let mut moments = self.over_passes(|primal| primal.moments(&self.gpt, &mean, sequences));
        // a token counts for one of all in the pass, for one of its piece's in g_i
        moments.scale(moments.samples() as f64);
        Ok(moments)
    }

    fn product(&self, x: &Vectors, product: impl Fn(&Primal, &Gpt, &Vectors) -> Vectors) -> Result<Vectors> {
        let out = self.over_passes(|primal| product(primal, &self.gpt, x));
        if !out.values().all_finite() {
            return Err(Error::NonFinite {
                what: "a product with the operator".into(),
                hint: Some("look for overflowing activations, or compute with --dtype f64".into()),
            });
        }
        Ok(out)
    }

    /// What `of` makes of the primal passes, added up.
    fn over_passes<P: Partial>(&self, of: impl Fn(&Primal) -> P) -> P {
        fold(&self.micro, |i, piece| match self.kept.get(i) {
            Some(kept) => of(kept),
            None => of(&Primal::new(&self.gpt, piece, self.weight).0),
        })
    }
}

/// The Hessian ∂²L/∂θ².
pub struct Hessian<'a>(pub &'a Curvature);

impl LinearOperator for Hessian<'_> {
    fn n(&self) -> usize {
        self.0.gpt.layout().n()
    }
    fn dtype(&self) -> DType {
        self.0.gpt.dtype()
    }
    fn apply(&self, x: &Vectors) -> Result<Vectors> {
        self.0.product(x, Primal::hessian_product)
    }
}

/// The Gauss-Newton matrix Jᵀ (∂²L/∂z²) J, z the logits: positive semidefinite.
pub struct GaussNewton<'a>(pub &'a Curvature);

impl LinearOperator for GaussNewton<'_> {
    fn n(&self) -> usize {
        self.0.gpt.layout().n()
    }
    fn dtype(&self) -> DType {
        self.0.gpt.dtype()
    }
    fn apply(&self, x: &Vectors) -> Result<Vectors> {
        self.0.product(x, Primal::gauss_newton_product)
    }
}
