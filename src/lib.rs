//! # warmlab: why training a GPT needs warmup, measured
//!
//! The first few hundred updates of a GPT are the ones that fail. This crate measures what makes them
//! dangerous, on the run itself, with numbers that say how good they are. The command line is the way in
//! (`warmlab --help`); this book is for those who want to check a number or add one.
//!
//! ## How a number is made
//!
//! ```text
//! run ──Checkpoint──> model ──gradients, products──> operator ──LinearOperator──> linalg ──┐
//! data ────Batch───────^                                                               Ritz values
//!                                                                                          v
//!                  snapshot: what is known of one step ──────────────────────> analyses ──Row──> report
//! ```
//!
//! Every arrow is a plain value or a trait. Nothing to the left knows anything to its right, and a test
//! (`tests/suite/architecture.rs`) fails on any `use` that says otherwise.
//!
//! ## The loss and its curvature
//!
//! The loss L is the mean cross-entropy over all B·T targets of a batch, dropout off. Its Hessian
//! H = ∇²L has n² entries and is never formed; what is computed is H v. Each layer
//! ([`model::layers`]) has four functions: forward, backward, and the tangent of each. One tangent forward
//! and one tangent backward, with the activations of the primal pass kept, are H v exactly: 6 matrix
//! multiplications per weight where a gradient takes 3. The Gauss-Newton product G v needs 4. K vectors at
//! once share the primal pass and turn K products into one wide multiplication ([`kernels`]).
//!
//! Adam moves in another geometry: with P = diag(√v̂ + ε), one step is −η P⁻¹ m̂, and stability is about
//! the eigenvalues of P⁻¹H. They are those of the symmetric P^-½ H P^-½, which is what
//! [`operator::Preconditioned`] multiplies by; a symmetric solver on P⁻¹H itself would answer another
//! question (Cohen et al. 2022, arXiv 2207.14484).
//!
//! ## Eigenvalues to trust
//!
//! [`eigsh`](fn@linalg::eigsh) is block Lanczos with full reorthogonalisation and, where the basis outgrows the memory,
//! thick restarts. Three things make its answers citable:
//! - *the residual is recomputed*: ‖A v − θ v‖ with one fresh product per reported pair. For a symmetric
//!   matrix some eigenvalue lies within that distance of θ; it is the row's `uncertainty`;
//! - *the list is checked*: a second random start, orthogonal to what was found, must find nothing above the
//!   last reported value; otherwise the status is `unresolved`. How far beyond a skipped eigenvalue would have been
//!   seen with 99% probability is in the metadata ([`linalg::completeness`]);
//! - *multiplicity is looked for*: Lanczos from one start sees one copy of each eigenvalue, so copies are
//!   searched with fresh directions, and ghosts (the classic failure without reorthogonalisation) cannot
//!   appear.
//!
//! Vectors are f32 or f64 as `--dtype` says; every dot product and every projected matrix is f64.
//!
//! ## Numbers and their errors
//!
//! A [`base::row::Row`] is one number with its `uncertainty` (of the computation), its `sampling_error` (over
//! batches), its sample size and its [`base::row::Status`]. Tables print no digit beyond the uncertainty. The
//! Parquet report carries in its metadata the hash of the checkpoint, the hash of the batch, the options, the
//! seed, the precision, the thread count and the definitions, and nothing that changes from run to run: the
//! same command writes the same bytes.
//!
//! ## Adding things
//!
//! - An analysis: one file in `analyses/` and one line in [`analyses::ANALYSES`]. The command, its help,
//!   `warmlab list`, the dictionary in `reports/README.md` and the conformance tests follow.
//! - A layer, optimizer, schedule, operator or checkpoint format: one file in its folder.
//! - A dataset: a folder in `datasets/`.
#![cfg_attr(not(test), deny(unused_crate_dependencies))]

// the rooms, lowest first: none knows anything of those below it in this list
pub mod base;

pub mod linalg;
pub mod stats;

pub mod architecture;
pub mod data;
pub mod optim;
pub mod run;

pub mod kernels;
pub mod model;
pub mod operator;

pub mod schedule;
pub mod snapshot;
pub mod train;

#[path = "../analyses/mod.rs"]
pub mod analyses;

pub mod report;

pub mod measure;

pub mod cli;
