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

/// `text` in lines of at most `columns`, broken between words; all but the first start with `indent` spaces.
pub fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let mut lines: Vec<String> = vec![];
    let start = text.len() - text.trim_start().len();
    let mut line = " ".repeat(start);
    for word in text.split_whitespace() {
        let empty = line.trim_start().is_empty();
        if !empty && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if !empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
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
    fn lines_break_between_words() {
        let text = "  - adam/rho: length of the simple average that v̂ is worth";
        assert_eq!(wrap(text, 30, 4), "  - adam/rho: length of the\n    simple average that v̂ is\n    worth");
        assert_eq!(wrap(text, 300, 4), text);
        assert_eq!(wrap("word", 2, 4), "word");
    }

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
