//! What one update is, in sums over a parameter tensor.
//!
//! With a the parameters before the update, u its direction (Adam's m̂/(√v̂ + ε)), g the gradient that entered the
//! state, as it was clipped, m the momentum before the update and u′ the direction of the update before: a handful of dot
//! products, from which angles, cosines, norms and moments follow.

use std::ops::AddAssign;

use super::Part;

macro_rules! sums {
    ($($(#[$about:meta])* $name:ident),+ $(,)?) => {
        /// Sums over coordinates; 0 where they are not known: those of the gradient and of the update before from a
        /// checkpoint, those of the second moment where the optimizer has none.
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub struct Sums { $($(#[$about])* pub $name: f64),+ }

        impl Sums {
            /// All of them, in order.
            pub fn to_numbers(&self) -> Vec<f64> {
                vec![$(self.$name),+]
            }

            /// From [`to_numbers`](Self::to_numbers); `None` where there are fewer.
            pub fn from_numbers(numbers: &[f64]) -> Option<Self> {
                let mut numbers = numbers.iter();
                Some(Sums { $($name: *numbers.next()?),+ })
            }
        }

        impl AddAssign for Sums {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}
sums! {
    /// How many.
    n,
    /// a².
    weight_sq,
    /// a u.
    weight_direction,
    /// u².
    direction_sq,
    /// v, after the update.
    second_moment,
    /// v².
    second_moment_sq,
    /// Coordinates with √v̂ < 10 ε.
    at_floor,
    /// Coordinates with |u| > 0.9.
    sign_like,
    /// g².
    gradient_sq,
    /// u g.
    direction_gradient,
    /// m g.
    momentum_gradient,
    /// m².
    momentum_sq,
    /// g²/max(v̂, ε²).
    ratio_sq,
    /// a u′.
    weight_previous,
    /// u u′.
    direction_previous,
    /// u′².
    previous_sq,
    /// Squares of the angles of neurons.
    angle_sq,
    /// Neurons whose angle is defined.
    neurons,
}

/// The sums of each tensor from those of its pieces.
pub(super) fn join(parts: &[Part], pieces: Vec<(usize, Sums)>) -> Vec<(Part, Sums)> {
    let mut joined: Vec<(Part, Sums)> = parts.iter().map(|part| (part.clone(), Sums::default())).collect();
    pieces.into_iter().for_each(|(index, sums)| joined[index].1 += sums);
    joined
}

/// A neuron's sums while its row is read.
#[derive(Default)]
pub(super) struct Row {
    pub read: usize,
    pub weight_sq: f64,
    pub weight_direction: f64,
    pub direction_sq: f64,
}

impl Row {
    /// Adds a row that was read to its end, and the angle of the neuron it is, if it is one: the change is
    /// −(1 − keep) a − step·u, in numbers of precision `epsilon`.
    #[inline(always)]
    pub fn end(&mut self, neuron: bool, keep: f64, step: f64, epsilon: f64, sums: &mut Sums) {
        let change = step * step * self.direction_sq;
        if neuron && has_angle(self.weight_sq, change, epsilon) {
            let wedge = step
                * step
                * (self.weight_sq * self.direction_sq - self.weight_direction * self.weight_direction);
            sums.angle_sq += arc(wedge, keep * self.weight_sq - step * self.weight_direction).powi(2);
            sums.neurons += 1.0;
        }
        sums.weight_sq += self.weight_sq;
        sums.weight_direction += self.weight_direction;
        sums.direction_sq += self.direction_sq;
        *self = Row::default();
    }
}

/// Whether a vector of square `before` that changed by one of square `change` is far enough from zero to
/// have an angle: what it was is rebuilt from a checkpoint to a rounding error of the change, so below
/// 2^14 of these it is not known to 1e-4.
#[inline]
pub(super) fn has_angle(before: f64, change: f64, epsilon: f64) -> bool {
    before > 0.0 && before > (16384.0 * epsilon).powi(2) * change
}

/// atan2(√square of the sine's part, the cosine's part); small angles without the library function.
#[inline]
pub(super) fn arc(sine_square: f64, cosine: f64) -> f64 {
    let sine = sine_square.max(0.0).sqrt();
    let x = sine / cosine;
    if cosine > 0.0 && x < 1e-2 {
        let y = x * x;
        return x * (1.0 - y * (1.0 / 3.0 - y * (0.2 - y / 7.0)));
    }
    sine.atan2(cosine)
}

#[cfg(test)]
mod tests {
    use super::arc;

    #[test]
    fn arcs_are_exact_from_tiny_to_flat() {
        for angle in [1e-12f64, 1e-7, 1e-3, 9.9e-3, 1.01e-2, 0.5, 2.0, 3.1] {
            let found = arc(angle.sin().powi(2), angle.cos());
            assert!((found / angle - 1.0).abs() < 1e-14, "{angle}: {found}");
        }
        assert_eq!(arc(-1e-30, 1.0), 0.0);
    }
}
