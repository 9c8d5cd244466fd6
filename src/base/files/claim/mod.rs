//! A folder that one process writes at a time: `.claim-N` names the process, and its time of change says when it last
//! gave a sign of life.
//!
//! A claim appears whole under its name, by a hard link, which exactly one of several takers gets, on a shared
//! directory too. One whose process has died here, or has given no sign for five minutes anywhere, is stale: its
//! successor takes the next number, which again one taker gets, and only then removes it. Whoever has a name looks
//! once more whether somebody else is there, and steps back if so; of two that came on different ways the later one
//! therefore sees the earlier. Ages are differences of times the file system itself gave, not of clocks of machines.

mod found;

use std::cell::Cell;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use found::{Found, Holder, PREFIX, claims, read};

use super::process::Process;
use super::temporary::{name as temporary_name, remove_left};
use crate::base::error::{Error, IoContext, Result};

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(30);
/// The right to write a folder, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    path: PathBuf,
    holder: Holder,
    /// When the file was last seen to be ours.
    seen: Cell<SystemTime>,
    beating: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Claim {
    /// Takes a folder that is there.
    ///
    /// # Errors
    /// Where another process holds it, naming that, or the disk refuses.
    pub fn take(folder: &Path) -> Result<Self> {
        remove_left(folder)?;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let token = format!("{:016x}", RandomState::new().build_hasher().finish());
        let holder = Holder { process: Process::this(), since, token };
        let text = serde_json::to_string(&holder).expect("a holder is plain data");
        loop {
            let written = temporary_name(|builder| builder.tempfile_in(folder)).at("claim", folder)?;
            written.as_file().write_all(text.as_bytes()).at("claim", folder)?;
            written.as_file().sync_all().at("claim", folder)?;
            let now = written.as_file().metadata().and_then(|meta| meta.modified()).at("claim", folder)?;

            let there = claims(folder)?;
            if let Some(live) = there.iter().find(|found| found.is_live(now)) {
                return Err(live.refuse(folder, now));
            }
            let next = there.iter().map(|found| found.number + 1).max().unwrap_or(1);
            let path = folder.join(format!("{PREFIX}{next}"));
            match link(written.path(), &path, &text) {
                Ok(()) => {}
                // somebody was faster
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e).at("claim", folder),
            }
            let mut claim = Claim {
                folder: folder.into(),
                path,
                holder: holder.clone(),
                seen: Cell::new(SystemTime::now()),
                beating: None,
            };
            let (ours, others): (Vec<Found>, Vec<Found>) =
                claims(folder)?.into_iter().partition(|found| found.holder.as_ref() == Some(&holder));
            if let Some(live) = others.iter().find(|found| found.is_live(now)) {
                return Err(live.refuse(folder, now));
            }
            if ours.is_empty() {
                continue;
            }
            // only who holds the folder removes what is stale
            others.iter().for_each(|stale| drop(fs::remove_file(&stale.path)));
            claim.beating = Some(beat(claim.path.clone(), holder, text, BEAT).at("write", &claim.path)?);
            return Ok(claim);
        }
    }

    /// What to say of a folder that another process holds.
    ///
    /// # Errors
    /// The sentence, where one does.
    pub fn free(folder: &Path) -> Result<()> {
        let now = SystemTime::now();
        let live = claims(folder)?.into_iter().find(|found| found.is_live(now));
        live.map_or(Ok(()), |found| Err(found.refuse(folder, now)))
    }

    /// Makes sure that the claim was not taken over while this process slept; cheap between two beats.
    ///
    /// # Errors
    /// Where another process has it.
    pub fn check(&self) -> Result<()> {
        let fresh = self.seen.get().elapsed().is_ok_and(|age| age < 2 * BEAT);
        if fresh {
            return Ok(());
        }
        if read(&self.path).as_ref() == Some(&self.holder) {
            self.seen.set(SystemTime::now());
            return Ok(());
        }
        Err(Error::file_hint(
            &self.folder,
            "was taken over by another process while this one gave no sign of life for five minutes",
            "nothing more is written from here; see who has it, and go on with train --resume when it has ended",
        ))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.beating.take() {
            drop(stop);
            let _ = thread.join();
        }
        if read(&self.path).as_ref() == Some(&self.holder) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives signs of life until it is told to stop or the claim is another's.
fn beat(
    path: PathBuf,
    holder: Holder,
    text: String,
    every: Duration,
) -> std::io::Result<(Sender<()>, JoinHandle<()>)> {
    let mut file = File::options().write(true).open(&path)?;
    let (stop, stopped) = channel();
    let thread = std::thread::Builder::new().name("claim".into()).spawn(move || {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout)
            && read(&path).as_ref() == Some(&holder)
        {
            // the same bytes again: the file system sets the time; a full disk is no reason to stop
            let _ =
                file.rewind().and_then(|()| file.write_all(text.as_bytes())).and_then(|()| file.sync_all());
        }
    })?;
    Ok((stop, thread))
}

/// A second name for a whole file, or where there are no hard links the name and then the text.
fn link(written: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    match fs::hard_link(written, path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => {
            File::options().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::found::STALE;
    use super::*;

    /// As kill -9 leaves it.
    fn kill(mut claim: Claim) {
        let dead = Holder { process: Process { pid: dead_pid(), ..Process::this() }, ..claim.holder.clone() };
        fs::write(&claim.path, serde_json::to_string(&dead).expect("plain")).expect("written");
        claim.beating = None;
        drop(claim);
    }

    fn dead_pid() -> u32 {
        let mut child = std::process::Command::new("true").spawn().expect("spawned");
        child.wait().expect("ended");
        child.id()
    }

    fn aged(path: &Path, by: Duration) {
        let file = File::options().write(true).open(path).expect("opened");
        file.set_modified(SystemTime::now() - by).expect("set");
    }

    #[test]
    fn the_second_is_told_who_and_a_dropped_claim_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let claim = Claim::take(folder.path()).expect("taken");
        let refused = Claim::take(folder.path()).expect_err("refused");
        let who = format!("process {} on ", std::process::id());
        assert!(
            refused.to_string().contains(&who) && refused.to_string().contains("since 0 seconds ago"),
            "{refused}"
        );
        assert!(refused.hint().expect("a hint").contains("--name"));
        assert!(Claim::free(folder.path()).is_err());
        claim.check().expect("held");
        drop(claim);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
        Claim::free(folder.path()).expect("free");
    }

    #[test]
    fn the_dead_are_succeeded_at_once_and_the_silent_after_five_minutes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        kill(Claim::take(folder.path()).expect("taken"));
        assert!(folder.path().join(".claim-1").exists());
        drop(Claim::take(folder.path()).expect("taken over"));

        let elsewhere = Process { host: "elsewhere~1".into(), pid: 1 };
        let holder = Holder { process: elsewhere, since: 0, token: "t".into() };
        let path = folder.path().join(".claim-7");
        fs::write(&path, serde_json::to_string(&holder).expect("plain")).expect("written");
        aged(&path, STALE - 2 * BEAT);
        assert!(Claim::take(folder.path()).expect_err("refused").to_string().contains("on elsewhere,"));
        aged(&path, STALE + BEAT);
        let claim = Claim::take(folder.path()).expect("taken over");
        assert!(folder.path().join(".claim-8").exists() && !path.exists());
        // somebody succeeds this one while it sleeps: it notices before it writes, and removes nothing
        fs::write(&claim.path, serde_json::to_string(&holder).expect("plain")).expect("written");
        claim.seen.set(SystemTime::now() - 3 * BEAT);
        assert!(claim.check().is_err());
        drop(claim);
        assert!(folder.path().join(".claim-8").exists());
    }

    #[test]
    fn a_beat_is_a_sign_of_life() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let claim = Claim::take(folder.path()).expect("taken");
        aged(&claim.path, STALE + BEAT);
        let text = fs::read_to_string(&claim.path).expect("read");
        let beating =
            beat(claim.path.clone(), claim.holder.clone(), text, Duration::from_millis(5)).expect("beating");
        let changed = || fs::metadata(&claim.path).expect("there").modified().expect("known");
        let deadline = SystemTime::now() + Duration::from_secs(20);
        while changed().elapsed().is_ok_and(|age| age > BEAT) {
            assert!(SystemTime::now() < deadline, "no beat");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(beating.0);
        beating.1.join().expect("ended");
    }

    #[test]
    fn of_many_takers_one_wins_also_over_the_dead() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (inside, won, start) = (AtomicU32::new(0), AtomicU32::new(0), Barrier::new(8));
        std::thread::scope(|scope| {
            for taker in 0..8 {
                let (folder, inside, won, start) = (folder.path(), &inside, &won, &start);
                scope.spawn(move || {
                    for round in 0..25 {
                        start.wait();
                        if let Ok(claim) = Claim::take(folder) {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold the folder");
                            won.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(1));
                            inside.fetch_sub(1, Ordering::SeqCst);
                            if (round + taker) % 3 == 0 { kill(claim) } else { drop(claim) }
                        }
                    }
                });
            }
        });
        assert!(won.load(Ordering::SeqCst) >= 25, "{won:?}");
    }
}
