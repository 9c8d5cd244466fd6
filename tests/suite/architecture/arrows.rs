//! Which file of the code knows which: read from `use` lines and paths, tests left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The names of a module, from the crate's root.
pub type Module = Vec<String>;

/// A source file.
pub struct Source {
    pub path: PathBuf,
    pub module: Module,
    /// Outside its tests, without comments.
    pub lines: Vec<(usize, String)>,
}

impl Source {
    /// The room it lies in: the first name of its module.
    pub fn room(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }
}

/// Every source file of the crate, in order.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    walk(&root.join("src"), &mut paths);
    walk(&root.join("analyses"), &mut paths);
    paths.sort();
    paths.iter().map(|path| read(root, path)).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn read(root: &Path, path: &Path) -> Source {
    let relative = path.strip_prefix(root).unwrap().with_extension("");
    let mut module: Module = relative.components().map(|c| c.as_os_str().to_string_lossy().into()).collect();
    if module[0] == "src" {
        module.remove(0);
    }
    if module.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        module.pop();
    }
    let text = fs::read_to_string(path).unwrap();
    let tests = text.find("\nmod tests {").or(text.find("\npub(crate) mod tests {"));
    let code = |line: &str| match line.trim_start().starts_with("//") {
        true => String::new(),
        false => line.split(" // ").next().unwrap_or_default().to_string(),
    };
    let lines = text[..tests.unwrap_or(text.len())].lines().enumerate();
    let lines = lines.map(|(i, line)| (i + 1, code(line))).collect();
    Source { path: path.into(), module, lines }
}

/// A path as a file writes it.
struct Mention {
    names: Module,
    line: usize,
    /// By `pub use`: it says nothing of what the file itself uses.
    handed_on: bool,
}

/// What a file mentions, and its lines without `use` and `mod`.
type Reading<'a> = (Vec<Mention>, Vec<&'a str>);

/// An arrow: what is known, and where it says so.
pub struct Arrow {
    pub from: Module,
    pub to: Module,
    pub place: String,
}

/// All arrows between files. A name that a module hands on is an arrow to the file it comes from.
pub fn arrows(sources: &[Source]) -> Vec<Arrow> {
    let files: BTreeSet<&Module> = sources.iter().map(|source| &source.module).collect();
    let readings: Vec<Reading> = sources.iter().map(mentions).collect();
    let mut exports: BTreeMap<(Module, String), Module> = BTreeMap::new();
    for (source, (mentions, _)) in sources.iter().zip(&readings) {
        for mention in mentions.iter().filter(|mention| mention.handed_on) {
            let name = mention.names.last().unwrap().clone();
            exports.insert((source.module.clone(), name), absolute(source, &mention.names, &files));
        }
    }
    let mut arrows = Vec::new();
    for (source, (mentions, code)) in sources.iter().zip(&readings) {
        for mention in mentions {
            let name = mention.names.last().unwrap();
            let used = || code.iter().any(|line| has_word(line, name));
            if mention.handed_on && !used() {
                continue;
            }
            let to = file_of(absolute(source, &mention.names, &files), &files, &exports);
            if to != source.module && !to.is_empty() && !source.module.is_empty() {
                let place = format!("{}:{}", source.path.display(), mention.line);
                arrows.push(Arrow { from: source.module.clone(), to, place });
            }
        }
    }
    arrows
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|other| other == word)
}

/// The path from the root of what `names` means in a file.
fn absolute(source: &Source, names: &[String], files: &BTreeSet<&Module>) -> Module {
    let mut module = source.module.clone();
    let mut rest = names;
    match names[0].as_str() {
        "crate" => (module, rest) = (vec![], &names[1..]),
        "self" => rest = &names[1..],
        "super" => {
            let up = names.iter().take_while(|name| *name == "super").count();
            module.truncate(module.len().saturating_sub(up));
            rest = &names[up..];
        }
        _ => {
            let child: Module = module.iter().chain(&names[..1]).cloned().collect();
            if !files.contains(&child) {
                return vec![];
            }
        }
    }
    module.iter().chain(rest).cloned().collect()
}

/// The file that holds what lies at this path.
fn file_of(
    mut path: Module,
    files: &BTreeSet<&Module>,
    exports: &BTreeMap<(Module, String), Module>,
) -> Module {
    for _ in 0..8 {
        let len = (0..=path.len()).rev().find(|len| files.contains(&path[..*len].to_vec())).unwrap_or(0);
        let (module, rest) = path.split_at(len);
        match rest.first().and_then(|name| exports.get(&(module.to_vec(), name.clone()))) {
            Some(from) => path = from.iter().chain(&rest[1..]).cloned().collect(),
            None => return module.to_vec(),
        }
    }
    path
}

/// What a file mentions: its `use` lines, and paths in its code.
fn mentions(source: &Source) -> Reading<'_> {
    let (mut found, mut code) = (Vec::new(), Vec::new());
    let mut lines = source.lines.iter();
    while let Some((number, line)) = lines.next() {
        let words = line.trim_start();
        let public = words.starts_with("pub");
        let bare = words.strip_prefix("pub").map_or(words, |rest| {
            rest.trim_start_matches("(crate)").trim_start_matches("(super)").trim_start()
        });
        let Some(first) = bare.strip_prefix("use ") else {
            let at = |names| Mention { names, line: *number, handed_on: false };
            found.extend(paths(line).into_iter().map(at));
            if !bare.starts_with("mod ") {
                code.push(line.as_str());
            }
            continue;
        };
        let mut text = first.to_string();
        while !text.contains(';') {
            text += lines.next().map_or(";", |(_, line)| line.trim());
        }
        let tree = text.split(';').next().unwrap_or_default();
        let names = expand(&tree.replace(char::is_whitespace, " "));
        found.extend(names.into_iter().map(|names| Mention { names, line: *number, handed_on: public }));
    }
    (found, code)
}

/// `a::{b, c::d}` as its paths.
fn expand(tree: &str) -> Vec<Module> {
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let names = path.split("::").map(|name| name.trim().to_string());
        return vec![names.filter(|name| name != "self").collect::<Module>()];
    };
    let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in inside.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    let before: Module =
        before.split("::").map(|name| name.trim().to_string()).filter(|n| !n.is_empty()).collect();
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(part)).map(|path| before.iter().cloned().chain(path).collect()).collect()
}

/// The paths `a::b::c` of a line.
fn paths(line: &str) -> Vec<Module> {
    let name = |c: char| c.is_alphanumeric() || c == '_';
    let words = line.split(|c: char| !name(c) && c != ':').filter(|word| word.contains("::"));
    let path = |word: &str| word.split("::").map(str::to_string).collect::<Module>();
    words.map(path).filter(|names| !names[0].is_empty() && names[0] != "self").collect()
}

/// A circle of files that know each other, with where each says so.
pub fn circle(arrows: &[Arrow]) -> Option<Vec<String>> {
    let mut known: BTreeMap<&Module, Vec<&Arrow>> = BTreeMap::new();
    for arrow in arrows {
        known.entry(&arrow.from).or_default().push(arrow);
    }
    let mut done = BTreeSet::new();
    known.keys().find_map(|start| visit(start, &known, &mut vec![], &mut done))
}

fn visit<'a>(
    module: &'a Module,
    known: &BTreeMap<&'a Module, Vec<&'a Arrow>>,
    way: &mut Vec<&'a Arrow>,
    done: &mut BTreeSet<&'a Module>,
) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|arrow| arrow.from == *module) {
        let tell = |arrow: &&Arrow| format!("{} knows {}", arrow.place, arrow.to.join("::"));
        return Some(way[start..].iter().map(tell).collect());
    }
    if done.contains(module) {
        return None;
    }
    for arrow in known.get(module).into_iter().flatten() {
        way.push(arrow);
        let found = visit(&arrow.to, known, way, done);
        way.pop();
        if found.is_some() {
            return found;
        }
    }
    done.insert(module);
    None
}
