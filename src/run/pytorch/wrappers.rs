//! What wrappers of a model add to the names of its tensors.

/// What torch.compile, DataParallel and their like put into names, in any order.
const WRAPPERS: [&str; 4] = ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// A name as the model itself has it.
pub fn plain(name: &str) -> String {
    name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off_in_any_order() {
        for name in ["module._orig_mod.a.b", "_orig_mod.module.a.b", "module.a._orig_mod.b", "a.b"] {
            assert_eq!(plain(name), "a.b");
        }
    }
}
