//! The terminal, the process and the clock, around a view.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::control::{Command, Reply};
use crate::runtime::{Recent, Status};
use crate::types::visible_line;

use super::View;
use super::history::Told;
use super::screen::{Palette, draw};
use super::view::{Effect, Order};

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotRun {
    #[error(
        "this is no terminal, or one that cannot be painted on\n  help: `evener status --watch` tells the same anywhere"
    )]
    NoTerminal,
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
}

/// How often the process is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Keys and answers, and orders, that wait at most.
const MOST_WAITING: usize = 64;
/// How soon the thread that reads keys notices the end.
const LOOK: Duration = Duration::from_millis(100);

/// What comes in.
enum Input {
    Terminal(Event),
    /// Nothing will come of the terminal any more.
    Closed,
    Told(Box<Status>),
    /// What a process did lately.
    Recent(u32, Recent),
    Trouble(String),
    /// What an order came to.
    Done(String),
}

/// Shows what the process tells that `ask` asks, until a key or a signal ends it.
///
/// # Errors
/// When there is no terminal to show it on.
pub(crate) fn run<A>(ask: A) -> Result<(), CannotRun>
where
    A: Fn(&Command) -> Result<Reply, String> + Send + Sync + 'static,
{
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !is_terminal || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(CannotRun::NoTerminal);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let signals = Signals::new()?;
        // From here on the terminal is restored whatever happens; a panic does it before it tells of itself.
        let screen = Screen(ratatui::try_init().inspect_err(|_| ratatui::restore())?);
        show(screen, signals, Arc::new(ask)).await
    });
    // Nobody waits for an answer that may still be under way.
    runtime.shutdown_background();
    Ok(ended?)
}

async fn show<A>(mut screen: Screen, mut signals: Signals, ask: Arc<A>) -> io::Result<()>
where
    A: Fn(&Command) -> Result<Reply, String> + Send + Sync + 'static,
{
    let (sender, mut inputs) = channel(MOST_WAITING);
    let is_over = Arc::new(AtomicBool::new(false));
    read_keys(sender.clone(), is_over.clone());
    let (orders, wanted) = channel(MOST_WAITING);
    tokio::spawn(keep_asking(ask, wanted, sender));
    let (mut view, palette) = (View::default(), Palette::from_environment());
    let ended = loop {
        if let Err(error) = screen.0.draw(|frame| draw(&mut view, palette, frame)) {
            break Err(error);
        }
        let input = tokio::select! {
            () = signals.recv() => break Ok(()),
            input = inputs.recv() => input.unwrap_or(Input::Closed),
        };
        if take(&mut view, input, &orders).is_some_and(|effect| effect == Effect::Quit) {
            break Ok(());
        }
        // All that has come by now is painted at once.
        let mut quits = false;
        while let Ok(input) = inputs.try_recv() {
            quits |= take(&mut view, input, &orders).is_some_and(|effect| effect == Effect::Quit);
        }
        if quits {
            break Ok(());
        }
    };
    // Nobody waits for whoever reads: where the terminal is gone, the reader may never come back.
    is_over.store(true, Ordering::Relaxed);
    ended
}

/// Does what an input means; gives back the end, if it is that.
fn take(view: &mut View, input: Input, orders: &Sender<Order>) -> Option<Effect> {
    match input {
        Input::Terminal(Event::Key(key)) if key.kind != KeyEventKind::Release => match view.press(key)? {
            Effect::Give(order) => {
                // Whoever carries orders out lives as long as this.
                if orders.try_send(order).is_err() {
                    view.message = Some("too many orders wait for the process".to_owned());
                }
            }
            Effect::Quit => return Some(Effect::Quit),
        },
        // The next picture has the new size.
        Input::Terminal(_) => {}
        Input::Closed => return Some(Effect::Quit),
        Input::Told(status) => view.tell(*status),
        Input::Recent(process, recent) => view.add(process, recent),
        Input::Trouble(why) => view.trouble = Some(first_line(&why)),
        Input::Done(told) => view.message = Some(first_line(&told)),
    }
    None
}

fn first_line(text: &str) -> String {
    visible_line(text.lines().next().unwrap_or_default())
}

/// Asks the process once in a while, and carries orders out in between, each followed by a look.
async fn keep_asking<A>(ask: Arc<A>, mut orders: Receiver<Order>, sender: Sender<Input>)
where
    A: Fn(&Command) -> Result<Reply, String> + Send + Sync + 'static,
{
    let mut past = Told::default();
    loop {
        let told = match asked(&ask, Command::Status { pool: None }).await {
            Ok(Reply::Status(status)) => Input::Told(status),
            Ok(_) => Input::Trouble("the process gave an answer to another question".to_owned()),
            Err(why) => Input::Trouble(why),
        };
        let process = if let Input::Told(status) = &told { Some(status.process) } else { None };
        if sender.send(told).await.is_err() {
            return;
        }
        if let Some(process) = process
            // One of another version may not know the question; what it does now is shown all the same.
            && let Ok(Reply::Recent(recent)) = asked(&ask, past.question(process)).await
        {
            past.note(&recent);
            if sender.send(Input::Recent(process, recent)).await.is_err() {
                return;
            }
        }
        let Ok(order) = tokio::time::timeout(EVERY, orders.recv()).await else { continue };
        let Some(command) = order.as_ref().and_then(Order::command) else { return };
        let done = asked(&ask, command).await.map_or_else(|why| why, |reply| in_words(&reply));
        if sender.send(Input::Done(done)).await.is_err() {
            return;
        }
    }
}

async fn asked<A>(ask: &Arc<A>, command: Command) -> Result<Reply, String>
where
    A: Fn(&Command) -> Result<Reply, String> + Send + Sync + 'static,
{
    let ask = ask.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&command)).await;
    asked.unwrap_or_else(|error| Err(error.to_string()))
}

fn in_words(reply: &Reply) -> String {
    match reply {
        Reply::Drained => "drained".to_owned(),
        Reply::Draining { in_flight } => format!("draining, {in_flight} in flight"),
        Reply::Undrained { state } => format!("taken in again: {state}"),
        Reply::Weight { from, to } => format!("weight {to}, was {from}"),
        _ => "the process gave an answer to another question".to_owned(),
    }
}

/// The terminal, which is as it was once this is gone.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        // Where the terminal is gone, nobody sees how it is left.
        let _ = ratatui::try_restore();
    }
}

/// Has a thread of its own read keys, since that waits.
fn read_keys(sender: Sender<Input>, is_over: Arc<AtomicBool>) {
    thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            let read = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read().map_or(Input::Closed, Input::Terminal),
                Err(_) => Input::Closed,
            };
            let is_last = matches!(read, Input::Closed);
            if sender.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
}

/// Those that end it.
struct Signals([Signal; 4]);

impl Signals {
    fn new() -> io::Result<Self> {
        let kinds =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
        let [one, two, three, four] = kinds.map(signal);
        Ok(Self([one?, two?, three?, four?]))
    }

    async fn recv(&mut self) {
        let [one, two, three, four] = &mut self.0;
        tokio::select! {
            _ = one.recv() => {}
            _ = two.recv() => {}
            _ = three.recv() => {}
            _ = four.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::testing::{change, sample, status};

    #[tokio::test]
    async fn the_past_of_a_process_is_asked_for_once() {
        let ask = |command: &Command| match command {
            Command::Status { .. } => Ok(Reply::Status(Box::new(status()))),
            Command::Recent { sample: 0, transition: 0 } => Ok(Reply::Recent(Recent {
                samples: vec![sample(1000, 5.0)],
                transitions: vec![change(3, "unfit")],
            })),
            Command::Recent { sample: 1000, transition: 3 } => Ok(Reply::Recent(Recent::default())),
            Command::Drain { .. } => Ok(Reply::Drained),
            other => panic!("{other:?}"),
        };
        let (sender, mut inputs) = channel(MOST_WAITING);
        let (orders, wanted) = channel(MOST_WAITING);
        // An order is followed by another look at once.
        orders.send(Order::Drain("app/10.0.0.1:80".to_owned())).await.unwrap();
        tokio::spawn(keep_asking(Arc::new(ask), wanted, sender));
        let mut view = View::default();
        for _ in 0..5 {
            take(&mut view, inputs.recv().await.unwrap(), &orders);
        }
        assert_eq!((view.history.samples().len(), view.history.changes().count()), (1, 1));
        assert_eq!(view.message.as_deref(), Some("drained"));
    }
}
