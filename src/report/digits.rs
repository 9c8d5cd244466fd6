//! Numbers with no more digits than are known.

/// Significant digits of a number without an uncertainty: what single precision carries.
const UNSTATED: i32 = 6;
/// Digits beyond this are never printed.
const MOST: i32 = 12;

/// A value rounded to the decade of its uncertainty, and the uncertainty: `50.867 ± 0.003`.
pub fn with_uncertainty(value: f64, uncertainty: Option<f64>) -> String {
    let Some(uncertainty) = uncertainty.filter(|u| u.is_finite() && *u >= 0.0) else { return plain(value) };
    let size = decade(value.abs().max(uncertainty));
    let last = decade(uncertainty).max(size - MOST);
    if uncertainty == 0.0 || value == 0.0 {
        return format!("{} ± {uncertainty:.0e}", plain(value));
    }
    let decimals = usize::try_from(-last).unwrap_or(0);
    if (-4..9).contains(&size) && decimals <= 12 {
        return format!("{value:.decimals$} ± {}", error(uncertainty, decimals));
    }
    format!("{value:.digits$e} ± {uncertainty:.0e}", digits = (size - last).max(0) as usize)
}

/// A small uncertainty in the notation of its value, or with an exponent where that is shorter.
fn error(uncertainty: f64, decimals: usize) -> String {
    if decimals <= 4 { format!("{uncertainty:.decimals$}") } else { format!("{uncertainty:.0e}") }
}

/// A value whose uncertainty is not stated.
pub fn plain(value: f64) -> String {
    let size = decade(value);
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if (-4..9).contains(&size) {
        let decimals = usize::try_from(UNSTATED - 1 - size).unwrap_or(0);
        return format!("{value:.decimals$}");
    }
    format!("{value:.digits$e}", digits = UNSTATED as usize - 1)
}

/// A value alone, with at most four digits and none beyond its uncertainty's first.
pub fn short(value: f64, uncertainty: Option<f64>) -> String {
    const DIGITS: i32 = 4;
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let size = decade(value);
    let last = uncertainty.filter(|u| *u > 0.0 && u.is_finite()).map_or(i32::MIN, decade);
    let last = last.max(size - DIGITS + 1).min(size);
    if (-3..DIGITS).contains(&size) {
        return format!("{value:.decimals$}", decimals = usize::try_from(-last).unwrap_or(0));
    }
    format!("{value:.digits$e}", digits = (size - last) as usize)
}

/// The power of ten of the first digit, as printed.
fn decade(x: f64) -> i32 {
    if x == 0.0 || !x.is_finite() {
        return -300;
    }
    x.abs().log10().floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_fit_a_column() {
        let cases = [
            (50.867_387_7, Some(3.1e-2), "50.87"),
            (50.867_387_7, Some(3.0), "51"),
            (1.667e6, Some(2.2e4), "1.67e6"),
            (2.505_898, None, "2.506"),
            (0.000_12, None, "1.200e-4"),
            (0.0, None, "0"),
        ];
        for (value, uncertainty, text) in cases {
            assert_eq!(short(value, uncertainty), text);
        }
    }

    #[test]
    fn digits_stop_where_knowledge_does() {
        let cases = [
            (50.867_387_7, Some(3.1e-3), "50.867 ± 0.003"),
            (50.867_387_7, Some(2e-9), "50.867387700 ± 2e-9"),
            (10_774.147_9, Some(12.0), "10774 ± 12"),
            (1.667e6, Some(2.2e3), "1667000 ± 2200"),
            (8.123e12, Some(1e10), "8.12e12 ± 1e10"),
            (3.2e-7, Some(5e-9), "3.20e-7 ± 5e-9"),
            (-8.82, Some(0.5), "-8.8 ± 0.5"),
            (2.505_898_2, None, "2.50590"),
            (0.0, Some(1e-9), "0 ± 1e-9"),
            (0.02, Some(0.5), "0.0 ± 0.5"),
        ];
        for (value, uncertainty, text) in cases {
            assert_eq!(with_uncertainty(value, uncertainty), text);
        }
    }
}
