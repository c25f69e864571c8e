//! What was asked and how it was answered, a row each, in a file of `SQLite`: one transaction for many rows.

use std::{
    error::Error,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use rusqlite::Connection;
use steadfast::{
    BatchCollector,
    batch_collector::{Batch, Flushed},
    observe::publish,
    settings::BatchCollectorSettings,
};

/// A request that was answered. Its first two fields are its name: a batch that is written again, because nobody knew
/// whether it was, adds nothing.
pub(crate) struct Row {
    /// When the process began, in ns.
    run: i64,
    number: i64,
    request: String,
    status: u16,
}

/// A handle on the collector of rows.
pub(crate) struct Audit {
    rows: BatchCollector<Row>,
    run: i64,
    next: AtomicU64,
}

impl Audit {
    pub(crate) fn open(file: &Path, settings: &BatchCollectorSettings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let table = Connection::open(file)?;
        table.busy_timeout(Duration::from_secs(1))?;
        table.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE IF NOT EXISTS audit (
                 run INTEGER, number INTEGER, request TEXT NOT NULL, status INTEGER NOT NULL, PRIMARY KEY (run, number)
             ) WITHOUT ROWID;",
        )?;
        let table = Arc::new(Mutex::new(table));
        let rows = settings.builder().on_failed(|rows: Batch<Row>| lost(&rows)).build(move |rows: Batch<Row>| {
            let table = table.clone();
            // A task that has begun is finished, also if nobody waits for it.
            let written = tokio::task::spawn_blocking(move || {
                let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
                write(&mut table, &rows).err().map(|error| {
                    eprintln!("audit: {error}, tried again");
                    rows
                })
            });
            async { written.await.map_or(Flushed::Failed, Flushed::from) }
        })?;
        let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        Ok(Self { rows, run: i64::try_from(run)?, next: AtomicU64::new(0) })
    }

    pub(crate) fn apply(&self, settings: &BatchCollectorSettings) {
        self.rows.set_settings(settings.settings());
    }

    /// Hands its counts to the recorder of metrics.
    pub(crate) fn publish(&self) {
        publish("audit", &self.rows);
    }

    /// Waits while the file is behind.
    pub(crate) async fn note(&self, request: String, status: u16) {
        let number = self.next.fetch_add(1, Ordering::Relaxed).cast_signed();
        let row = Row { run: self.run, number, request, status };
        if let Err(error) = self.rows.add(row).await {
            lost(&[error.into_item()]);
        }
    }

    /// Writes what is left; true if all is written.
    pub(crate) async fn stop_within(&self, wait: Duration) -> bool {
        let left = self.rows.stop_within(wait).await;
        lost(&left);
        let stats = self.rows.stats();
        if stats.in_flight > 0 {
            eprintln!("audit: {} rows may not be written", stats.in_flight);
        }
        left.is_empty() && stats.failed == 0 && stats.in_flight == 0
    }
}

fn write(table: &mut Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let transaction = table.transaction()?;
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?)")?;
    for row in rows {
        insert.execute((row.run, row.number, &row.request, row.status))?;
    }
    drop(insert);
    transaction.commit()
}

/// The last resort.
fn lost(rows: &[Row]) {
    for row in rows {
        eprintln!("audit: not written: {} {}", row.request, row.status);
    }
}
