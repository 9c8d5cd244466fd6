//! From good files to bad ones.

use rand::RngExt;
use warmlab::base::random::Random;

/// What numbers in headers become: limits of every width, and what lies just beyond them.
const SIZES: [u64; 16] = [
    0,
    1,
    2,
    7,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    1 << 60,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// What numbers in text become.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "2",
    "3.5",
    "1e999",
    "-1e999",
    "1e-999",
    "NaN",
    "inf",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999999999999999",
    "1000000000",
    "null",
];

/// What opens something that a reader may follow inwards: JSON, TOML, pickles, thrift.
const OPENERS: [&[u8]; 14] = [
    b"[",
    b"{",
    b"(",
    b"{\"a\":",
    b"[[",
    b"a.",
    b"{a=",
    b"]\x85",
    b"\x85",
    b"](",
    b"\x1c",
    b"\x19\x1c",
    b"\x3c",
    b"}K\x01",
];

/// Most bytes a mutation adds.
const GROWTH: usize = 1 << 17;

/// One to four changes, each of another kind, to one of `seeds`; what is spliced in comes from any of them.
pub fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = pick(seeds, random).clone();
    for _ in 0..random.random_range(1..=4) {
        change(&mut bytes, seeds, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    match random.random_range(0..11) {
        0 | 1 => {
            for _ in 0..random.random_range(1..=8) {
                let at = place(bytes, random);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
        2 => bytes.truncate(place(bytes, random)),
        3 => {
            let from = pick(seeds, random);
            let (start, end) = range(from, random);
            let at = place(bytes, random);
            bytes.splice(at..at, from[start..end].iter().copied());
        }
        4 => {
            let (start, end) = range(bytes, random);
            bytes.drain(start..end);
        }
        5 => {
            // over what is there, so that lengths stay right
            let from = pick(seeds, random);
            let (start, end) = range(from, random);
            let at = place(bytes, random);
            let len = (end - start).min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&from[start..start + len]);
        }
        6 | 7 => size(bytes, random),
        8 => number(bytes, random),
        9 => {
            let opener = pick(&OPENERS, random);
            // from a few to more than any stack holds
            let times = (2.0f64.powf(random.random_range(0.0..17.0)) as usize).min(GROWTH / opener.len());
            let at = place(bytes, random);
            bytes.splice(at..at, opener.repeat(times));
        }
        _ => {
            let (start, end) = range(bytes, random);
            let byte = *pick(&[0, 0xff, b'0', b'9', b'\n', b'"', random.random()], random);
            bytes[start..end].fill(byte);
        }
    }
}

/// Overwrites a number of 1 to 8 bytes with a limit, with the size of what is there, or with a neighbour of itself.
fn size(bytes: &mut [u8], random: &mut Random) {
    let width = *pick(&[1, 2, 4, 8], random);
    let at = place(bytes, random);
    let len = bytes.len() as u64;
    let Some(slot) = bytes.get_mut(at..at + width) else { return };
    let mut wide = [0u8; 8];
    wide[..width].copy_from_slice(slot);
    let here = u64::from_le_bytes(wide);
    let new = match random.random_range(0..5) {
        0 => here.wrapping_add(1),
        1 => here.wrapping_sub(1),
        2 => here.wrapping_mul(2),
        3 => len.wrapping_add(random.random_range(0..3)).wrapping_sub(1),
        _ => *pick(&SIZES, random),
    };
    let mut new = new.to_le_bytes();
    if random.random() {
        new[..width].reverse();
    }
    slot.copy_from_slice(&new[..width]);
}

/// Replaces a number written in digits.
fn number(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = place(bytes, random);
    let is_digit = |byte: &u8| byte.is_ascii_digit() || b".+-e".contains(byte);
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|offset| at + offset) else {
        return;
    };
    let len = bytes[start..].iter().take_while(|byte| is_digit(byte)).count();
    bytes.splice(start..start + len, pick(&NUMBERS, random).bytes());
}

/// A position, often near one of the ends, where headers are.
fn place(bytes: &[u8], random: &mut Random) -> usize {
    let len = bytes.len();
    let near = random.random_range(0..=len.min(64));
    match random.random_range(0..4) {
        0 => near,
        1 => len - near,
        _ => random.random_range(0..=len),
    }
}

fn range(bytes: &[u8], random: &mut Random) -> (usize, usize) {
    let start = random.random_range(0..=bytes.len());
    let longest = (bytes.len() - start).min(1 << random.random_range(0..12));
    (start, start + random.random_range(0..=longest))
}

fn pick<'a, T>(choices: &'a [T], random: &mut Random) -> &'a T {
    &choices[random.random_range(0..choices.len())]
}
