//! Who a process is, as others must know it: its machine and its number there.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A process on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The machine's name, with the namespace its process numbers belong to: containers share names.
    pub host: String,
    /// Its number there.
    pub pid: u32,
}

impl Process {
    /// The running one.
    pub fn this() -> Self {
        Process { host: host(), pid: std::process::id() }
    }

    /// Whether it still runs; `None` where that cannot be seen from this machine.
    pub fn lives(&self) -> Option<bool> {
        if self.pid == std::process::id() && self.host == host() {
            return Some(true);
        }
        if self.host == host() { pid_lives(self.pid) } else { None }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.host.split('~').next().unwrap_or_default();
        write!(f, "process {} on {name}", self.pid)
    }
}

/// Letters, digits, dots, dashes: the name may stand in a file's.
fn host() -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let number: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("{}~{number}", name().chars().map(plain).collect::<String>())
}

#[cfg(unix)]
fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
#[cfg(not(unix))]
fn name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this-machine".into())
}

#[cfg(unix)]
fn pid_lives(pid: u32) -> Option<bool> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    // refused means that it is there and somebody else's
    Some(!matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}
#[cfg(not(unix))]
fn pid_lives(_pid: u32) -> Option<bool> {
    None
}
