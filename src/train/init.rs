//! nanoGPT's initialisation.

use rand_distr::{Distribution, StandardNormal};

use crate::architecture::GptConfig;
use crate::base::random;
use crate::base::values::{DType, Values};

/// Matrices from N(0, 0.02²), the output projections of each block from N(0, (0.02/√(2L))²), norms at one,
/// biases at zero; one random stream per parameter, so that a variant of the model shares the rest.
pub fn initial_parameters(config: &GptConfig, seed: u64, dtype: DType) -> Values {
    let mut flat = vec![0.0f64; config.num_parameters()];
    for parameter in config.parameters() {
        let part = &mut flat[parameter.range()];
        if parameter.shape.len() >= 2 {
            let projection = parameter.name.ends_with("c_proj.weight");
            let sd = if projection { 0.02 / (2.0 * config.n_layer as f64).sqrt() } else { 0.02 };
            let stream = &mut random::stream(seed, 0, &format!("init/{}", parameter.name));
            for x in part {
                let z: f64 = StandardNormal.sample(stream);
                *x = sd * z;
            }
        } else if parameter.name.ends_with(".weight") {
            part.fill(1.0);
        }
    }
    Values::F64(flat).cast(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_deviations_are_nanogpts() {
        let config: GptConfig = serde_json::from_str(
            r#"{"n_layer": 2, "n_head": 2, "n_embd": 64, "block_size": 16, "vocab_size": 65, "bias": true}"#,
        )
        .expect("valid");
        let flat = initial_parameters(&config, 1, DType::F64).to_f64();
        for p in config.parameters() {
            let part = &flat[p.range()];
            let rms = (part.iter().map(|x| x * x).sum::<f64>() / part.len() as f64).sqrt();
            let expected = match p.name.as_str() {
                name if name.ends_with("c_proj.weight") => 0.01,
                name if p.shape.len() == 2 && !name.is_empty() => 0.02,
                name if name.ends_with("bias") => 0.0,
                _ => 1.0,
            };
            // four standard errors of a root mean square over k numbers: 4/√(2k)
            assert!(
                (rms - expected).abs() <= expected * 4.0 / (2.0 * part.len() as f64).sqrt(),
                "{}",
                p.name
            );
        }
    }
}
