//! Text that fits a number of columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a terminal takes for `text`.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `columns`, its middle left out where it is longer: names differ at their ends.
pub fn elide(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.into();
    }
    let room = columns.saturating_sub(1);
    let end = take(text.chars().rev(), room - room / 2);
    let start = take(text.chars(), room / 2);
    start.into_iter().chain(['…']).chain(end.into_iter().rev()).collect()
}

fn take(characters: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    characters.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_name_is_left_out() {
        assert_eq!(elide("short", 5), "short");
        assert_eq!(elide("preconditioned/lambda_masked", 16), "precond…a_masked");
        for columns in 1..30 {
            for name in ["preconditioned/lambda_masked", "モデルの名前がとても長い", "v̂ and √v̂ over and over"]
            {
                assert!(width(&elide(name, columns)) <= columns, "{name} {columns}");
            }
        }
    }
}
