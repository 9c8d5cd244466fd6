//! The vectors of an optimizer whose constants are known.

use super::checkpoint::Moments;
use super::optimizer::OptimizerState;
use super::tensor_map::TensorMap;
use super::tensors::{Stored, TensorFile};
use crate::base::error::Result;
use crate::base::values::DType;

/// PyTorch's names of the vectors that an optimizer has. Of one that is not known here, Adam's moments are of use.
pub fn kinds(optimizer: &OptimizerState) -> &'static [&'static str] {
    optimizer.rule().map_or(&[FIRST, SECOND], |rule| rule.vectors())
}

const FIRST: &str = "exp_avg";
const SECOND: &str = "exp_avg_sq";

/// Adds the vectors that are wanted; the others are verified and not kept. `map` gives the map of each of [`kinds`].
///
/// # Errors
/// Naming the first tensor of any of them that is not what it should be.
pub fn read(
    optimizer: &mut OptimizerState,
    file: &dyn TensorFile,
    map: impl Fn(&str) -> TensorMap,
    wanted: Moments,
    dtype: DType,
) -> Result<()> {
    let (rule, kinds) = (optimizer.rule().ok(), kinds(optimizer));
    let is_wanted = |kind: &str| match (wanted, &rule) {
        (Moments::None, _) => false,
        (Moments::Second, Some(rule)) => rule.preconditioned_by().contains(&kind),
        // of an optimizer that is not known here, what Adam's relatives divide by
        (Moments::Second, None) => kind.ends_with("_sq"),
        (Moments::Both, _) => true,
    };
    for kind in kinds {
        if is_wanted(kind) {
            optimizer.vectors.insert((*kind).into(), map(kind).read(file, dtype)?);
        } else {
            map(kind).verify(file, dtype)?;
        }
    }
    if kinds.contains(&FIRST) && kinds.contains(&SECOND) {
        optimizer.doubt = vanished(file, &map(FIRST), &map(SECOND))?;
    }
    Ok(())
}

/// What is lost of moments that a file holds in half precision, in words, where something is: a second moment that is
/// 0, or known to no better than a tenth, though the first is not.
fn vanished(file: &dyn TensorFile, first: &TensorMap, second: &TensorMap) -> Result<Option<String>> {
    let mut lost = 0usize;
    let mut kept_as = None;
    for at in 0..second.count() {
        let coarsest = second.stored(file, at)?.into_iter().min_by_key(|kind| kind.size());
        // half the distance of neighbours near 0
        let (kind, rounding) = match coarsest {
            Some(kind @ Stored::F16) => (kind, 2f64.powi(-25)),
            Some(kind @ Stored::Bf16) => (kind, 2f64.powi(-134)),
            _ => continue,
        };
        let (m, v) = (first.numbers(file, at)?, second.numbers(file, at)?);
        let count = m.iter().zip(&v).filter(|(m, v)| **m != 0.0 && **v < 10.0 * rounding).count();
        if count > 0 {
            lost += count;
            kept_as = Some(kind.name());
        }
    }
    Ok(kept_as.map(|kind| {
        format!(
            "the optimizer's second moment is stored in {kind}, where {lost} of its numbers have vanished or nearly \
             so: what is made of it is unresolved"
        )
    }))
}
