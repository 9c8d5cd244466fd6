//! Writing a folder, whole or not at all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, View};

use super::layout::{CONFIG_FILE, MODEL_FILE, OPTIMIZER_FILE, STATE_FILE};
use super::state::{self, DataPosition, State};
use crate::architecture::Parameter;
use crate::base::error::{Error, IoContext, Result};
use crate::base::files;
use crate::base::values::{DType, Values};
use crate::run::checkpoint::Checkpoint;
use crate::run::safetensors as safetensors_file;

/// How the name of a folder begins while it is written.
const UNFINISHED: &str = ".writing-";

/// One parameter's part of a flat vector, as safetensors wants it.
struct Part<'a> {
    parameter: &'a Parameter,
    flat: &'a Values,
}

impl View for Part<'_> {
    fn dtype(&self) -> Dtype {
        match self.flat.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
        }
    }
    fn shape(&self) -> &[usize] {
        &self.parameter.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let range = self.parameter.range();
        Cow::Owned(match self.flat {
            Values::F32(v) => v[range].iter().flat_map(|x| x.to_le_bytes()).collect(),
            Values::F64(v) => v[range].iter().flat_map(|x| x.to_le_bytes()).collect(),
        })
    }
    fn data_len(&self) -> usize {
        self.parameter.len() * self.flat.dtype().size()
    }
}

fn serialise(path: &Path, lists: &[(&str, &Values)], parameters: &[Parameter]) -> Result<Vec<u8>> {
    let parts = lists.iter().flat_map(|(prefix, flat)| {
        parameters
            .iter()
            .map(move |parameter| (format!("{prefix}{}", parameter.name), Part { parameter, flat }))
    });
    let owned: Vec<_> = parts.collect();
    let parts: HashMap<&str, &Part> = owned.iter().map(|(name, part)| (&**name, part)).collect();
    let sum = safetensors_file::checksum(parts.keys().copied(), |name| Ok(parts[name].data()))?;
    let metadata: HashMap<String, String> = [(safetensors_file::CHECKSUM.to_string(), sum)].into();
    safetensors::serialize(owned, Some(metadata))
        .map_err(|e| Error::file(path, format!("cannot be written: {e}")))
}

/// Writes a native folder whole: it appears under its name only when every file is in it and on disk.
///
/// # Errors
/// Where the disk refuses; nothing is left behind.
pub fn write(folder: &Path, checkpoint: &Checkpoint) -> Result<()> {
    write_marked(folder, checkpoint, None)
}

/// [`write()`], of a state that is kept because the loss of update `jump` jumped: training does not resume from it.
///
/// # Errors
/// Where the disk refuses; nothing is left behind.
pub fn write_kept(folder: &Path, checkpoint: &Checkpoint, jump: u64) -> Result<()> {
    write_marked(folder, checkpoint, Some(jump))
}

fn write_marked(folder: &Path, checkpoint: &Checkpoint, kept_before: Option<u64>) -> Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    files::create_folder(parent)?;
    let unfinished = || {
        let made = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent);
        made.map_err(files::unnamed).at("create", folder)
    };
    let temporary = unfinished()?;
    let write = |name: &str, bytes: &[u8]| {
        let written = files::write_synced(&temporary.path().join(name), bytes);
        written.map_err(|e| e.in_the_making(temporary.path(), folder))
    };
    let parameters = checkpoint.config.parameters();

    let config = serde_json::to_vec_pretty(&checkpoint.config).expect("a configuration is plain data");
    write(CONFIG_FILE, &config)?;
    let model = serialise(folder, &[("", &checkpoint.parameters)], &parameters)?;
    write(MODEL_FILE, &model)?;
    let optimizer = checkpoint.optimizer.as_ref();
    if let Some(vectors) = optimizer.map(|o| &o.vectors).filter(|vectors| !vectors.is_empty()) {
        let prefixed: Vec<(String, &Values)> =
            vectors.iter().map(|(name, v)| (format!("{name}."), v)).collect();
        let lists: Vec<(&str, &Values)> = prefixed.iter().map(|(prefix, v)| (prefix.as_str(), *v)).collect();
        write(OPTIMIZER_FILE, &serialise(folder, &lists, &parameters)?)?;
    }
    let state = State {
        step: checkpoint.step,
        loss: checkpoint.loss,
        optimizer: optimizer.map(|o| state::describe(o, checkpoint.step)),
        data: checkpoint.seed.map(|seed| DataPosition { seed, step: checkpoint.step }),
        kept_before,
    };
    let state = serde_json::to_vec_pretty(&state).expect("a state is plain data");
    write(STATE_FILE, &state)?;

    files::set_listable(temporary.path()).at("create", folder)?;
    files::sync_folder(temporary.path()).map_err(|e| e.in_the_making(temporary.path(), folder))?;

    // what is replaced goes when the new one is there; training never replaces what it would resume from
    let replaced = folder.exists().then(unfinished).transpose()?;
    if let Some(replaced) = &replaced {
        fs::rename(folder, replaced.path().join("replaced")).at("replace", folder)?;
    }
    fs::rename(temporary.path(), folder).at("create", folder)?;
    let _ = temporary.keep();
    files::sync_folder(parent)
}

/// Removes what a killed process left of checkpoints it was writing into `folder`.
///
/// # Errors
/// Where the folder cannot be listed or changed.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) {
            fs::remove_dir_all(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::state::kept_before;
    use super::*;
    use crate::architecture::GptConfig;
    use crate::base::specification::Specification;
    use crate::run::{self, OptimizerState};

    fn example() -> Checkpoint {
        let config: GptConfig = serde_json::from_str(
            r#"{"n_layer": 1, "n_head": 2, "n_embd": 4, "block_size": 3, "vocab_size": 5, "tied_lm_head": false}"#,
        )
        .expect("valid");
        let n = config.num_parameters();
        let ramp = |scale: f64| Values::F64((0..n).map(|i| i as f64 * scale).collect());
        Checkpoint {
            path: "".into(),
            run: "r".into(),
            format: "native",
            step: 12,
            config,
            parameters: ramp(0.5),
            optimizer: Some(OptimizerState {
                told: Specification::parse("", "adamw:beta1=0.9,beta2=0.95,eps=1e-8,weight_decay=0.1")
                    .expect("told"),
                updates: 12,
                lr: 1e-3,
                last_lr: Some(9e-4),
                grad_clip: Some(1.0),
                vectors: [("exp_avg".into(), ramp(-1.0)), ("exp_avg_sq".into(), ramp(2.0))].into(),
                ..OptimizerState::default()
            }),
            next_grad_norm: None,
            without_optimizer: None,
            loss: Some(2.5),
            seed: Some(7),
            notes: vec![],
            sha256: String::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("runs/warm/checkpoints/step_12");
        write(&path, &example()).expect("written");
        let back = run::open(&path, DType::F64).expect("read");
        let expected = example();
        assert_eq!(back.parameters, expected.parameters);
        assert_eq!((back.run.as_str(), back.step, back.loss, back.seed), ("warm", 12, Some(2.5), Some(7)));
        let (o, e) = (back.optimizer.expect("there"), expected.optimizer.expect("there"));
        assert_eq!((&o.vectors, o.lr, o.last_lr), (&e.vectors, e.lr, e.last_lr));
        assert_eq!((o.rule(), o.updates), (e.rule(), 12));
        assert!(back.notes.is_empty());
        // writing again replaces, and leaves no temporary folder
        write_kept(&path, &example(), 14).expect("replaced");
        assert_eq!(kept_before(&path), Some(14));
        write(&path, &example()).expect("replaced");
        assert_eq!(kept_before(&path), None);
        assert_eq!(fs::read_dir(path.parent().expect("parent")).expect("readable").count(), 1);
    }

    #[test]
    fn two_files_are_enough() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("loose");
        write(&path, &example()).expect("written");
        fs::remove_file(path.join(STATE_FILE)).expect("there");
        fs::remove_file(path.join(OPTIMIZER_FILE)).expect("there");
        let back = run::open(&path, DType::F32).expect("read");
        assert!(back.optimizer.is_none() && back.parameters.dtype() == DType::F32);
        assert!(back.run.ends_with("-loose") && back.step == 0);
        assert!(back.notes[0].contains("state.json"));
    }
}
