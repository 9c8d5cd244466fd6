//! The states before the last few updates, in memory, for the moment the loss jumps: what people need then is the
//! checkpoint before, and nobody knew that it would be. The newest is the state that the next snapshot is of.
//!
//! A kill loses them; a resumed run fills the ring again.

use std::collections::VecDeque;
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::values::Values;
use crate::optim::State;
use crate::run::Checkpoint;

/// The last few states.
#[derive(Debug)]
pub struct Ring {
    states: VecDeque<Arc<Checkpoint>>,
    size: usize,
}

/// The flat vectors of a state, where training holds them.
#[derive(Debug, Clone)]
pub struct Held<'a> {
    /// The parameters.
    pub parameters: &'a Values,
    /// The optimizer's.
    pub state: State<'a>,
}

impl Ring {
    /// A ring of `size` states.
    pub fn new(size: usize) -> Self {
        Ring { states: VecDeque::with_capacity(size), size }
    }

    /// How many states it holds when it is full.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Remembers a state, `about` it and the vectors of `held`, in the place of the oldest, whose memory is used again.
    pub fn push(&mut self, about: Checkpoint, held: Held) -> Arc<Checkpoint> {
        let oldest = if self.states.len() == self.size { self.states.pop_front() } else { None };
        let state = Arc::new(filled(about, held, oldest.and_then(Arc::into_inner)));
        if self.size > 0 {
            self.states.push_back(state.clone());
        }
        state
    }

    /// The states, the oldest first.
    pub fn states(&self) -> impl Iterator<Item = &Checkpoint> {
        self.states.iter().map(Arc::as_ref)
    }
}

/// A state with copies of the vectors of `held`, in the memory of an `old` one where there is one.
pub fn filled(mut about: Checkpoint, held: Held, old: Option<Checkpoint>) -> Checkpoint {
    let mut old = old.map(|old| (old.parameters, old.optimizer.map(|o| o.vectors).unwrap_or_default()));
    let mut pairs: Vec<(&str, &Values, Option<Values>)> = vec![("", held.parameters, None)];
    pairs.extend(held.state.iter().map(|(name, values)| (*name, *values, None)));
    if let Some((parameters, vectors)) = old.take() {
        let mut vectors = vectors;
        for (name, _, memory) in pairs.iter_mut().skip(1) {
            *memory = vectors.remove(*name);
        }
        pairs[0].2 = Some(parameters);
    }
    let copied = pairs.into_par_iter().map(|(name, values, memory)| match memory {
        Some(mut memory) if memory.len() == values.len() => {
            memory.copy_from(values);
            (name, memory)
        }
        _ => (name, values.clone()),
    });
    let mut copied: Vec<(&str, Values)> = copied.collect();
    let vectors = copied.split_off(1).into_iter().map(|(name, values)| (name.to_string(), values)).collect();
    about.parameters = copied.remove(0).1;
    if let Some(optimizer) = &mut about.optimizer {
        optimizer.vectors = vectors;
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::GptConfig;
    use crate::run::OptimizerState;

    #[test]
    fn the_last_few_are_there_with_their_own_numbers() {
        let mut ring = Ring::new(3);
        let config: GptConfig = serde_json::from_str(
            r#"{"n_layer": 1, "n_head": 1, "n_embd": 2, "block_size": 1, "vocab_size": 2, "bias": false}"#,
        )
        .expect("valid");
        let about = |step: u64| Checkpoint {
            path: "".into(),
            run: "r".into(),
            format: "native",
            step,
            config: config.clone(),
            parameters: Values::F64(vec![]),
            optimizer: Some(OptimizerState::default()),
            next_grad_norm: None,
            without_optimizer: None,
            loss: Some(step as f64),
            seed: None,
            notes: vec![],
            sha256: String::new(),
        };
        for step in 0..10 {
            let values = |scale: f64| Values::F64(vec![scale * step as f64; 4]);
            let (p, m, v) = (values(1.0), values(10.0), values(100.0));
            let held = Held { parameters: &p, state: [("exp_avg", &m), ("exp_avg_sq", &v)].into() };
            let state = ring.push(about(step), held);
            assert_eq!(state.step, step);
        }
        let moment = |o: &OptimizerState, name: &str| o.vector(name).expect("filled").get(0);
        let numbers: Vec<_> = ring
            .states()
            .map(|s| {
                let o = s.optimizer.as_ref().expect("there");
                (s.step, s.loss, s.parameters.get(3), moment(o, "exp_avg"), moment(o, "exp_avg_sq"))
            })
            .collect();
        assert_eq!(numbers, [7.0, 8.0, 9.0].map(|t| (t as u64, Some(t), t, 10.0 * t, 100.0 * t)));
        // what is looked at is not written over
        let mut one = Ring::new(1);
        let (a, b) = (Values::F64(vec![1.0]), Values::F64(vec![2.0]));
        let first = one.push(about(0), Held { parameters: &a, state: [("exp_avg", &a)].into() });
        let second = one.push(about(1), Held { parameters: &b, state: [("exp_avg", &b)].into() });
        assert_eq!((first.parameters.get(0), second.parameters.get(0)), (1.0, 2.0));
    }
}
