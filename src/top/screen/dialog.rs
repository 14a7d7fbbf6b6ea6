use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::top::View;
use crate::top::view::{Mode, Order};

use super::middle;
use super::palette::{Palette, Tone};

const HELP: [&str; 12] = [
    "arrows, j k      the next row, or the one before",
    "PgUp PgDn g G    further, to the first, to the last",
    "tab, 1 to 7      the next tab, or this one",
    "/                show only what has these letters; esc ends it",
    "s                another order: file, rate, p99, in flight, state",
    "p                stay, and go on",
    "d                drain the endpoint that is chosen",
    "u                take it in again",
    "w                give it another weight; 0 drains it",
    "q, ctrl-c        end",
    "",
    "any key closes this",
];

/// Paints what has to be answered, or read, first.
pub(super) fn draw(view: &View, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let (title, lines) = match &view.mode {
        Mode::Browse | Mode::Filter => return,
        Mode::Help => ("keys", HELP.map(str::to_owned).to_vec()),
        Mode::Confirm(order) => ("sure?", vec![asked(order), "y: yes   any other key: no".to_owned()]),
        Mode::Weight { target, from, input } => (
            "weight",
            vec![
                format!("The weight of {target} is {from}."),
                format!("Make it: {input}█"),
                "enter: do it   esc: no".to_owned(),
            ],
        ),
    };
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let size = |count: usize| u16::try_from(count + 2).unwrap_or(u16::MAX);
    let area = middle(area, size(width + 2), size(lines.len()));
    let lines: Vec<_> = lines.into_iter().map(|line| Line::from(format!(" {line}"))).collect();
    let block = Block::bordered().title(format!(" {title} ")).border_style(palette.of(Tone::Strong));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn asked(order: &Order) -> String {
    match order {
        Order::Drain(target) => format!("Drain {target}? It gets no new requests."),
        Order::Undrain(target) => format!("Take {target} in again?"),
        Order::Weight(target, weight) => format!("Give {target} the weight {weight}?"),
    }
}
