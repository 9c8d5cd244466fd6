//! What to say of what no format recognises.

use super::candidate::Candidate;
use super::pytorch::TorchFile;
use crate::base::error::Error;

/// How other people's weights are brought into this program's own format.
pub const OWN: &str =
    "write its weights with nanoGPT's names and shapes: config.json and model.safetensors in a folder";

/// The refusal of something that is none of `formats`, which are those that are read, in words.
pub fn refusal(there: Candidate, formats: &str) -> Error {
    let path = there.path().to_path_buf();
    let takes = format!("--ckpt takes {formats}");
    if there.holds("checkpoints") {
        return Error::file_hint(
            &path,
            "is a run, not a checkpoint",
            format!("name one of its steps: --run {} --ckpt step_N", path.display()),
        );
    }
    if there.is_folder() {
        return Error::file_hint(
            &path,
            "holds no checkpoint: neither config.json nor ckpt.pt is there",
            takes,
        );
    }
    if there.start().is_empty() {
        return Error::file(&path, "is empty");
    }
    if let Some(file) = there.torch() {
        return Error::file_hint(&path, contents(file), takes);
    }
    there.damage().unwrap_or_else(|| {
        Error::file_hint(&path, "is not a checkpoint: neither a PyTorch file nor a checkpoint folder", takes)
    })
}

/// What a PyTorch file holds, for whoever knows it.
fn contents(file: &TorchFile) -> String {
    let pickle = file.pickle();
    let keys: Vec<&str> =
        pickle.entries(pickle.root()).iter().filter_map(|(key, _)| pickle.text(*key)).collect();
    let tensors = file.tensors(pickle.root());
    let names: Vec<&str> = tensors.iter().map(|(name, _)| &**name).take(2).collect();
    format!(
        "is a PyTorch file but not a checkpoint that is known: its keys are {}; it holds {} tensors ({})",
        list(&keys),
        tensors.len(),
        list(&names)
    )
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "none".into(),
        names => names.iter().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
