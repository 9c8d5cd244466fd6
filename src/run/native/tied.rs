//! The two names of a tied matrix.

use std::collections::HashSet;
use std::path::Path;

use crate::architecture::GptConfig;
use crate::base::error::{Error, Result};
use crate::run::tensors::{Safe, TensorFile};

/// How the file spells a parameter's name: a tied matrix has two, of which writers keep either or both.
///
/// # Errors
/// Where the file holds what the configuration does not know, or two different matrices.
pub fn spelling<'a>(
    file: &'a Safe,
    path: &Path,
    config: &GptConfig,
) -> Result<impl Fn(&str) -> String + use<'a>> {
    const HEAD: &str = "lm_head.weight";
    const WTE: &str = "transformer.wte.weight";
    let known: HashSet<String> = config.parameters().into_iter().map(|p| p.name).collect();
    let tied = config.tied_lm_head && file.describe(HEAD).is_some();
    if let Some(unknown) =
        file.names().into_iter().find(|name| !(known.contains(*name) || tied && *name == HEAD))
    {
        return Err(Error::tensor(path, unknown, "is not a parameter of the model config.json describes"));
    }
    let only_head = tied && file.describe(WTE).is_none();
    if tied
        && !only_head
        && (file.describe(HEAD) != file.describe(WTE) || file.bytes(HEAD)? != file.bytes(WTE)?)
    {
        return Err(Error::tensor(
            path,
            HEAD,
            "differs from transformer.wte.weight, which config.json says it is tied to (tied_lm_head)",
        ));
    }
    Ok(move |name: &str| if only_head && name == WTE { HEAD.into() } else { name.to_string() })
}
