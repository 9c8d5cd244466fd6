//! Estimates with their errors, and what theory expects of Adam.

pub mod histogram;
pub mod interval;
pub mod momentum;
pub mod radam;

pub mod entropy;
pub mod noise;
pub mod quantile;

use statrs::distribution::{ContinuousCDF, StudentsT};

/// (mean, its standard error) of independent samples; `None` for fewer than two.
pub fn mean_and_error(samples: &[f64]) -> Option<(f64, f64)> {
    let n = samples.len() as f64;
    if samples.len() < 2 {
        return None;
    }
    let mean = samples.iter().sum::<f64>() / n;
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some((mean, (variance / n).sqrt()))
}

/// Half the width of the interval that covers the mean of `n` normal samples with probability `level`, in
/// standard errors: Student's t with n−1 degrees of freedom.
///
/// # Panics
/// For n < 2 or a level outside (0, 1): a caller's mistake.
pub fn student_factor(n: usize, level: f64) -> f64 {
    let t = StudentsT::new(0.0, 1.0, (n - 1) as f64).expect("at least two samples");
    t.inverse_cdf(0.5 + level / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_errors_and_intervals_are_the_textbooks() {
        let (mean, error) = mean_and_error(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).expect("eight");
        assert_eq!(mean, 5.0);
        assert!((error - (32.0f64 / 7.0 / 8.0).sqrt()).abs() < 1e-15);
        assert_eq!(mean_and_error(&[1.0]), None);
        // tables of Student's t: 2.776 for 4 degrees of freedom, 1.960 for many
        assert!((student_factor(5, 0.95) - 2.776_445).abs() < 1e-5);
        assert!((student_factor(100_000, 0.95) - 1.959_99).abs() < 1e-3);
    }
}
