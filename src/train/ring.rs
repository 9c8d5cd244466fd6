//! The states before the last few updates, in memory, for the moment the loss jumps: what people need then is the
//! checkpoint before, and nobody knew that it would be.
//!
//! A kill loses them; a resumed run fills the ring again.

use std::collections::VecDeque;

use crate::base::values::Values;

/// A state of training.
#[derive(Debug, Clone)]
pub struct State {
    /// Updates applied.
    pub step: u64,
    /// Loss of the last update's batch.
    pub loss: Option<f64>,
    /// Parameters, flat.
    pub parameters: Values,
    /// Adam's first moment, flat.
    pub exp_avg: Values,
    /// Adam's second moment, flat.
    pub exp_avg_sq: Values,
}

/// A state where training holds it.
#[derive(Debug, Clone, Copy)]
pub struct StateView<'a> {
    /// Updates applied.
    pub step: u64,
    /// Loss of the last update's batch.
    pub loss: Option<f64>,
    /// Parameters, flat.
    pub parameters: &'a Values,
    /// Adam's first moment, flat.
    pub exp_avg: &'a Values,
    /// Adam's second moment, flat.
    pub exp_avg_sq: &'a Values,
}

impl State {
    /// The state as training holds its own.
    pub fn view(&self) -> StateView<'_> {
        let State { step, loss, parameters, exp_avg, exp_avg_sq } = self;
        StateView { step: *step, loss: *loss, parameters, exp_avg, exp_avg_sq }
    }
}

/// The last few states.
#[derive(Debug)]
pub struct Ring {
    states: VecDeque<State>,
    size: usize,
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

    /// Remembers a state in the place of the oldest, whose memory is used again.
    pub fn push(&mut self, state: StateView) {
        if self.size == 0 {
            return;
        }
        if self.states.len() < self.size {
            let StateView { step, loss, parameters, exp_avg, exp_avg_sq } = state;
            let [parameters, exp_avg, exp_avg_sq] = [parameters, exp_avg, exp_avg_sq].map(Values::clone);
            self.states.push_back(State { step, loss, parameters, exp_avg, exp_avg_sq });
        } else if let Some(mut oldest) = self.states.pop_front() {
            (oldest.step, oldest.loss) = (state.step, state.loss);
            let State { parameters, exp_avg, exp_avg_sq, .. } = &mut oldest;
            rayon::join(
                || parameters.copy_from(state.parameters),
                || {
                    rayon::join(
                        || exp_avg.copy_from(state.exp_avg),
                        || exp_avg_sq.copy_from(state.exp_avg_sq),
                    )
                },
            );
            self.states.push_back(oldest);
        }
    }

    /// The states, the oldest first.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.states.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_are_there_with_their_own_numbers() {
        let mut ring = Ring::new(3);
        for step in 0..10 {
            let values = |scale: f64| Values::F64(vec![scale * step as f64; 4]);
            let (p, m, v) = (values(1.0), values(10.0), values(100.0));
            let loss = Some(step as f64);
            ring.push(StateView { step, loss, parameters: &p, exp_avg: &m, exp_avg_sq: &v });
        }
        let numbers: Vec<_> = ring
            .states()
            .map(|s| (s.step, s.loss, s.parameters.get(3), s.exp_avg.get(0), s.exp_avg_sq.get(0)))
            .collect();
        assert_eq!(numbers, [7.0, 8.0, 9.0].map(|t| (t as u64, Some(t), t, 10.0 * t, 100.0 * t)));
    }
}
