//! `spipe --progress`: how much, how fast and for how long, in one line of the terminal.
//!
//! Owns the line and the thread that draws it. Refuses to make the data wait: what carries it adds
//! to two counters, and only this thread waits for a terminal that takes nothing. Next: `stdio.rs`,
//! which counts.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::stdio::Counts;
use crate::logger::Logger;

/// Time between two drawings.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long the last drawing may take when the process ends.
const LAST_DRAWING: Duration = Duration::from_millis(500);

const LINE: &str = "{sent} sent, {received} received, {binary_bytes_per_sec}, {elapsed_precise}";

/// A line that is drawn until this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    /// Dropped to end the thread.
    go_on: Option<Sender<()>>,
    /// Closed by the thread when it has drawn its last.
    drawing: Receiver<()>,
}

impl Progress {
    /// Begins to draw, if standard error is a terminal on which one can.
    pub(super) fn start(counts: Arc<Counts>, logger: &Logger) -> Option<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
        if dumb || !io::stderr().is_terminal() {
            return None;
        }
        logger.replace_line();
        let (go_on, stop) = mpsc::channel();
        let (done, drawing) = mpsc::channel();
        let thread = thread::Builder::new().name("progress".to_owned());
        let spawned = thread.spawn(move || {
            draw(&counts, &stop);
            drop::<Sender<()>>(done);
        });
        if let Err(error) = spawned {
            log::warn!("--progress: there is no thread for it: {error}");
            return None;
        }
        Some(Self { go_on: Some(go_on), drawing })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.go_on = None;
        // A terminal that was stopped would make us wait for ever; what it misses is the last line.
        let _ = self.drawing.recv_timeout(LAST_DRAWING);
    }
}

/// Draws until the other end of the channel is gone.
fn draw(counts: &Arc<Counts>, stop: &Receiver<()>) {
    let count = |counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicU64| {
        let counts = Arc::clone(counts);
        move |_: &ProgressState, line: &mut dyn Write| {
            // The line is a String.
            let _ = write!(line, "{}", BinaryBytes(which(&counts).load(Ordering::Relaxed)));
        }
    };
    let style = ProgressStyle::with_template(LINE)
        .expect("the template is constant")
        .with_key("sent", count(counts, |counts| &counts.sent))
        .with_key("received", count(counts, |counts| &counts.received));
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    let update = || {
        let [sent, received] = [&counts.sent, &counts.received].map(|n| n.load(Ordering::Relaxed));
        bar.set_position(sent + received); // what the rate is made from
    };
    while stop.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        update();
        bar.tick();
    }
    update();
    bar.abandon();
    // Or the shell's prompt would stand behind it.
    let _ = io::Write::write_all(&mut io::stderr(), b"\n");
}
