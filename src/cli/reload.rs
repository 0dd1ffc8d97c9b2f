//! Reading the configuration again: on SIGHUP, and when the file has changed.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use super::supervisor;
use crate::config::{Config, Report};
use crate::live::Live;
use crate::secret::Digest;

/// Where a configuration comes from, every time.
pub(super) struct Source<L> {
    /// The file; there is none behind `run --to`.
    pub(super) file: Option<PathBuf>,
    /// Reads it, with what the command line says besides.
    pub(super) load: L,
}

/// Replaces the app in force whenever that is due. A configuration that does not do leaves the old one in force.
pub(super) async fn watch<L>(live: Arc<Live>, source: Source<L>, mut hangups: Signal) -> Infallible
where
    L: Fn() -> Result<Config, Report>,
{
    let mut file = source.file.map(Watched::new);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = hangups.recv() => {
                supervisor::reloading();
                if let Some(file) = &mut file {
                    tracing::info!(file = %file.path.display(), "SIGHUP: reading the configuration again");
                    file.take();
                    put_in_force(&live, (source.load)()).await;
                } else {
                    tracing::info!("SIGHUP: there is no configuration file to read again");
                }
                supervisor::ready();
            }
            _ = looks.tick() => {
                let Some(file) = &mut file else { continue };
                if !file.has_changed() {
                    continue;
                }
                let read = (source.load)();
                // Written to again meanwhile: what was read may be half of it.
                if file.is_as_taken() {
                    tracing::info!(file = %file.path.display(), "the configuration changed");
                    put_in_force(&live, read).await;
                }
            }
        }
    }
}

async fn put_in_force(live: &Live, read: Result<Config, Report>) {
    let config = match read {
        Ok(config) => config,
        Err(report) => {
            live.app().reloads().rejected();
            return reject(&report);
        }
    };
    for note in &config.notes {
        tracing::warn!("{}", note.message);
    }
    match live.replace(config).await {
        Ok(()) => tracing::info!("configuration reloaded"),
        Err(error) => {
            live.app().reloads().rejected();
            tracing::error!(%error, "config.rejected: the old configuration stays in force");
        }
    }
}

/// One line for each problem, with its place as editors open it.
fn reject(report: &Report) {
    for problem in &report.problems {
        let at = match (problem.line, problem.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", problem.file),
            _ => problem.file.clone(),
        };
        tracing::error!(%at, code = %problem.code, help = problem.help.join("; "), "{}", problem.message);
    }
    let errors = report.errors();
    tracing::error!(errors, "config.rejected: the old configuration stays in force");
}

/// A file that is looked at from time to time.
struct Watched {
    path: PathBuf,
    facts: Option<(SystemTime, u64)>,
    /// What was read last.
    taken: Option<Digest>,
    /// What was there at the last look, if it was something new.
    new: Option<Digest>,
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        let mut file = Self { path, facts: None, taken: None, new: None };
        file.take();
        file
    }

    /// Notes what is there as read.
    fn take(&mut self) {
        (self.facts, self.taken, self.new) = (self.facts(), self.content(), None);
    }

    /// Whether there is something new that stayed the same from one look to the next: a file that is being
    /// written may read well and lack the rules at its end. One that is gone is not news.
    fn has_changed(&mut self) -> bool {
        let facts = self.facts();
        if facts == self.facts && self.new.is_none() {
            return false;
        }
        let settled = facts == self.facts;
        self.facts = facts;
        let content = self.content().filter(|content| Some(*content) != self.taken);
        let is_due = settled && content.is_some() && content == self.new;
        self.new = content;
        if is_due {
            self.take();
        }
        is_due
    }

    fn is_as_taken(&self) -> bool {
        self.content() == self.taken
    }

    /// The time alone has the grain of the file system's clock; with the length it is worth a first look.
    fn facts(&self) -> Option<(SystemTime, u64)> {
        let facts = std::fs::metadata(&self.path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    }

    fn content(&self) -> Option<Digest> {
        std::fs::read(&self.path).ok().map(|bytes| Digest::of(&bytes))
    }
}

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_has_stayed_for_a_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("whole");
        let mut file = Watched::new(path.clone());
        let mut looks = |count: usize| (0..count).filter(|_| file.has_changed()).count();
        assert_eq!(looks(3), 0);
        write("ha");
        assert_eq!(looks(1), 0);
        write("half");
        assert_eq!(looks(1), 0);
        write("half and the rest");
        assert_eq!(looks(1), 0);
        assert_eq!(looks(3), 1);
        write("whole again");
        write("half and the rest");
        assert_eq!(looks(3), 0);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(looks(3), 0);
        write("another");
        assert_eq!(looks(3), 1);
    }
}
