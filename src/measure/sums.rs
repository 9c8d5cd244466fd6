//! The sums that an update left, as named vectors: a resumed run measures the snapshot of its checkpoint with those of
//! the update that led there, to the same bits as if it had not been cut. They are few, and those of every checkpoint
//! stay.

use std::collections::BTreeMap;

use crate::base::values::Values;
use crate::base::vectors::Vectors;
use crate::optim::{Part, Sums, UpdateStatistics};

/// The name of the numbers that are not a tensor's; no parameter is called so.
const UPDATE: &str = "update";

fn numbers(values: Vec<f64>) -> Vectors {
    let n = values.len();
    Vectors::new(Values::F64(values), n)
}

/// By the names of the tensors, whose order is theirs.
pub fn state(update: &UpdateStatistics) -> BTreeMap<String, Vectors> {
    let UpdateStatistics { step, lr, last_lr, clip, decay, with_gradient, epsilon, parts } = update;
    let with_gradient = f64::from(u8::from(*with_gradient));
    let whole = vec![*step as f64, *lr, *last_lr, *clip, *decay, with_gradient, *epsilon];
    let tensor = |(part, sums): &(Part, Sums)| {
        let layer = part.layer.map_or(-1.0, f64::from);
        let place = [part.start, part.rows, part.columns].map(|x| x as f64);
        let own = [layer, f64::from(u8::from(part.matrix)), part.rate, part.decay];
        (part.name.to_string(), numbers([&place[..], &own, &sums.to_numbers()].concat()))
    };
    std::iter::once((UPDATE.to_string(), numbers(whole))).chain(parts.iter().map(tensor)).collect()
}

/// The update of a [`state`]; `None` where it is none.
pub fn read(mut state: BTreeMap<String, Vectors>) -> Option<UpdateStatistics> {
    let whole = state.remove(UPDATE)?.row(0);
    let [step, lr, last_lr, clip, decay, with_gradient, epsilon] = whole[..] else {
        return None;
    };
    let tensor = |(name, numbers): (String, Vectors)| {
        let numbers = numbers.row(0);
        let (own, sums) = numbers.split_at_checked(7)?;
        let [start, rows, columns, layer, matrix, rate, decay] = own[..] else { return None };
        let part = Part {
            name: name.into(),
            layer: (layer >= 0.0).then_some(layer as u32),
            start: start as usize,
            rows: rows as usize,
            columns: columns as usize,
            matrix: matrix == 1.0,
            rate,
            decay,
        };
        Some((part, Sums::from_numbers(sums)?))
    };
    Some(UpdateStatistics {
        step: step as u64,
        lr,
        last_lr,
        clip,
        decay,
        with_gradient: with_gradient == 1.0,
        epsilon,
        parts: state.into_iter().map(tensor).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_to_the_bit() {
        let part = |name: &str, start: usize, layer, matrix| Part {
            name: name.into(),
            layer,
            start,
            rows: 2,
            columns: 3,
            matrix,
            rate: 0.7,
            decay: 1.0 / 3.0,
        };
        let sums = |x: f64| Sums { n: 6.0, direction_sq: x, angle_sq: 1e-300 * x, ..Sums::default() };
        let update = UpdateStatistics {
            step: 12,
            lr: 1e-3 / 3.0,
            last_lr: 0.1,
            clip: 1.0 / 7.0,
            decay: 0.1,
            with_gradient: true,
            epsilon: f64::EPSILON,
            parts: vec![
                (part("lm_head.weight", 0, None, true), sums(0.1)),
                (part("transformer.h.0.ln_1.bias", 6, Some(0), false), sums(1.0 / 3.0)),
            ],
        };
        let back = read(state(&update)).expect("read");
        assert_eq!(back.parts, update.parts);
        let scalars =
            |u: &UpdateStatistics| (u.step, u.lr, u.last_lr, u.clip, u.decay, u.with_gradient, u.epsilon);
        assert_eq!(scalars(&back), scalars(&update));
        assert!(read(BTreeMap::new()).is_none());
        let mut cut = state(&update);
        cut.insert("lm_head.weight".into(), numbers(vec![1.0, 2.0]));
        assert!(read(cut).is_none());
    }
}
