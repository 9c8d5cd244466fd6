//! nanoGPT's `ckpt.pt`, and build-nanogpt's `model_N.pt`.
//!
//! - Keys of `model` may carry the prefixes of a compiled or parallel model, in any order.
//! - `lm_head.weight` shares its storage with `transformer.wte.weight` and is counted once, unless it differs.
//! - A checkpoint is saved at the top of the loop: the stored rate is that of the next update.
//! - Weights and optimizer are read apart: what is wrong with the optimizer is said, and stops only what needs it.

mod header;
mod kind;
mod names;
mod optimizer;
mod rate;
mod recognise;

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::name;
use super::pytorch::TorchFile;
use super::tensors::read_flat;
use crate::base::error::Result;
use crate::base::files;
use crate::base::values::DType;

/// Reads a `ckpt.pt`.
///
/// # Errors
/// Naming the file, the tensor and the problem.
pub fn read(path: &Path, dtype: DType) -> Result<Checkpoint> {
    let file = TorchFile::open(path)?;
    let weights = header::weights(&file)?;
    let header::Header { config, step, mut notes } = header::read(&file, &weights)?;
    let parameters = read_flat(&weights, path, &config.parameters(), dtype, |p| p.name.clone())?;
    let (mut state, mut without_optimizer) = (None, None);
    match file.find(&["optimizer"]) {
        Some(id) => match optimizer::read(&file, id, &config, dtype, step, &mut notes) {
            Ok(read) => state = Some(read),
            Err(error) => without_optimizer = Some(format!("its optimizer cannot be used: {error}")),
        },
        None => without_optimizer = Some(format!("`{}` holds no optimizer state", path.display())),
    }
    notes.extend(without_optimizer.clone());
    notes.extend(state.iter().flat_map(|o| o.doubt.clone()));
    Ok(Checkpoint {
        path: path.into(),
        run: name::of(path),
        format: "nanogpt",
        step,
        config,
        parameters,
        optimizer: state,
        without_optimizer,
        next_grad_norm: None,
        loss: None,
        seed: None,
        notes,
        sha256: files::sha256_of_file(path)?,
    })
}

/// The step of a checkpoint, which some carry inside only.
pub fn step(path: &Path) -> Option<u64> {
    header::step(&TorchFile::open(path).ok()?)
}
