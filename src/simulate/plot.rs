//! The latencies of all policies as one drawing.

use std::time::Duration;

use plotters::prelude::*;

use super::report::Row;

type PlotError = Box<dyn std::error::Error>;

/// Colours that can be told apart also by those who confuse red and green (Okabe and Ito, "Color Universal Design",
/// 2008), and two more.
const COLOURS: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(150, 150, 150),
    RGBColor(136, 34, 85),
];
const SIZE: (u32, u32) = (960, 560);
const FONT: &str = "sans-serif";

/// Draws what share of the requests was answered within which time, both on logarithmic scales, so that tails can be
/// compared: the further to the left a line runs, the better.
pub(super) fn draw(title: &str, rows: &[Row]) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (shortest, longest) = latency_range(rows);
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 24))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d((shortest..longest).log_scale(), (1.0..smallest_share(rows)).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("latency in ms")
            .y_desc("answered within, % of the requests")
            .x_label_formatter(&|latency| format!("{}", (latency * 1000.0).round() / 1000.0))
            .y_label_formatter(&percent_label)
            .label_style((FONT, 18))
            .light_line_style(RGBColor(240, 240, 240))
            .bold_line_style(RGBColor(215, 215, 215))
            .draw()?;
        for (row, colour) in rows.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            let sample = move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style);
            chart
                .draw_series(LineSeries::new(tail(&row.latencies), style))?
                .label(&row.policy)
                .legend(sample);
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.9))
            .border_style(RGBColor(215, 215, 215))
            .label_font((FONT, 18))
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

/// Points of a line: a latency, and the share of requests that took as long or longer. All of the slowest requests, and
/// ever fewer of the others.
fn tail(sorted: &[Duration]) -> Vec<(f64, f64)> {
    const POINTS_FOR_E_TIMES_AS_MANY: usize = 24;
    let mut points = Vec::new();
    let mut slower = 1;
    while slower <= sorted.len() {
        let latency = sorted[sorted.len() - slower];
        points.push((millis(latency), slower as f64 / sorted.len() as f64));
        slower += (slower / POINTS_FOR_E_TIMES_AS_MANY).max(1);
    }
    points
}

fn millis(latency: Duration) -> f64 {
    (latency.as_nanos() as f64 / 1e6).max(0.001)
}

/// From a latency that one request in ten stays below, since the very shortest tell nothing, to the longest.
fn latency_range(rows: &[Row]) -> (f64, f64) {
    let served = || rows.iter().filter(|row| !row.latencies.is_empty());
    let short = served().map(|row| millis(row.latencies[row.latencies.len() / 10]));
    let longest = served().map(|row| millis(row.latencies[row.latencies.len() - 1]));
    let shortest = short.fold(f64::INFINITY, f64::min);
    let longest = longest.fold(0.0, f64::max);
    if shortest < longest { (shortest, longest) } else { (0.1, 1000.0) }
}

/// Down to a single request, in powers of ten; a bit less, so that the last one is on the axis however it is rounded.
fn smallest_share(rows: &[Row]) -> f64 {
    let most = rows.iter().map(|row| row.latencies.len()).max().unwrap_or(1);
    let mut count = 10;
    while count < most {
        count *= 10;
    }
    0.999 / count as f64
}

/// 0.1 as `90`, 0.001 as `99.9`.
fn percent_label(share: &f64) -> String {
    let percent = 100.0 * (1.0 - share);
    format!("{}", (percent * 10_000.0).round() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::engine::Outcomes;

    fn row(policy: &str, latencies: impl Iterator<Item = u64>) -> Row {
        let latencies: Vec<_> = latencies.map(Duration::from_millis).collect();
        let count = latencies.len();
        Row::new(policy.to_owned(), count, Outcomes { latencies, ..Outcomes::default() })
    }

    #[test]
    fn shows_every_policy_by_name_and_the_tail_in_powers_of_ten() {
        let rows = [row("p2c", 1..=2000), row("<own>", 2..=5000)];
        let svg = draw("a & b", &rows).unwrap();
        for text in ["a &amp; b", "p2c", "&lt;own&gt;", "99.99", "latency in ms", "1000"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert_eq!(svg, draw("a & b", &rows).unwrap());
        assert!(svg.len() < 60_000, "{}", svg.len());
    }

    #[test]
    fn nothing_to_show_is_an_empty_drawing() {
        assert!(draw("none", &[row("p2c", std::iter::empty())]).unwrap().contains("none"));
    }

    #[test]
    fn a_tail_has_all_of_the_slowest_and_few_of_the_rest() {
        let sorted: Vec<_> = (1..=100_000).map(Duration::from_millis).collect();
        let points = tail(&sorted);
        assert_eq!(points[..2], [(100_000.0, 1e-5), (99_999.0, 2e-5)]);
        assert!(points.len() < 300, "{}", points.len());
    }
}
