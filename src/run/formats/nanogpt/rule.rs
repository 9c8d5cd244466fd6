//! Which optimizer a state is of: the keys of its groups and of its tensors tell.

use crate::base::pickle::Id;
use crate::run::pytorch::TorchFile;

/// What else the groups of torch.optim.Adam and AdamW hold, and what schedulers and trainers add.
const ADAM_KEYS: [&str; 17] = [
    "lr",
    "betas",
    "eps",
    "weight_decay",
    "amsgrad",
    "maximize",
    "foreach",
    "capturable",
    "differentiable",
    "fused",
    "decoupled_weight_decay",
    "correct_bias",
    "params",
    "param_names",
    "initial_lr",
    "name",
    "lr_scale",
];

/// Optimizers by a key of their groups or their state that no other has.
const TELLING: [(&str, &str); 21] = [
    ("momentum_decay", "nadam"),
    ("mu_product", "nadam"),
    ("beta2_decay", "adafactor"),
    ("scale_parameter", "adafactor"),
    ("exp_avg_sq_row", "adafactor"),
    ("row_var", "adafactor"),
    ("ns_steps", "muon"),
    ("exp_inf", "adamax"),
    ("lr_decay", "adagrad"),
    ("acc_delta", "adadelta"),
    ("centered", "rmsprop"),
    ("etas", "rprop"),
    ("dampening", "sgd"),
    ("exp_avg_var", "adabelief"),
    ("exp_avg_diff", "adan"),
    ("exp_avg_slow", "ademamix"),
    ("train_mode", "schedule-free"),
    ("state1", "adam with 8-bit states"),
    ("d_coef", "prodigy"),
    ("d0", "dadapt"),
    ("hessian", "sophia"),
];

/// An optimizer by the name people know it by.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// "adamw", "adam" (decay is part of the gradient), "amsgrad", "radam", ...
    pub name: String,
    /// Whether decay is added to the gradient, and so is in the moments.
    pub coupled: bool,
}

/// Recognises the optimizer from one of its `groups` and the `state` of one of its parameters.
pub fn rule(file: &TorchFile, group: Id, state: Option<Id>) -> Rule {
    let keys = |id: Id| -> Vec<&str> {
        file.pickle().entries(id).iter().filter_map(|(key, _)| file.pickle().text(*key)).collect()
    };
    let flag = |key: &str| file.pickle().get(group, key).and_then(|id| file.truth(id));
    of_keys(&keys(group), &state.map(keys).unwrap_or_default(), flag)
}

fn of_keys(group: &[&str], state: &[&str], flag: impl Fn(&str) -> Option<bool>) -> Rule {
    let named = |name: &str, coupled: bool| Rule { name: name.into(), coupled };
    let in_group = |key: &str| group.contains(&key);
    let coupled = flag("decoupled_weight_decay") == Some(false);
    let told = TELLING.iter().find(|(key, _)| in_group(key) || state.contains(key));
    if let Some((_, name)) = told {
        return named(name, coupled);
    }
    let unknown = |why: String| Rule { name: format!("an unknown optimizer ({why})"), coupled };
    let moments = ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
    if let Some(key) = state.iter().find(|key| !moments.contains(key)) {
        return unknown(format!("its state has `{key}`"));
    }
    if !in_group("betas") {
        return unknown("its groups have no betas".into());
    }
    if !in_group("eps") {
        return named("lion", coupled);
    }
    if flag("maximize") == Some(true) {
        return unknown("it maximises".into());
    }
    if let Some(key) = group.iter().find(|key| !ADAM_KEYS.contains(key)) {
        return unknown(format!("its groups have `{key}`"));
    }
    if flag("amsgrad") == Some(true) || state.contains(&"max_exp_avg_sq") {
        return named("amsgrad", coupled);
    }
    match flag("correct_bias") {
        Some(true) => return named("adamw", false),
        Some(false) => return unknown("it does not correct the moments' bias".into()),
        None => {}
    }
    match (in_group("amsgrad"), in_group("decoupled_weight_decay")) {
        (true, _) if coupled => named("adam", true),
        (true, _) => named("adamw", false),
        // PyTorch's RAdam has Adam's state and no amsgrad
        (false, true) => named("radam", coupled),
        (false, false) => unknown("its groups have no `amsgrad`, as RAdam's have none".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(group: &[&str], state: &[&str], flags: &[(&str, bool)]) -> Rule {
        of_keys(group, state, |key| flags.iter().find(|(name, _)| *name == key).map(|(_, flag)| *flag))
    }

    #[test]
    fn optimizers_are_told_by_their_keys() {
        let adam = ["lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "params"];
        let moments = ["step", "exp_avg", "exp_avg_sq"];
        let rule = |name: &str, coupled| Rule { name: name.into(), coupled };
        assert_eq!(name(&adam, &moments, &[("amsgrad", false)]), rule("adamw", false));
        let decoupled = |decoupled| [("decoupled_weight_decay", decoupled), ("amsgrad", false)];
        assert_eq!(name(&adam, &moments, &decoupled(true)), rule("adamw", false));
        assert_eq!(name(&adam, &moments, &decoupled(false)), rule("adam", true));
        let most = ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
        assert_eq!(name(&adam, &most, &[("amsgrad", true)]), rule("amsgrad", false));
        let radam = ["lr", "betas", "eps", "weight_decay", "decoupled_weight_decay", "params"];
        assert_eq!(name(&radam, &moments, &[("decoupled_weight_decay", false)]), rule("radam", true));
        let nadam = ["lr", "betas", "eps", "weight_decay", "momentum_decay", "params"];
        assert_eq!(name(&nadam, &["mu_product"], &[]), rule("nadam", false));
        let sgd = ["lr", "momentum", "dampening", "weight_decay", "nesterov", "params"];
        assert_eq!(name(&sgd, &["momentum_buffer"], &[]), rule("sgd", false));
        assert_eq!(name(&["lr", "betas", "weight_decay", "params"], &["exp_avg"], &[]), rule("lion", false));
        for (group, state, flags) in [
            (&radam[..4], &moments[..], &[][..]),
            (&adam[..], &["step", "exp_avg", "exp_avg_sq", "z"][..], &[][..]),
            (&adam[..], &moments[..], &[("maximize", true)][..]),
            (&[&adam[..], &["cautious"]].concat()[..], &moments[..], &[][..]),
        ] {
            assert!(name(group, state, flags).name.starts_with("an unknown optimizer"));
        }
    }
}
