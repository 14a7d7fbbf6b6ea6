use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;

use crate::control::figures::{self, NONE};
use crate::runtime::Sample;
use crate::top::View;

use super::palette::{Palette, Tone};

/// A number of a second, in thousandths.
type Figure = fn(&Sample) -> u64;

/// What the process does as a whole: a line that says which one it is, and a line of figures with their last minutes.
pub(super) fn draw(view: &View, palette: Palette, frame: &mut Frame<'_>, [process, numbers]: [Rect; 2]) {
    frame.render_widget(process_line(view, palette), process);
    let last = view.history.samples().next_back();
    let [answered, failed] = [last.map(|last| last.requests_per_s), last.map(|last| last.errors_per_s)];
    let minute = view.status.as_ref().map(|status| status.last_minute).unwrap_or_default();
    let [half, most, nearly_all] = [minute.p50_ms, minute.p95_ms, minute.p99_ms].map(figures::millis);
    let tone = if failed.is_some_and(|failed| failed > 0.0) { Tone::Bad } else { Tone::Plain };
    let rate = |per_s: Option<f64>| per_s.map_or_else(|| NONE.to_owned(), figures::rate);
    let parts = [
        (format!("req/s {}", rate(answered)), Tone::Strong, requests as Figure),
        (format!("5xx/s {}", rate(failed)), tone, errors as Figure),
        (format!("p50 {half} p95 {most} p99 {nearly_all}"), Tone::Plain, p99 as Figure),
    ];
    let texts: usize = parts.iter().map(|(text, ..)| text.chars().count() + 2).sum();
    let room = usize::from(numbers.width).saturating_sub(texts) / parts.len();
    // Bars of a few seconds tell nothing.
    let room = u16::try_from(room).unwrap_or(0);
    let room = if room < 8 { 0 } else { room.min(60) };
    let widths = parts.iter().flat_map(|(text, ..)| {
        let text = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        [Constraint::Length(text + 1), Constraint::Length(room + 1)]
    });
    let areas = Layout::horizontal(widths).split(numbers);
    for ((text, tone, number), areas) in parts.into_iter().zip(areas.chunks(2)) {
        frame.render_widget(Line::styled(text, palette.of(tone)), areas[0]);
        let bars = Rect { width: areas[1].width.saturating_sub(1), ..areas[1] };
        let samples = view.history.samples();
        let skipped = samples.len().saturating_sub(bars.width.into());
        let data: Vec<_> = samples.skip(skipped).map(number).collect();
        frame.render_widget(Sparkline::default().data(data).style(palette.of(tone)), bars);
    }
}

fn process_line<'v>(view: &View, palette: Palette) -> Line<'v> {
    let Some(status) = &view.status else { return Line::from("waits for an answer") };
    let up = figures::uptime(status.uptime_s);
    let mut spans = vec![
        Span::styled(format!("evener {}", status.version), palette.of(Tone::Strong)),
        Span::raw(format!("  process {}  up {up}  generation {}", status.process, status.generation)),
    ];
    if status.draining {
        spans.push(Span::styled("  DRAINING", palette.of(Tone::Bad)));
    }
    if view.is_paused {
        spans.push(Span::styled("  PAUSED", palette.of(Tone::Warn)));
    }
    Line::from(spans)
}

fn requests(sample: &Sample) -> u64 {
    (sample.requests_per_s * 1000.0) as u64
}

fn errors(sample: &Sample) -> u64 {
    (sample.errors_per_s * 1000.0) as u64
}

fn p99(sample: &Sample) -> u64 {
    (sample.p99_ms.unwrap_or(0.0) * 1000.0) as u64
}
