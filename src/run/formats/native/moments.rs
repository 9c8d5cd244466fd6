//! The optimizer of a folder: what state.json says of it, and its moments.

use std::path::Path;

use crate::architecture::GptConfig;
use crate::base::error::Error;
use crate::base::values::DType;
use crate::run::checkpoint::Moments;
use crate::run::head::{EMBEDDING, HEAD};
use crate::run::moments;
use crate::run::optimizer::OptimizerState;
use crate::run::own::state;
use crate::run::safetensors::SafeFile;
use crate::run::tensor_map::TensorMap;
use crate::run::tensors::TensorFile;

/// The optimizer that state.json describes, with those moments of optimizer.safetensors that are wanted.
///
/// # Errors
/// Why there is none to use, in words.
pub fn read_optimizer(
    (state_path, header): (&Path, Option<serde_json::Value>),
    file: Option<&Path>,
    (config, step): (&GptConfig, u64),
    (wanted, dtype): (Moments, DType),
) -> std::result::Result<OptimizerState, String> {
    let Some(header) = header else {
        let state = state_path.display();
        return Err(match file {
            Some(_) => format!("`{state}` does not say which optimizer the moments are of"),
            None => format!("`{state}` holds no optimizer"),
        });
    };
    let unusable = |error: Error| format!("its optimizer cannot be used: {error}");
    let mut optimizer = state::optimizer(state_path, header, step).map_err(unusable)?;
    let Some(path) = file else { return Ok(optimizer) };
    let file = SafeFile::open(path).map_err(unusable)?;
    file.verify().map_err(unusable)?;
    let map = |kind: &str| {
        TensorMap::of(config).renamed(|name| {
            // the moments of a tied matrix go by either name, as the matrix does
            let [own, other] = [name, HEAD].map(|name| format!("{kind}.{name}"));
            let is_other =
                name == EMBEDDING && file.describe(&own).is_none() && file.describe(&other).is_some();
            if is_other { other } else { own }
        })
    };
    moments::read(&mut optimizer, &file, map, wanted, dtype).map_err(unusable)?;
    Ok(optimizer)
}
