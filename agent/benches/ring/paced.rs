//! Ten million records a second with four followers: what the writer and the followers take of a core, and what is missed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use palomar_agent::ring::{BATCH, Ring};

use crate::copying::records;
use crate::cpu_time;
use crate::report::{Goal, heading, row};

const RATE: u64 = 10_000_000;
const FOLLOWERS: usize = 4;
const TIME: Duration = Duration::from_secs(5);
/// The writer's pause once it has written what is due.
const PAUSE: Duration = Duration::from_millis(1);

/// Reads until the end as a follower does: as long as there are flows, and then waits for more.
async fn follow(ring: Arc<Ring>, ended: Arc<AtomicBool>, sum: Arc<Mutex<(u64, u64)>>) {
    let (mut at, mut seen, mut missed) = (ring.written(), 0, 0);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let last = ended.load(Ordering::Acquire);
        let read = ring.read(at..u64::MAX, &mut batch);
        seen += std::hint::black_box(&batch).len() as u64;
        missed += read.missed;
        at = read.first + batch.len() as u64;
        if batch.is_empty() {
            if last {
                break;
            }
            drop(tokio::time::timeout(Duration::from_millis(50), ring.wait_for(at)).await);
        }
    }
    let mut sum = sum.lock().unwrap();
    *sum = (sum.0 + seen, sum.1 + missed);
}

pub fn paced() {
    heading("10,000,000 records/s for 5 s, a ring of 262,143, four followers on two tokio workers");
    let (mut writer, ring, records) = records(262_143);
    let (ended, sum) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new((0, 0))));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tasks: Vec<_> = (0..FOLLOWERS)
        .map(|_| runtime.spawn(follow(Arc::clone(&ring), Arc::clone(&ended), Arc::clone(&sum))))
        .collect();
    thread::sleep(Duration::from_millis(100));

    let cpu = || cpu_time::now(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    let own = || cpu_time::now(ClockId::CLOCK_THREAD_CPUTIME_ID);
    let (before, own_before, begin, mut written) = (cpu(), own(), Instant::now(), 0_u64);
    let mut batches = records.chunks_exact(BATCH).cycle();
    while begin.elapsed() < TIME {
        let due = u64::try_from(begin.elapsed().as_nanos() * u128::from(RATE) / 1_000_000_000).unwrap();
        while written < due {
            let batch = batches.next().unwrap();
            writer.write(batch);
            written += batch.len() as u64;
        }
        writer.wake();
        thread::sleep(PAUSE);
    }
    let wall = begin.elapsed();
    let own = own().saturating_sub(own_before);
    ended.store(true, Ordering::Release);
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    let all = cpu().saturating_sub(before);
    let (seen, missed) = *sum.lock().unwrap();
    let share = |cpu: Duration| cpu.as_secs_f64() / wall.as_secs_f64();
    let million = |count: u64| count as f64 / wall.as_secs_f64() / 1e6;
    row("written", million(written), "M/s", Goal::AtLeast(9.9));
    row("writer", share(own), "cores", Goal::None);
    row("writer and four followers", share(all), "cores", Goal::AtMost(0.5));
    row("read by the followers together", million(seen), "M/s", Goal::None);
    row("missed", missed as f64, "records", Goal::AtMost(0.0));
}
