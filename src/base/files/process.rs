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
    let there = !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    Some(there && !is_zombie(pid.as_raw_nonzero().get()))
}

/// Whether a process has ended and only waits for its parent to hear of it, which in a container may never happen.
#[cfg(unix)]
fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // the name in parentheses may hold anything
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}
#[cfg(not(unix))]
fn pid_lives(_pid: u32) -> Option<bool> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_killed_are_dead_before_their_parent_hears_of_it() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("spawned");
        let process = Process { pid: child.id(), ..Process::this() };
        assert_eq!(process.lives(), Some(true));
        child.kill().expect("killed");
        let deadline = Instant::now() + Duration::from_secs(20);
        // it is a zombie until it is waited for
        while process.lives() != Some(false) {
            assert!(Instant::now() < deadline, "a zombie counts as alive");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.wait().expect("ended");
        assert_eq!(process.lives(), Some(false));
        assert_eq!(Process { host: "elsewhere~1".into(), pid: 1 }.lives(), None);
    }
}
