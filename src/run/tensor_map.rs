//! Which tensors of a file each parameter is made of, and how: one as it is, one transposed, the rows of several one
//! after the other, some rows of one. What is true of a parameter is true of its moments, so one map serves both.
//!
//! Every name, type and shape is verified before anything is allocated; numbers that are not finite are refused where
//! they lie.

use std::collections::HashSet;

use super::piece::{Piece, fill};
use super::tensors::{Stored, TensorFile};
use crate::architecture::{GptConfig, Parameter};
use crate::base::error::{Error, Result};
use crate::base::values::{DType, Values};

/// The pieces of every parameter.
#[derive(Debug, Clone)]
pub struct TensorMap {
    entries: Vec<(Parameter, Vec<Piece>)>,
}

impl TensorMap {
    /// Every parameter from the tensor of its own name and shape.
    pub fn of(config: &GptConfig) -> Self {
        let own = |p: Parameter| {
            let piece = Piece::whole(&p.name, &p.shape);
            (p, vec![piece])
        };
        TensorMap { entries: config.parameters().into_iter().map(own).collect() }
    }

    /// The same map onto tensors of other names: those of moments, or the other name of a tied matrix.
    pub fn renamed(mut self, name: impl Fn(&str) -> String) -> Self {
        for piece in self.entries.iter_mut().flat_map(|(_, pieces)| pieces) {
            piece.rename(&name);
        }
        self
    }

    /// Makes a parameter of other pieces, their rows one after the other.
    pub fn with(mut self, parameter: &str, pieces: Vec<Piece>) -> Self {
        for (_, old) in self.entries.iter_mut().filter(|(p, _)| p.name == parameter) {
            old.clone_from(&pieces);
        }
        self
    }

    /// A tensor of the file that no parameter is made of.
    pub fn stranger<'a>(&self, file: &'a dyn TensorFile) -> Option<&'a str> {
        let known: HashSet<&str> =
            self.entries.iter().flat_map(|(_, pieces)| pieces).map(Piece::tensor).collect();
        file.names().into_iter().find(|name| !known.contains(name))
    }

    /// The flat vector of all parameters.
    ///
    /// # Errors
    /// Naming the first tensor that is missing, misshapen, of another type, or not finite.
    pub fn read(&self, file: &dyn TensorFile, dtype: DType) -> Result<Values> {
        self.check(file)?;
        let mut flat = Values::zeros(self.entries.last().map_or(0, |(p, _)| p.range().end), dtype);
        for (parameter, pieces) in &self.entries {
            match &mut flat {
                Values::F32(v) => fill(file, pieces, &mut v[parameter.range()], |x| x as f32)?,
                Values::F64(v) => fill(file, pieces, &mut v[parameter.range()], |x| x)?,
            }
        }
        Ok(flat)
    }

    /// Finds what [`read`](Self::read) would find wrong, with one tensor in memory at a time.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn verify(&self, file: &dyn TensorFile, dtype: DType) -> Result<()> {
        self.check(file)?;
        self.entries.iter().try_for_each(|(parameter, pieces)| match dtype {
            DType::F32 => fill(file, pieces, &mut vec![0.0; parameter.len()], |x| x as f32),
            DType::F64 => fill(file, pieces, &mut vec![0.0; parameter.len()], |x| x),
        })
    }

    /// How many parameters it has.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// How the file stores the pieces of the parameter `at`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn stored(&self, file: &dyn TensorFile, at: usize) -> Result<Vec<Stored>> {
        self.entries[at].1.iter().map(|piece| piece.stored(file)).collect()
    }

    /// The numbers of the parameter `at` alone.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn numbers(&self, file: &dyn TensorFile, at: usize) -> Result<Vec<f64>> {
        let (parameter, pieces) = &self.entries[at];
        let mut numbers = vec![0.0; parameter.len()];
        fill(file, pieces, &mut numbers, |x| x)?;
        Ok(numbers)
    }

    /// Verifies names, types, shapes and sizes.
    fn check(&self, file: &dyn TensorFile) -> Result<()> {
        let (mut claimed, mut seen) = (0u64, HashSet::new());
        for (parameter, pieces) in &self.entries {
            for piece in pieces {
                let kind = piece.stored(file)?;
                let count = piece.total();
                if seen.insert(piece.tensor()) {
                    claimed = claimed.saturating_add((count as u64).saturating_mul(kind.size() as u64));
                }
            }
            let count = pieces.iter().map(Piece::count).sum::<usize>();
            if count != parameter.len() || !pieces.iter().all(Piece::fits) {
                let problem = format!("cannot be made of the {count} numbers that its pieces have");
                return Err(Error::tensor(file.path(), &parameter.name, problem));
            }
        }
        // a compressed archive may hold somewhat more than its size; what claims far more was made to
        if claimed > 2 * file.size() + (8 << 20) {
            let problem =
                format!("claims {claimed} bytes of tensors in a file of {}; it is damaged", file.size());
            return Err(Error::file(file.path(), problem));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype as Kind, TensorView};

    use super::*;
    use crate::run::safetensors::SafeFile;

    fn config() -> GptConfig {
        serde_json::from_str(
            r#"{"n_layer": 1, "n_head": 1, "n_embd": 2, "block_size": 1, "vocab_size": 3, "bias": false}"#,
        )
        .expect("valid")
    }

    /// A file of f32 tensors whose numbers count on from `first`.
    fn file(folder: &tempfile::TempDir, tensors: &[(&str, &[usize], f32)]) -> SafeFile {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, shape, first)| {
                let count = shape.iter().product::<usize>();
                (0..count).flat_map(|i| (first + i as f32).to_le_bytes()).collect()
            })
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (name.to_string(), TensorView::new(Kind::F32, shape.to_vec(), bytes).expect("fits"))
        });
        let path = folder.path().join("made.safetensors");
        std::fs::write(&path, safetensors::serialize(views, None).expect("valid")).expect("writable");
        SafeFile::open(&path).expect("valid")
    }

    /// The map of a model of which one parameter alone is looked at.
    fn only(parameter: &str, pieces: Vec<Piece>) -> TensorMap {
        let mut map = TensorMap::of(&config()).with(parameter, pieces);
        map.entries.retain(|(p, _)| p.name == parameter);
        map.entries.iter_mut().for_each(|(p, _)| p.offset = 0);
        map
    }

    fn numbers(map: &TensorMap, file: &SafeFile) -> Vec<f64> {
        map.verify(file, DType::F32).expect("as it should be");
        let read = map.read(file, DType::F64).expect("as it should be").to_f64();
        assert_eq!(map.numbers(file, 0).expect("as it should be"), read);
        read
    }

    #[test]
    fn a_matrix_is_transposed_by_the_map_even_where_it_is_square() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = file(&folder, &[("c_fc", &[2, 8], 0.0), ("c_proj", &[2, 2], 1.0)]);
        let fc = only("transformer.h.0.mlp.c_fc.weight", vec![Piece::whole("c_fc", &[2, 8]).transposed()]);
        let expected: Vec<f64> = (0..8).flat_map(|i| [f64::from(i), f64::from(8 + i)]).collect();
        assert_eq!(numbers(&fc, &file), expected);
        let proj = "transformer.h.0.attn.c_proj.weight";
        let turned = only(proj, vec![Piece::whole("c_proj", &[2, 2]).transposed()]);
        assert_eq!(numbers(&turned, &file), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(numbers(&only(proj, vec![Piece::whole("c_proj", &[2, 2])]), &file), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn rows_of_several_tensors_are_joined_and_those_of_one_are_split() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = file(
            &folder,
            &[("q", &[2, 2], 0.0), ("k", &[2, 2], 10.0), ("v", &[2, 2], 20.0), ("w", &[5, 2], 0.0)],
        );
        let joined = ["q", "k", "v"].map(|name| Piece::whole(name, &[2, 2]));
        let map = only("transformer.h.0.attn.c_attn.weight", joined.to_vec());
        assert_eq!(
            numbers(&map, &file),
            [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0, 20.0, 21.0, 22.0, 23.0]
        );
        // transposed each, as a library of columns would have them
        let turned = joined.map(Piece::transposed).to_vec();
        let map = only("transformer.h.0.attn.c_attn.weight", turned);
        assert_eq!(
            numbers(&map, &file),
            [0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0, 20.0, 22.0, 21.0, 23.0]
        );
        // rows that fill the vocabulary up are no parameters
        let padded = only("transformer.wte.weight", vec![Piece::whole("w", &[5, 2]).rows(0..3)]);
        assert_eq!(numbers(&padded, &file), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let column =
            only("transformer.ln_f.weight", vec![Piece::whole("k", &[2, 2]).transposed().rows(1..2)]);
        assert_eq!(numbers(&column, &file), [11.0, 13.0]);
    }

    #[test]
    fn moments_are_read_by_the_map_of_the_weights() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = file(&folder, &[("exp_avg.q", &[2, 2], 5.0)]);
        let proj = "transformer.h.0.attn.c_proj.weight";
        let map = only(proj, vec![Piece::whole("q", &[2, 2]).transposed()]);
        assert_eq!(
            numbers(&map.clone().renamed(|name| format!("exp_avg.{name}")), &file),
            [5.0, 7.0, 6.0, 8.0]
        );
        assert_eq!(map.stranger(&file), Some("exp_avg.q"));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_the_files_own_name_and_place() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = file(&folder, &[("q", &[2, 2], f32::MAX), ("w", &[4, 2], f32::INFINITY)]);
        let proj = "transformer.h.0.attn.c_proj.weight";
        let refusal = |pieces: Vec<Piece>| {
            let map = only(proj, pieces);
            let error = map.read(&file, DType::F32).expect_err("does not fit").to_string();
            assert_eq!(map.verify(&file, DType::F32).expect_err("does not fit").to_string(), error);
            error
        };
        for (pieces, words) in [
            (vec![Piece::whole("p", &[2, 2])], "`p` is missing"),
            (
                vec![Piece::whole("q", &[2, 3]).transposed()],
                "`q` has shape [2, 2]; the configuration asks for [2, 3]",
            ),
            (vec![Piece::whole("q", &[2, 2]).rows(0..1)], "cannot be made of the 2 numbers"),
            (vec![Piece::whole("q", &[2, 2]).rows(1..3)], "cannot be made of the 4 numbers"),
            (vec![Piece::whole("w", &[4, 2]).transposed().rows(0..1)], "`w` holds inf at [0, 0]: 4 of its"),
            (vec![Piece::whole("w", &[4, 2]).transposed().rows(1..2)], "`w` holds inf at [0, 1]: 4 of its"),
        ] {
            let error = refusal(pieces);
            assert!(error.contains(words), "{error}");
        }
    }
}
