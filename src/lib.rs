//! # warmlab: why training a GPT needs warmup, measured
//!
//! The first few hundred updates of a GPT are the ones that fail. This crate measures what makes them
//! dangerous, on the run itself, with numbers that say how good they are. The command line is the way in
//! (`warmlab --help`); this book is for those who want to check a number or add one.
//!
//! ## How a number is made
//!
//! A run is a sequence of snapshots, whoever makes them, and the same analyses measure them:
//!
//! ```text
//! run/ formats ──┐                                                              ┌──> report: Parquet, tables, a page
//!                ├──Snapshot──> analyses ──Row──> measure: snapshots × batches ─┤
//! train/ loop ───┘    │                                                         └──> journal of a run in training
//!                     └─ model ──products──> operator ──LinearOperator──> linalg ──Ritz values, residuals
//! ```
//!
//! Every arrow is a plain value or a trait. Nothing knows anything of the rooms below it in the following list, and a
//! test (`tests/suite/architecture/`) fails on any line that says otherwise.
//!
//! ## The rooms
//!
//! | room | holds | one file each for |
//! |---|---|---|
//! | [`base`] | what everything else speaks in | errors, rows, values, vectors, settings, seeds, files, figures, registries |
//! | [`linalg`] | solvers that know a matrix by its products | Krylov decompositions, the **residual** of an eigenvalue, completeness of a list, `eigsh`, following, quadrature, traces |
//! | [`stats`] | estimates with their errors | intervals, noise, entropy, quantiles |
//! | [`architecture`] | a model before any number | sizes, parameters with their roles, each architecture |
//! | [`data`] | text to batches | corpora, tokens, sampling, packages |
//! | [`run`] | files of a run, others' too | checkpoints, where they lie, how tensors map; a format each, and in its folder the **names** of its tensors and the **rule** of its optimizer's indices |
//! | [`kernels`] | the fused operations of layers, with derivatives | each operation, composed and for the CPU (`flex`) |
//! | [`model`] | a GPT: loss, gradient, tangents | each layer, the forward pass, what passes see |
//! | [`operator`] | curvature matrices of a model on a batch | curvature, preconditioned, restricted, scope, memory plan |
//! | [`optim`] | optimizers | each optimizer with its **update** of a weight, clipping, limits of stability, statistics of an update |
//! | [`schedule`] | learning rates | each schedule |
//! | [`snapshot`] | a run at one step, and what an [analysis](snapshot::analysis) is | its passes, its updates, what is needed of it |
//! | [`train`] | the training loop, a source of snapshots | settings, the trainer, the folder it writes, its log |
//! | [`analyses`] | the catalogue | each analysis: its quantities, how it is shown (`figures`), and its **rows** |
//! | [`report`] | rows to Parquet, JSON, CSV, tables and a page | **writing Parquet**, tables, charts, findings, which row a line **selects** (the lowest head, the whole model) |
//! | [`measure`] | snapshots × batches × analyses | requests, targets, batches, the **work** that ends in a report, the journal |
//! | [`cli`] | words and exit codes | each command |
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
//! Each is one file and one line of its registry; nothing else names an entry, and the same test sees to it.
//!
//! - An analysis: `analyses/` and [`analyses::ANALYSES`]. The command, its help, `warmlab list`, the figures and columns
//!   of a report, the dictionary in `reports/README.md` and the conformance tests follow from what it declares.
//! - A schedule: [`schedule`]. An optimizer: [`optim`]. An architecture: [`architecture::ARCHITECTURES`]. A format of
//!   checkpoints: [`run`].
//! - A matrix: one file in [`operator`]. A dataset: a folder in `datasets/`.
#![cfg_attr(not(test), deny(unused_crate_dependencies))]

// the rooms, lowest first: none knows anything of those below it
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
