//! One binary for all integration tests, because linking is the slow part. Each file says in its first
//! lines what belongs there.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

mod agreement;
mod architecture;
mod bad_values;
mod batches;
mod budgets;
mod calibration;
mod clipping;
mod closed_form;
mod command_line;
mod conformance;
mod coverage;
mod damaged_files;
mod dialects;
mod edge_of_stability;
mod following;
mod full_disk;
mod golden;
mod hessian_product;
mod kernels;
mod kills;
mod large;
mod memory;
mod moments;
mod nanogpt_run;
mod native_folders;
mod next_update;
mod optimizers;
mod passes;
mod refusals;
mod reports;
mod resume;
mod said;
mod schedules;
mod sgd;
mod solvers;
mod spectra;
mod support;
mod sync_order;
mod threads;
mod updates;
mod whole_runs;
