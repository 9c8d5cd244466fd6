//! The layers of the code: who may know whom. The tables are design, the tests read the code.

mod arrows;

use arrows::{Arrow, Source, arrows, circle, sources};
use std::fs;

/// The rooms, lowest first, and those each may know beside the base.
const ROOMS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("linalg", &[]),
    ("stats", &[]),
    ("architecture", &[]),
    ("data", &[]),
    ("optim", &["architecture", "stats"]),
    ("run", &["architecture", "optim"]),
    ("kernels", &["architecture"]),
    ("model", &["architecture", "kernels", "data"]),
    ("operator", &["architecture", "optim", "kernels", "model", "linalg", "data"]),
    ("schedule", &[]),
    ("snapshot", &["architecture", "operator", "model", "data", "run", "optim"]),
    ("train", &["architecture", "model", "optim", "schedule", "data", "run", "stats", "snapshot"]),
    (
        "analyses",
        &["architecture", "snapshot", "operator", "linalg", "model", "stats", "data", "run", "optim"],
    ),
    ("report", &[]),
    ("measure", &["snapshot", "optim", "stats", "report", "train", "run", "data", "analyses"]),
    (
        "cli",
        &[
            "architecture",
            "analyses",
            "data",
            "measure",
            "optim",
            "report",
            "run",
            "schedule",
            "snapshot",
            "train",
        ],
    ),
];

/// The rooms of the base, lowest first, and those each may know.
const BASE: &[(&str, &[&str])] = &[
    ("allocator", &[]),
    ("error", &[]),
    ("figure", &[]),
    ("pickle", &[]),
    ("random", &[]),
    ("row", &[]),
    ("simd", &[]),
    ("device", &["error"]),
    ("files", &["error"]),
    ("guard", &["error"]),
    ("observer", &["error"]),
    ("resources", &["error"]),
    ("takes", &["error"]),
    ("values", &["error"]),
    ("steps", &["takes"]),
    ("key", &["takes"]),
    ("specification", &["error", "key", "takes"]),
    ("registry", &["error", "key", "specification", "takes"]),
    ("vectors", &["values"]),
    ("settings", &["device", "values"]),
];

/// Arrows that close a circle and stand: from, to, and why.
const CIRCLES: &[(&str, &str, &str)] = &[
    ("snapshot::passes", "snapshot", "one type is written in three files"),
    ("snapshot::updates", "snapshot", "one type is written in three files"),
    (
        "architecture::config",
        "architecture",
        "a configuration names its architecture, which is a list for a configuration",
    ),
];

/// A module whose submodules are the entries of a registry, and those of them that are none. What an entry is may stand
/// beside the list: the arrows from a registry to its entries close no circle.
const REGISTRIES: &[(&str, &[&str])] = &[
    ("analyses", &[]),
    ("architecture", &["config", "parameter"]),
    ("optim", OPTIM),
    ("run::formats", &[]),
    ("schedule", &[]),
];

/// What optimizers are made of and judged by.
const OPTIM: &[&str] = &[
    "clip",
    "distribution",
    "hyperparameters",
    "limits",
    "part",
    "preconditioner",
    "real",
    "representation",
    "rule",
    "stability",
    "statistics",
    "sums",
    "updater",
];

/// Where an entry is named outside its registry nevertheless: from, the entry, and why.
const NAMED: &[(&str, &str, &str)] =
    &[("run::torch_gpt", "architecture::gpt2", "its formats hold no other architecture")];

/// A crate and the only rooms that may name it.
const CRATES: [(&str, &[&str]); 6] = [
    ("burn", &["kernels", "model", "base"]),
    ("burn_flex", &["kernels"]),
    ("polars", &["report"]),
    // options of an analysis are the fields of a struct, and clap makes flags of them
    ("clap", &["cli", "snapshot", "analyses"]),
    ("indicatif", &["cli"]),
    ("ndarray_linalg", &["linalg"]),
];

/// Lines a file may have without a word on why it has more.
const LINES: usize = 300;
/// What that word begins with, in the file's first comment.
const REASON: &str = "Longer than most because";

/// Files that are longer without such a word until their rooms are rebuilt.
const LONG: &[&str] = &["src/train/trainer.rs", "src/cli/train.rs", "src/run/native.rs"];

fn place(names: &[String]) -> String {
    names.join("::")
}

/// Refuses arrows between the first names below `root` that a table does not have.
fn check(root: &[&str], table: &[(&str, &[&str])], sources: &[Source]) {
    let depth = root.len();
    let inside = |module: &[String]| module.len() > depth && module.iter().zip(root).all(|(a, b)| a == b);
    for source in sources.iter().filter(|source| inside(&source.module)) {
        let name = &source.module[depth];
        assert!(table.iter().any(|(room, _)| room == name), "{} is in no table", source.path.display());
    }
    for Arrow { from, to, place: at } in arrows(sources) {
        if !inside(&from) || !inside(&to) || from[depth] == to[depth] {
            continue;
        }
        let allowed = table.iter().find(|(room, _)| *room == from[depth]).map_or(&[][..], |(_, known)| known);
        let common = depth == 0 && to[0] == "base";
        let fine = common || allowed.contains(&to[depth].as_str());
        assert!(fine, "{at}: `{}` must not know `{}`", from[depth], place(&to));
    }
    for (i, (room, known)) in table.iter().enumerate() {
        for other in *known {
            let below = table[..i].iter().any(|(name, _)| name == other);
            assert!(below, "the table has {other} above {room}, which knows it");
        }
    }
}

#[test]
fn no_room_knows_one_above_it() {
    check(&[], ROOMS, &sources());
}

#[test]
fn no_room_of_the_base_knows_one_above_it() {
    check(&["base"], BASE, &sources());
}

#[test]
fn a_room_knows_nothing_that_its_table_has_in_vain() {
    let arrows = arrows(&sources());
    for (room, known) in ROOMS {
        for other in *known {
            let used = arrows.iter().any(|arrow| arrow.from[0] == *room && arrow.to[0] == *other);
            assert!(used, "{room} does not know {other}: take it from the table");
        }
    }
}

/// The entry of a registry that a module is, or lies in.
fn entry(module: &str) -> Option<(&'static str, String)> {
    REGISTRIES.iter().find_map(|(registry, others)| {
        let name = module.strip_prefix(&format!("{registry}::"))?.split("::").next()?;
        (!others.contains(&name)).then(|| (*registry, format!("{registry}::{name}")))
    })
}

#[test]
fn files_know_each_other_in_one_direction() {
    let mut arrows = arrows(&sources());
    for (from, to, reason) in CIRCLES {
        let before = arrows.len();
        arrows.retain(|arrow| place(&arrow.from) != *from || place(&arrow.to) != *to);
        assert!(arrows.len() < before, "{from} no longer knows {to} ({reason}): take it from the list");
    }
    arrows
        .retain(|arrow| entry(&place(&arrow.to)).is_none_or(|(registry, _)| place(&arrow.from) != registry));
    if let Some(circle) = circle(&arrows) {
        panic!("a circle:\n{}", circle.join("\n"));
    }
}

#[test]
fn nothing_outside_its_registry_names_an_entry() {
    let mut arrows = arrows(&sources());
    for (from, to, reason) in NAMED {
        let before = arrows.len();
        arrows.retain(|arrow| place(&arrow.from) != *from || place(&arrow.to) != *to);
        assert!(arrows.len() < before, "{from} no longer names {to} ({reason}): take it from the list");
    }
    for Arrow { from, to, place: at } in arrows {
        let (from, Some((registry, entry))) = (place(&from), entry(&place(&to))) else { continue };
        let inside = from == registry || from == entry || from.starts_with(&format!("{entry}::"));
        assert!(inside, "{at}: {entry} is named outside its registry");
    }
}

#[test]
fn crates_stay_in_their_rooms() {
    for source in sources() {
        for (number, line) in &source.lines {
            for (name, rooms) in CRATES {
                let named = line.contains(&format!("{name}::")) && !line.contains(&format!("_{name}::"));
                let fine = !named || rooms.contains(&source.room());
                assert!(
                    fine,
                    "{}:{number}: `{name}` is named outside {rooms:?}: {line}",
                    source.path.display()
                );
            }
        }
    }
}

#[test]
fn files_are_short_or_say_why_not() {
    for source in sources() {
        let text = fs::read_to_string(&source.path).unwrap();
        let (path, count) = (source.path.display(), text.lines().count());
        let comment =
            || text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains(REASON));
        let still = LONG.iter().any(|long| source.path.ends_with(long));
        assert!(
            count <= LINES || comment() || still,
            "{path} has {count} lines: cut it by what it is about, or say `{REASON} …` in its first comment"
        );
    }
}

#[test]
fn the_reading_sees_what_is_there() {
    let arrows = arrows(&sources());
    let there = |from: &str, to: &str| arrows.iter().any(|a| place(&a.from) == from && place(&a.to) == to);
    // a line of `use`, a name that a room hands on, a path in the code, and a child that is only handed on
    assert!(there("linalg::eigsh", "linalg::krylov"));
    assert!(there("analyses::hessian::extremes", "linalg::eigenpairs"));
    assert!(there("linalg::follow", "linalg::follow::retained"));
    assert!(!there("linalg", "linalg::eigsh"));
    let arrow =
        |from: &str, to: &str| Arrow { from: vec![from.into()], to: vec![to.into()], place: from.into() };
    assert!(circle(&[arrow("a", "b"), arrow("b", "c"), arrow("a", "c")]).is_none());
    let circle = circle(&[arrow("a", "b"), arrow("b", "c"), arrow("c", "b")]);
    assert_eq!(circle.unwrap(), ["b knows c", "c knows b"]);
}
