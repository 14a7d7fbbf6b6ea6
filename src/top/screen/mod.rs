//! Paints what a view has to show.

mod dialog;
mod header;
mod palette;
mod table;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::View;
use super::view::{Mode, Sort, Tab};

pub(super) use palette::Palette;
use palette::Tone;

/// With less room there is nothing to be read.
const LEAST: (u16, u16) = (24, 6);

/// Paints everything.
pub(super) fn draw(view: &mut View, palette: Palette, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Line::from("too small"), area);
        return;
    }
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ];
    let [process, figures, tabs, body, footer] = Layout::vertical(rows).areas(area);
    header::draw(view, palette, frame, [process, figures]);
    frame.render_widget(tab_line(view, palette), tabs);
    table::draw(view, palette, frame, body);
    frame.render_widget(foot_line(view, palette), footer);
    dialog::draw(view, palette, frame, body);
}

fn tab_line<'v>(view: &View, palette: Palette) -> Line<'v> {
    let tab = |(index, tab): (usize, Tab)| {
        let style = match tab == view.tab {
            true => palette.of(Tone::Strong).add_modifier(Modifier::REVERSED),
            false => palette.of(Tone::Faint),
        };
        Span::styled(format!(" {} {} ", index + 1, tab.title()), style)
    };
    Line::from_iter(Tab::ALL.into_iter().enumerate().map(tab))
}

/// What keys are for, what the last order came to, or why nothing is told.
fn foot_line<'v>(view: &View, palette: Palette) -> Line<'v> {
    if view.mode == Mode::Filter {
        return Line::from(format!("/{}█", view.filter));
    }
    if let Some(trouble) = &view.trouble {
        return Line::styled(trouble.clone(), palette.of(Tone::Bad));
    }
    if let Some(message) = &view.message {
        return Line::styled(message.clone(), palette.of(Tone::Strong));
    }
    let mut told = String::new();
    if !view.filter.is_empty() {
        told += &format!("[/{}] ", view.filter);
    }
    if view.sort != Sort::File {
        told += &format!("[by {}] ", view.sort.title());
    }
    told += "? help  tab next  / filter  s sort  p pause  d drain  u undrain  w weight  q quit";
    Line::styled(told, palette.of(Tone::Faint))
}

/// The middle of an area.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}
