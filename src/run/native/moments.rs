//! The optimizer of a native folder: what state.json says of it, and its moments.

use std::path::Path;

use super::state;
use crate::architecture::Parameter;
use crate::base::error::Error;
use crate::base::values::DType;
use crate::run::optimizer::OptimizerState;
use crate::run::tensors::{Safe, TensorFile, read_flat, vanished};

/// The optimizer that state.json describes, with the moments of optimizer.safetensors.
///
/// # Errors
/// Why there is none to use, in words.
pub fn read_optimizer(
    state_path: &Path,
    header: Option<serde_json::Value>,
    moments: Option<(&Path, &[u8])>,
    spelt: &impl Fn(&str) -> String,
    parameters: &[Parameter],
    dtype: DType,
    step: u64,
) -> std::result::Result<OptimizerState, String> {
    let Some(header) = header else {
        let state = state_path.display();
        return Err(match moments {
            Some(_) => format!("`{state}` does not say which optimizer the moments are of"),
            None => format!("`{state}` holds no optimizer"),
        });
    };
    let unusable = |error: Error| format!("its optimizer cannot be used: {error}");
    let mut optimizer = state::optimizer(state_path, header, step).map_err(unusable)?;
    let Some((path, bytes)) = moments else { return Ok(optimizer) };
    let file = Safe::new(path, bytes).map_err(unusable)?;
    let flat = |kind: &str| {
        let stored = |p: &Parameter| {
            let own = format!("{kind}.{}", p.name);
            if file.describe(&own).is_some() { own } else { format!("{kind}.{}", spelt(&p.name)) }
        };
        read_flat(&file, path, parameters, dtype, stored).map_err(unusable)
    };
    // of an optimizer that is not known here, Adam's moments are of use
    let names = optimizer.rule().map_or(&["exp_avg", "exp_avg_sq"][..], |rule| rule.vectors());
    for name in names {
        optimizer.vectors.insert((*name).into(), flat(name)?);
    }
    if let (Some(m), Some(v)) = (optimizer.vector("exp_avg"), optimizer.vector("exp_avg_sq")) {
        optimizer.doubt = vanished(&file, parameters, m, v);
    }
    Ok(optimizer)
}
