//! A training run on disk: one file per format, all read into the same [`Checkpoint`].
//!
//! Everything here is untrusted input. Pickles are parsed, never executed; sizes in headers are
//! compared with the file's length and the configuration's shapes before memory is taken; weights
//! that are not finite are refused by name. An optimizer that is damaged, or not understood, is said and
//! keeps nobody from the weights.

mod checkpoint;
mod clipping;
mod find;
mod folder;
mod listing;
mod name;
mod nanogpt;
mod native;
mod optimizer;
mod pytorch;
mod tensors;

pub use checkpoint::{Checkpoint, Moments};
pub use find::{Found, available, checkpoints, find};
pub use folder::{folder, within};
pub use listing::{Listed, tensors};
pub use name::of_run as folder_name;
pub use native::{MODEL_FILE, OPTIMIZER_FILE, Standing, kept_before, remove_unfinished, standing};
pub use native::{write as write_native, write_kept as write_native_kept};
pub use optimizer::{OptimizerState, PerTensor};

use std::io::Read;
use std::path::Path;

use crate::base::error::{Error, IoContext, Result};
use crate::base::values::DType;

/// Reads the checkpoint at `path`, whatever its format, with parameters cast to `dtype`.
///
/// # Errors
/// Naming the file, the tensor and the problem.
pub fn open(path: &Path, dtype: DType) -> Result<Checkpoint> {
    if path.is_dir() {
        return open_folder(path, dtype);
    }
    let mut start = [0u8; 4];
    let mut file = std::fs::File::open(path).at("open", path)?;
    let got = file.read(&mut start).at("read", path)?;
    match &start[..got] {
        // a zip archive, torch.save since 1.6, or a bare pickle before
        [b'P', b'K', ..] | [0x80, ..] => nanogpt::read(path, dtype),
        [] => Err(Error::file(path, "is empty")),
        _ if path.extension().is_some_and(|e| e == "safetensors") => Err(Error::file_hint(
            path,
            "is a file of tensors, not a checkpoint",
            format!("give the folder that holds it and its config.json: --ckpt {}", parent(path)),
        )),
        _ => Err(Error::file_hint(
            path,
            "is not a checkpoint: neither a PyTorch file nor a checkpoint folder",
            "--ckpt takes a nanoGPT `ckpt.pt` or a folder with config.json and model.safetensors",
        )),
    }
}

fn open_folder(path: &Path, dtype: DType) -> Result<Checkpoint> {
    if path.join("pytorch_model.bin").exists() || native::is_hugging_face(path) {
        return Err(Error::file_hint(
            path,
            "is a Hugging Face checkpoint, which is not read yet",
            "convert it to nanoGPT's `ckpt.pt`, or to config.json and model.safetensors with nanoGPT's names",
        ));
    }
    if path.join("config.json").exists() {
        return native::read(path, dtype);
    }
    if path.join("ckpt.pt").exists() {
        return nanogpt::read(&path.join("ckpt.pt"), dtype);
    }
    if path.join("checkpoints").is_dir() {
        return Err(Error::file_hint(
            path,
            "is a run, not a checkpoint",
            format!("name one of its steps: --run {} --ckpt step_N", path.display()),
        ));
    }
    Err(Error::file(path, "holds no checkpoint: neither config.json nor ckpt.pt is there"))
}

fn parent(path: &Path) -> String {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.display().to_string()
}
