//! Whether a list of extreme eigenvalues skips one, and how sure that is.
//!
//! **How.** Lanczos from a random vector orthogonal to what was found, without a basis: two vectors suffice, since only
//! whether *any* Ritz value lies beyond the last one found is asked, and copies do no harm. T − b I has a positive
//! pivot exactly if a Ritz value lies above b, so no eigenvalue is ever computed.
//!
//! **How sure.** Of an eigenvalue λ* beyond the last one reported, L, with γ = (λ* − L)/(L − λmin), a random vector has
//! the share |z|/√n, z normal, and m products show it if e^((m−½) acosh(1+2γ)) > 2√n/|z| (the polynomial of degree m−1
//! that is largest at λ* while (L − x)p(x)² is bounded over the others is Chebyshev's of the fourth kind). |z| < 0.0125
//! has probability 1%: so ½ + ln(160√n)/acosh(1+2γ) products see it in 99 cases of 100. What is nearer to L than that
//! may be missed more often. For the smallest eigenvalues all of this is mirrored.
//!
//! **References.** Kuczyński and Woźniakowski 1992, SIAM J. Matrix Anal. Appl. 13 (Lanczos from a random start); Parlett
//! 1998, The Symmetric Eigenvalue Problem, sections 3.3 (pivots count eigenvalues) and 13.8 (misconvergence).

mod gap;
mod look;

pub use gap::{gamma, least, products, shown};
pub use look::{Look, look};

/// What is known about eigenvalues that a list may skip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Completeness {
    /// The list was made from the whole spectrum.
    Whole,
    /// So many products saw nothing beyond; one with a larger γ would have been seen with 99% probability.
    Checked {
        /// Of the check.
        products: usize,
        /// What the gap that the search saw asks for: more than these where no more were left.
        asked: usize,
        /// (missed − last reported)/(last reported − λmin).
        gamma: f64,
    },
    /// Something lies beyond, and the products ran out before it was found.
    Missing,
    /// The check takes so many products at the least, and so many were left: it was not made.
    Unmade {
        /// What the check takes.
        asked: usize,
        /// What was left for it.
        left: usize,
    },
    /// No pair is converged: there is nothing to check.
    Unsettled,
    /// The check was not asked for.
    Unasked,
}

impl Completeness {
    /// Whether a list may skip an eigenvalue against what was asked.
    pub fn doubtful(self) -> bool {
        matches!(self, Completeness::Missing | Completeness::Unmade { .. })
    }

    /// In words.
    pub fn describe(self) -> String {
        match self {
            Completeness::Whole => "the whole spectrum is known".into(),
            Completeness::Checked { products, asked, gamma } => {
                let short = match asked > products && gamma > 0.0 {
                    true => format!(" (the gap that the search saw asks for {asked}, and no more were left)"),
                    false => String::new(),
                };
                format!(
                    "{products} products from a second random start{short} saw nothing beyond the list; a missed \
                     eigenvalue with gamma = (missed - last reported)/(last reported - lambda_min) above {gamma:.4} \
                     would have been seen with 99% probability (for the smallest, mirrored)"
                )
            }
            Completeness::Missing => {
                "incomplete: an eigenvalue lies beyond the list that the products did not suffice to find"
                    .into()
            }
            Completeness::Unmade { asked, left } => format!(
                "not checked: the check takes at least {asked} products and {left} were left, so the list may skip eigenvalues"
            ),
            Completeness::Unsettled => "not checked: no eigenvalue is converged".into(),
            Completeness::Unasked => {
                "not checked: the list may skip eigenvalues, copies of multiple ones above all".into()
            }
        }
    }
}
