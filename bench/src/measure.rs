//! Runs the rows: windows alone and beside the abuser in turns, on a world of its own each.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bench::document;
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};
use tunnel::program::stop_signal;

use crate::args::{Kind, Load, Table};
use crate::bare::Bare;
use crate::bystander::Bystander;
use crate::front;
use crate::report::{self, Measured, NO_CALLS_MS, Verdict};
use crate::rows::{self, COMPARISON, Row};
use crate::sample::Sample;
use crate::upstream::has_nginx;
use crate::vitals::{Peak, calm, resident_kib};
use crate::world::{NAME, World};

/// Calls before anything is measured: connections are up, caches and windows are warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// Between the abuser's end and the next window alone: resets reach the upstream.
const CALM_DOWN: Duration = Duration::from_millis(300);
/// How long stalled calls may take to fill what they may hold: two million small frames take seconds.
const SETTLE: Duration = Duration::from_secs(20);
/// How long the hub's memory may take to come back.
const COME_BACK: Duration = Duration::from_secs(20);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(250);
/// How much longer than its windows a row may take in all.
const ROW_MARGIN: Duration = Duration::from_secs(240);

/// Measures what `table` asks for and prints it; whether all of it keeps the promise.
///
/// # Errors
/// Something of ours did not start, or nothing fits `--only`.
pub(crate) fn run(table: &Table) -> Result<bool> {
    let rows: Vec<_> = rows::all().filter(|row| is_asked_for(row, &table.only)).collect();
    ensure!(!rows.is_empty(), "no row fits --only; --list tells which there are");
    if table.list {
        rows.iter().for_each(|row| report::say(&format!("{:34} {}", row.id(), row.words())));
        return Ok(true);
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let head = report::head(table);
    head.iter().for_each(|line| report::say(line));
    let mut lines = Vec::new();
    let mut take = |row: &Row, like: Option<f64>| -> Result<_> {
        let measured = LocalSet::new().block_on(&runtime, unless_stopped(measure(table, row)))?;
        let excuse = measured.without_hub.map(|(alone, beside)| {
            // One that answers nobody excuses nothing.
            if beside < NO_CALLS_MS { measured.alone(0.99) * beside / alone } else { 0.0 }
        });
        let verdict = Verdict::of(row, &measured, excuse.or(like));
        let line = report::line(row, &measured, &verdict);
        report::say(&line);
        lines.push(line);
        Ok((measured.beside(0.99), verdict.is_kept()))
    };
    let (mut machine, mut crowd): (f64, f64) = (0.0, 0.0);
    for row in COMPARISON {
        let like = if row.callers == 1 { &mut machine } else { &mut crowd };
        *like = like.max(take(row, None)?.0);
    }
    let mut kept = true;
    for row in &rows {
        kept &= take(row, Some(if row.callers == 1 { machine } else { crowd }))?.1;
    }
    if let Some(file) = &table.write {
        document::put(file, report::MARKS, &head, &lines, table.only.is_empty())?;
    }
    Ok(kept)
}

fn is_asked_for(row: &Row, only: &[String]) -> bool {
    let (id, words) = (row.id(), row.words());
    only.is_empty() || only.iter().any(|part| id.contains(part) || words.contains(part))
}

/// Ends early on a signal, so that everything that was started is ended, too.
async fn unless_stopped<T>(work: impl Future<Output = T>) -> Result<T> {
    let stop = stop_signal()?;
    tokio::select! {
        done = work => Ok(done),
        () = stop => bail!("stopped by a signal"),
    }
}

/// Why a row cannot be had.
fn missing(table: &Table, row: &Row) -> Option<&'static str> {
    if let Some(why) = row.front.and_then(|front| front::missing(front, &table.envoy)) {
        return Some(why);
    }
    match row.upstream {
        Kind::Nginx if !has_nginx() => Some("nginx is not installed"),
        Kind::Netty if table.netty.is_none() => Some("without --netty"),
        _ => None,
    }
}

/// One row. What goes wrong with it is its result.
async fn measure(table: &Table, row: &Row) -> Measured {
    let missing = missing(table, row);
    let mut measured = Measured { missing, ..Measured::default() };
    if measured.missing.is_some() {
        return measured;
    }
    let windows = Duration::from_secs(2 * table.pairs * table.seconds);
    match timeout(windows + ROW_MARGIN, windows_of(table, row, &mut measured)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => measured.broken = Some(error.to_string()),
        Err(_) => measured.broken = Some("did not end in time".to_owned()),
    }
    measured
}

async fn windows_of(table: &Table, row: &Row, measured: &mut Measured) -> Result<()> {
    let length = Duration::from_secs(table.seconds);
    let mut world = World::start(table, row)?;
    measured.client_kib = world.client_kib;
    measured.lanes_kib = world.lanes_kib;
    let bystander =
        Bystander::new(world.entry.clone(), NAME, world.bystander_token(), row.upstream)?;
    let usual = bystander.calls(Load::One, WARM_UP).await.quantile(0.5).unwrap_or_default();
    measured.before_kib = resident_kib(world.hub.pid());
    for _ in 0..table.pairs {
        measured.alone.push(bystander.calls(table.load, length).await);
        let beside = beside(table, row, &world, &bystander, measured).await?;
        measured.beside.push(beside);
        sleep(CALM_DOWN).await;
        recover(&bystander, measured, usual).await;
    }
    if let Some(program) = world.dead() {
        bail!("the {program} has ended");
    }
    measured.told = world.upstream_closed()?;
    measured.without_hub = without_hub(table, row).await?;
    measured.after_kib = come_back(world.hub.pid(), measured.room_kib()).await;
    Ok(())
}

/// A window beside the abuser.
async fn beside(
    table: &Table,
    row: &Row,
    world: &World,
    bystander: &Rc<Bystander>,
    measured: &mut Measured,
) -> Result<Sample> {
    let peak = Peak::of(world.hub.pid());
    let abuser = world.abuser(row)?;
    if row.settles {
        calm(world.hub.pid(), SETTLE).await;
    }
    let sample = bystander.calls(table.load, Duration::from_secs(table.seconds)).await;
    measured.during_kib = measured.during_kib.max(peak.kib());
    measured.did = abuser.finish();
    Ok(sample)
}

/// Waits until calls are answered again, and about as fast as before any abuse, so that a window alone is
/// one. The calls that fail meanwhile count: nobody else is there.
async fn recover(bystander: &Rc<Bystander>, measured: &mut Measured, usual: f64) {
    const STEP: Duration = Duration::from_millis(100);
    const STEPS: u32 = 100;
    const SLOWER: f64 = 3.0;
    for _ in 0..STEPS {
        let sample = bystander.calls(Load::One, STEP).await;
        let well = sample.quantile(0.5).is_some_and(|median| median < usual * SLOWER);
        let failed = sample.failed() > 0;
        measured.late.merge(&sample);
        if well && !failed {
            return;
        }
    }
}

/// p99 alone and beside the abuser where the front stands before a server itself: what comes of that, no hub can mend.
async fn without_hub(table: &Table, row: &Row) -> Result<Option<(f64, f64)>> {
    let Some(front) = row.front else {
        return Ok(None);
    };
    let bare = Bare::start(table, front)?;
    let bystander = Bystander::new(bare.entry(), NAME, None, Kind::H2)?;
    bystander.calls(Load::One, WARM_UP).await;
    let p99 = async || {
        let sample = bystander.calls(table.load, Duration::from_secs(table.seconds)).await;
        sample.quantile(0.99).unwrap_or(NO_CALLS_MS)
    };
    let alone = p99().await;
    let _abuser = bare.abuser(row)?;
    Ok(Some((alone, p99().await)))
}

/// The hub's memory once it fits into `room`, or else when it had its time.
async fn come_back(hub: u32, room_kib: u64) -> u64 {
    let until = Instant::now() + COME_BACK;
    loop {
        let now = resident_kib(hub);
        if now <= room_kib || Instant::now() > until {
            return now;
        }
        sleep(LOOK).await;
    }
}
