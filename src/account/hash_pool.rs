use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::Block;
use tokio::sync::oneshot;

use super::password::{Busy, MEMORY};

/// Threads of their own for memory-hard work: few, at low priority, with a short queue in front.
///
/// The runtime's threads carry the traffic; a hash on one of them would stop it for 15 ms and more.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts so many threads; 0 means one per core but one, at least one.
    pub(super) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let wanted = if threads == 0 { cores.saturating_sub(1).max(1) } else { threads };
        let started = (0..wanted).filter(|_| start(&shared)).count();
        // Nobody would ever take a job from the queue: refuse them at once.
        shared.queue().closed = started == 0;
        Self { shared }
    }

    /// Does `work` on one of the threads, which lends it its memory.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (done, answer) = oneshot::channel();
        self.shared.push(Box::new(move |memory: &mut Memory| {
            // Whoever asked has hung up: a flood must not be worked off for nobody.
            if !done.is_closed() {
                let _ = done.send(work(memory));
            }
        }))?;
        answer.await.map_err(|_| Busy)
    }

    /// How often memory was lent for a hash.
    pub(super) fn computed(&self) -> u64 {
        self.shared.computed.load(Ordering::Relaxed)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        queue.jobs.clear();
        drop(queue);
        self.shared.wake.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("computed", &self.computed()).finish_non_exhaustive()
    }
}

/// Blocks that a thread keeps between two hashes: mapping 19 MiB anew costs as much as half a hash.
pub(super) struct Memory {
    blocks: Vec<Block>,
    shared: Arc<Shared>,
}

impl Memory {
    /// So many blocks for one hash; more than `KEPT` are given back after it.
    pub(super) fn with<T>(&mut self, count: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
        self.shared.computed.fetch_add(1, Ordering::Relaxed);
        if self.blocks.len() < count {
            self.blocks.resize(count, Block::new());
        }
        let answer = work(&mut self.blocks[..count]);
        if count > KEPT {
            self.blocks.truncate(KEPT);
            self.blocks.shrink_to_fit();
        }
        answer
    }

    fn release(&mut self) {
        self.blocks = Vec::new();
    }
}

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    computed: AtomicU64,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under this lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), Busy> {
        let mut queue = self.queue();
        if queue.closed || queue.jobs.len() >= WAITING {
            return Err(Busy);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// The next job; `None` when the pool is gone.
    fn next(&self, memory: &mut Memory) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            let (woken, waited) = self.wake.wait_timeout(queue, QUIET).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if waited.timed_out() && queue.jobs.is_empty() {
                memory.release();
            }
        }
    }
}

fn start(shared: &Arc<Shared>) -> bool {
    let shared = Arc::clone(shared);
    let started = thread::Builder::new().name("hash".to_owned()).spawn(move || work(&shared));
    if let Err(error) = &started {
        tracing::error!(%error, "no thread for password hashes could be started");
    }
    started.is_ok()
}

fn work(shared: &Arc<Shared>) {
    yield_to_traffic();
    let mut memory = Memory { blocks: Vec::new(), shared: Arc::clone(shared) };
    while let Some(job) = shared.next(&mut memory) {
        // A job that panics answers nobody (its caller reads `Busy`) and must not cost us the thread.
        if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
            tracing::error!("a password hash broke off");
        }
    }
}

/// Lets every thread that carries requests go first when cores are short.
fn yield_to_traffic() {
    // On Linux the priority is a thread's own; elsewhere this would slow the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::warn!(%error, "password hashes run at the priority of the traffic");
    }
}

/// How many may wait: more would wait longer than people do.
const WAITING: usize = 64;
/// Blocks of 1 KiB a thread keeps.
const KEPT: usize = MEMORY as usize;
/// After so long without a job a thread gives its blocks back.
const QUIET: Duration = Duration::from_secs(10);
/// Of 19: about 4 % of a core that traffic wants, too.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_leaves_its_thread_alive() {
        let pool = Pool::new(1);
        assert_eq!(pool.run(|_| -> () { panic!("broken") }).await, Err(Busy));
        assert_eq!(pool.run(|_| 7).await.ok(), Some(7));
    }

    #[tokio::test]
    async fn beyond_a_short_queue_the_answer_is_busy_at_once() {
        let pool = Arc::new(Pool::new(1));
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let (began, begun) = oneshot::channel();
        let first = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(move |_| (began.send(()), gate.recv()).1.is_ok()).await }
        });
        begun.await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING).map(|n| Box::pin(pool.run(move |_| n))).collect();
        for job in &mut waiting {
            assert!(futures_util::FutureExt::now_or_never(job).is_none());
        }
        assert!(pool.run(|_| ()).await.is_err());
        open.send(()).unwrap();
        assert_eq!(first.await.unwrap().ok(), Some(true));
        for (n, job) in waiting.into_iter().enumerate() {
            assert_eq!(job.await.ok(), Some(n));
        }
    }

    #[tokio::test]
    async fn jobs_of_callers_who_hung_up_are_not_done() {
        let pool = Arc::new(Pool::new(1));
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let (began, begun) = oneshot::channel();
        let first = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(move |_| (began.send(()), gate.recv()).1.is_ok()).await }
        });
        begun.await.unwrap();
        let mut gone = Box::pin(pool.run(|memory| memory.with(1, |_| ())));
        assert!(futures_util::FutureExt::now_or_never(&mut gone).is_none());
        drop(gone);
        open.send(()).unwrap();
        first.await.unwrap().unwrap();
        pool.run(|_| ()).await.unwrap();
        assert_eq!(pool.computed(), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn traffic_goes_before_hashes() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = nice();
        let in_pool = Pool::new(1).run(move |_| nice()).await.unwrap();
        assert!(in_pool >= NICENESS && nice() == before, "{in_pool}");
    }

    #[tokio::test]
    async fn threads_end_with_the_pool() {
        let pool = Pool::new(2);
        pool.run(|_| ()).await.unwrap();
        let shared = Arc::downgrade(&pool.shared);
        drop(pool);
        while shared.strong_count() > 0 {
            thread::yield_now();
        }
    }
}
