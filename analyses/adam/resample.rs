//! The variance of Adam's adaptive rate by resampling.
//!
//! The weights are frozen. Each of R streams is as many batches as updates were applied, each batch as many
//! sequences as the measured one, drawn from it with replacement; v̂ of a stream gives ψ = 1/√v̂ per
//! coordinate. σ² is the mean square of all gradients of a coordinate; the variance of σψ over streams is
//! averaged over coordinates that have a gradient.

use rand::RngExt;
use rayon::prelude::*;

use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::base::random;
use crate::base::row::Row;
use crate::snapshot::Snapshot;
use crate::stats::interval;

/// Coordinates worked on at a time.
const CUT: usize = 1024;

/// The rows of `streams` ≥ 2 streams of as many batches as Adam has made updates.
///
/// # Errors
/// Where the sequences' gradients do not fit the memory, or the batch not the model.
pub fn rows(
    snapshot: &Snapshot,
    beta2: f64,
    updates: u64,
    streams: usize,
    observer: &dyn Observer,
) -> Result<Vec<Row>> {
    let (batch, n) = (snapshot.measured_on()?, snapshot.config().num_parameters());
    let (sequences, updates) = (batch.batch_size(), updates as usize);
    let needed = (sequences * n * 8) as u64;
    if needed > snapshot.settings().memory {
        return Err(Error::usage_hint(
            format!("--resample keeps {sequences} gradients of {n} numbers, more than --memory allows"),
            "use a smaller --batch-size, or more --memory",
        ));
    }
    let gpt = snapshot.gpt()?;
    let mut gradients = Vec::with_capacity(sequences);
    for (i, sequence) in batch.micro_batches(1).iter().enumerate() {
        observer.check()?;
        observer.progress(i as u64, sequences as u64, "gradients of single sequences");
        gradients.push(gpt.gradient(sequence, 1)?.1.to_f64());
    }
    let mut random = random::stream(snapshot.settings().seed, snapshot.step(), "adam/resample");
    let draws: Vec<u32> =
        (0..streams * updates * sequences).map(|_| random.random_range(0..sequences as u32)).collect();
    let starts: Vec<usize> = (0..n).step_by(CUT).collect();
    let each: Vec<(Vec<f64>, u64)> = starts
        .into_par_iter()
        .map(|start| deviations(&gradients, start..n.min(start + CUT), &draws, streams, updates, beta2))
        .collect();
    let mut squares = vec![0.0; streams];
    let mut coordinates = 0;
    for (part, counted) in each {
        squares.iter_mut().zip(part).for_each(|(all, part)| *all += part);
        coordinates += counted;
    }
    if coordinates == 0 {
        return Ok(vec![]);
    }
    let r = streams as f64;
    // unbiased: each stream's mean squared deviation, over R−1
    let scaled: Vec<f64> = squares.iter().map(|s| s / coordinates as f64 * r / (r - 1.0)).collect();
    let Some((mean, half_width)) = interval::of_positive_mean(&scaled) else { return Ok(vec![]) };
    Ok(vec![Row::new("adam/var_psi", mean).uncertainty(half_width).n(streams as u64)])
}

/// (Σ over coordinates of the squared deviation of σψ from its mean over streams, for each stream; the
/// coordinates counted).
fn deviations(
    gradients: &[Vec<f64>],
    range: std::ops::Range<usize>,
    draws: &[u32],
    streams: usize,
    updates: usize,
    beta2: f64,
) -> (Vec<f64>, u64) {
    let (sequences, len) = (gradients.len(), range.len());
    let mut v = vec![vec![0.0; len]; streams];
    let mut square = vec![0.0; len];
    let mut g = vec![0.0; len];
    for (stream, v) in v.iter_mut().enumerate() {
        for update in 0..updates {
            let drawn = &draws[(stream * updates + update) * sequences..][..sequences];
            g.fill(0.0);
            for &sequence in drawn {
                let from = &gradients[sequence as usize][range.clone()];
                g.iter_mut().zip(from).for_each(|(g, x)| *g += x);
            }
            for ((v, g), square) in v.iter_mut().zip(&g).zip(&mut square) {
                let g2 = (g / sequences as f64).powi(2);
                *v = beta2 * *v + (1.0 - beta2) * g2;
                *square += g2;
            }
        }
    }
    let correction = 1.0 - beta2.powf(updates as f64);
    let mut found = vec![0.0; streams];
    let mut counted = 0;
    for i in 0..len {
        let sigma = (square[i] / (streams * updates) as f64).sqrt();
        let psi: Vec<f64> = v.iter().map(|v| sigma / (v[i] / correction).sqrt()).collect();
        if sigma > 0.0 && psi.iter().all(|x| x.is_finite()) {
            let mean = psi.iter().sum::<f64>() / streams as f64;
            found.iter_mut().zip(&psi).for_each(|(found, x)| *found += (x - mean).powi(2));
            counted += 1;
        }
    }
    (found, counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::radam;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn gradients_without_a_mean_vary_the_rate_as_radam_says() {
        let random = &mut random::stream(3, 0, "resample");
        let (sequences, n, streams) = (64, 400, 60);
        let mut gradients: Vec<Vec<f64>> = (0..sequences)
            .map(|_| (0..n).map(|_| StandardNormal.sample(random)).collect::<Vec<f64>>())
            .collect();
        for i in 0..n {
            let mean = gradients.iter().map(|g| g[i]).sum::<f64>() / sequences as f64;
            gradients.iter_mut().for_each(|g| g[i] -= mean);
        }
        // beside theory, whose average is a simple one, the variance of 100,000 exponential averages
        for (beta2, updates, simulated) in [(0.99, 20, 0.0305), (0.999, 8, 0.1066)] {
            let draws: Vec<u32> = (0..streams * updates * sequences)
                .map(|_| random.random_range(0..sequences as u32))
                .collect();
            let (squares, counted) = deviations(&gradients, 0..n, &draws, streams, updates, beta2);
            assert_eq!(counted, n as u64);
            let variance = squares.iter().sum::<f64>() / n as f64 / (streams as f64 - 1.0);
            let theory = radam::variance_of_rate(radam::rho(beta2, updates as u64).0).expect("finite");
            assert!((variance / theory - 1.0).abs() < 0.1, "{beta2}: {variance} {theory}");
            assert!((variance / simulated - 1.0).abs() < 0.08, "{beta2}: {variance} {simulated}");
        }
    }
}
