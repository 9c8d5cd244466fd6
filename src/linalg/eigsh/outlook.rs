//! Whether a search will settle, from the rate at which its residuals fall.

/// How the worst residual of the pairs sought has fallen.
pub struct Outlook {
    /// Products allowed.
    allowed: usize,
    /// (products, ln of the worst residual over its tolerance).
    seen: Vec<(f64, f64)>,
    said: bool,
}

/// Before this share of the products nothing is foretold: residuals fall late and then at once.
const EARLY: f64 = 0.25;
/// A search is foretold to fail where it needs this many times what it may spend.
const HOPELESS: f64 = 1.5;

impl Outlook {
    /// Nothing seen yet of a search that may spend so many products.
    pub fn new(allowed: usize) -> Self {
        Outlook { allowed, seen: Vec::new(), said: false }
    }

    /// Products at which the worst residual will meet its tolerance, by the last half of the way; `None` where it does
    /// not fall, or too little was seen.
    pub fn projected(&self) -> Option<f64> {
        let &(now, left) = self.seen.last()?;
        let late: Vec<_> = self.seen.iter().filter(|(spent, _)| *spent >= now / 2.0).collect();
        let n = late.len() as f64;
        let mean = |f: &dyn Fn(&(f64, f64)) -> f64| late.iter().map(|p| f(p)).sum::<f64>() / n;
        let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
        let slope = mean(&|p| (p.0 - x) * (p.1 - y)) / mean(&|p| (p.0 - x).powi(2));
        (late.len() >= 3 && slope < 0.0).then(|| now + left.max(0.0) / -slope)
    }

    /// Takes in the worst ratio of a residual to its tolerance after so many products, `open` of `wanted` pairs being
    /// above theirs; returns a sentence, once, where the search will not settle within its products.
    pub fn after(&mut self, spent: usize, worst: f64, open: usize, wanted: usize) -> Option<String> {
        if !worst.is_finite() || worst <= 0.0 {
            return None;
        }
        self.seen.push((spent as f64, worst.ln()));
        let early = (spent as f64) < EARLY * self.allowed as f64 || self.seen.len() < 8;
        if self.said || early || open == 0 {
            return None;
        }
        let projected = self.projected();
        if projected.is_some_and(|projected| projected <= HOPELESS * self.allowed as f64) {
            return None;
        }
        self.said = true;
        let rate = match projected {
            Some(products) if products < 1e7 => {
                format!("at the rate its residuals fall it needs about {products:.0}")
            }
            _ => "its residuals do not fall".to_string(),
        };
        Some(format!(
            "this search is not going to settle within {} products: after {spent} of them {open} of {wanted} pairs are \
             open and {rate} (raise the tolerance, allow more products, or ask for fewer eigenvalues)",
            self.allowed
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_fall_is_projected_to_its_end() {
        let mut outlook = Outlook::new(100);
        let note = (1..=40).find_map(|spent| outlook.after(spent, (10.0 - 0.1 * spent as f64).exp(), 1, 6));
        assert_eq!(note, None);
        assert!((outlook.projected().expect("falls") - 100.0).abs() < 1e-6);
    }

    #[test]
    fn what_does_not_fall_fast_enough_is_said_once_and_early() {
        for fall in [0.0, 0.01] {
            let mut outlook = Outlook::new(100);
            let said: Vec<usize> = (1..=90)
                .filter(|&spent| outlook.after(spent, (10.0 - fall * spent as f64).exp(), 1, 6).is_some())
                .collect();
            assert_eq!(said, [25], "{fall}");
        }
    }
}
