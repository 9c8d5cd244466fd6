//! nanoGPT's names of tensors, in the orders optimizers keep them in.

use crate::architecture::{GptConfig, Parameter, Role};

/// The parameters of each group of an optimizer, in order.
pub struct Layout {
    /// Whose it is, where that is not nanoGPT's of today.
    pub note: Option<&'static str>,
    /// Names of each group.
    pub groups: Vec<Vec<String>>,
}

/// The layouts nanoGPT and its forks have had. Groups differ in size from one to the next, so that their
/// sizes tell which it is.
pub fn layouts(config: &GptConfig) -> Vec<Layout> {
    let list = config.parameters_by_layer();
    let names = |wanted: &dyn Fn(&Parameter) -> bool| -> Vec<String> {
        list.iter().filter(|p| wanted(p)).map(|p| p.name.clone()).collect()
    };
    let is_embedding = |p: &Parameter| [Role::TokenEmbedding, Role::PositionEmbedding].contains(&p.role);
    let is_linear = |p: &Parameter| p.is_matrix() && !is_embedding(p);
    let (mut linear, mut rest) = (names(&is_linear), names(&|p| !is_linear(p)));
    linear.sort();
    rest.sort();
    vec![
        Layout { note: None, groups: vec![names(&Parameter::is_matrix), names(&|p| !p.is_matrix())] },
        Layout {
            note: Some(
                "the optimizer has the order of nanoGPT before May 2023; models of that time had the tanh \
                 approximation of GELU, which a .pt file does not tell: the exact one is taken",
            ),
            groups: vec![linear, rest],
        },
        Layout {
            note: Some("the optimizer has one group, read in the order of the model's parameters"),
            groups: vec![names(&|_| true)],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_nanogpts_sizes() {
        for (bias, tied, now, old) in [
            (true, true, (14, 26), (12, 28)),
            (false, true, (14, 7), (12, 9)),
            (true, false, (15, 26), (13, 28)),
        ] {
            let config: GptConfig = serde_json::from_str(&format!(
                r#"{{"n_layer": 3, "n_head": 1, "n_embd": 2, "block_size": 2, "vocab_size": 3, "bias": {bias},
                    "tied_lm_head": {tied}}}"#
            ))
            .expect("valid");
            let layouts = layouts(&config);
            let sizes = |i: usize| (layouts[i].groups[0].len(), layouts[i].groups[1].len());
            assert_eq!((sizes(0), sizes(1)), (now, old));
            let mut all: Vec<String> = layouts[1].groups.concat();
            all.sort();
            assert!(all.iter().eq(config.parameters().iter().map(|p| &p.name)));
        }
    }
}
