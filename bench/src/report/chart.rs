//! Charts as SVG, written by hand: bars with whiskers and curves are all that is needed, and the text
//! must come out the same from the same results, which a plotting library does not promise over its
//! versions.

use std::fmt::Write as _;

use super::lines::{Judged, LINES};
use super::results::{Curve, Results};
use super::spread::{Spread, number, quantity};
use crate::measure::{Series, Unit};

const WIDTH: f64 = 860.0;
const LABELS: f64 = 330.0;
const VALUES: f64 = 110.0;
const ROW: f64 = 22.0;
const TOP: f64 = 56.0;
const OURS: &str = "#2f6fb0";
const THEIRS: &str = "#9aa5b1";
const INK: &str = "#1f2933";
/// A scale is logarithmic when its ends lie further apart than this.
const FAR_APART: f64 = 20.0;

/// A chart.
pub(super) struct Chart {
    /// The file's name without its ending.
    pub(super) name: String,
    /// What it shows.
    pub(super) title: String,
    /// The subject it belongs to; none for the one over all lines.
    pub(super) subject: Option<String>,
    pub(super) svg: String,
}

struct Bar {
    label: String,
    ours: bool,
    low: f64,
    median: f64,
    high: f64,
    text: String,
}

/// Every chart of the page.
pub(super) fn all(results: &Results) -> Vec<Chart> {
    let mut charts = vec![lines(results)];
    for (subject, sheet) in &results.subjects {
        for (dimension, title, units) in DIMENSIONS {
            let fits = |series: &&(&String, &Series)| units.contains(&series.1.unit);
            let series: Vec<(&String, &Series)> = sheet.series.iter().collect();
            let bars: Vec<Bar> = series.iter().filter(fits).filter_map(|(name, series)| bar(name, series)).collect();
            if bars.len() > 1 {
                let title = format!("{subject}: {title}");
                let svg = bars_svg(&title, &bars, None);
                charts.push(Chart {
                    name: format!("{subject}-{dimension}"),
                    title,
                    subject: Some(subject.clone()),
                    svg,
                });
            }
        }
    }
    for (name, curve) in &results.curves {
        let slug: String =
            name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let title = format!("{name}, ns");
        let svg = curve_svg(&title, curve);
        charts.push(Chart { name: format!("curve-{slug}"), title, subject: Some("curves".to_owned()), svg });
    }
    charts
}

/// Units that stand on one axis.
const DIMENSIONS: [(&str, &str, &[Unit]); 7] = [
    ("ns", "nanoseconds per operation, less is better", &[Unit::CpuNanos, Unit::Nanos]),
    ("us", "microseconds, less is better", &[Unit::Micros]),
    ("cpu", "microseconds of server CPU per request, less is better", &[Unit::ServerMicros]),
    ("ms", "milliseconds, less is better", &[Unit::Millis]),
    ("s", "seconds, less is better", &[Unit::Seconds]),
    ("rate", "per second, more is better", &[Unit::PerSecond]),
    ("bytes", "bytes per entry, less is better", &[Unit::Bytes]),
];

fn bar(name: &str, series: &Series) -> Option<Bar> {
    let spread = Spread::of(&series.rounds)?;
    let ours = ["annul", "view", "reader", "writer", "verifier", "snapshot"].iter().any(|own| name.starts_with(own));
    let text = quantity(spread.median, series.unit);
    Some(Bar { label: name.to_owned(), ours, low: spread.least, median: spread.median, high: spread.most, text })
}

/// How many times its bar each line reached.
fn lines(results: &Results) -> Chart {
    let title = "Times the bar that each line reached (1 = the bar, mark = the star)".to_owned();
    let judged: Vec<Judged> = LINES.iter().map(|line| line.judge(results)).collect();
    let bars = judged.iter().filter_map(|judged| {
        let median = judged.times_the_bar()?;
        let label = judged.line.id.to_owned();
        Some((
            Bar { label, ours: median >= 1.0, low: median, median, high: median, text: number(median) },
            judged.star_in_bars(),
        ))
    });
    let (bars, stars): (Vec<Bar>, Vec<f64>) = bars.unzip();
    let svg = bars_svg(&title, &bars, Some(&stars));
    Chart { name: "lines".to_owned(), title, subject: None, svg }
}

/// From a value to a place between 0 and 1.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        let low = values.filter(|value| *value > 0.0).fold(high, f64::min);
        let logarithmic = high / low > FAR_APART;
        Self { low: if logarithmic { low / 2.0 } else { 0.0 }, high, logarithmic }
    }

    fn place(&self, value: f64) -> f64 {
        let place = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            value / self.high
        };
        place.clamp(0.0, 1.0)
    }

    const fn name(&self) -> &'static str {
        if self.logarithmic { "logarithmic scale" } else { "linear scale" }
    }
}

fn bars_svg(title: &str, bars: &[Bar], marks: Option<&[f64]>) -> String {
    let marks = marks.unwrap_or_default();
    let values = bars.iter().flat_map(|bar| [bar.low, bar.high]).chain(marks.iter().copied());
    let scale = Scale::over(values);
    let room = WIDTH - LABELS - VALUES;
    let x = |value: f64| LABELS + scale.place(value) * room;
    let height = TOP + ROW * f64::from(u32::try_from(bars.len()).unwrap_or(u32::MAX)) + 12.0;
    let mut svg = opening(title, scale.name(), height);
    let mut y = TOP;
    for (index, bar) in bars.iter().enumerate() {
        let (middle, colour) = (y + ROW / 2.0, if bar.ours { OURS } else { THEIRS });
        text(&mut svg, LABELS - 8.0, middle + 4.0, "end", &bar.label);
        let length = (x(bar.median) - LABELS).max(1.0);
        let _ = writeln!(
            svg,
            r#"<rect x="{LABELS:.1}" y="{:.1}" width="{length:.1}" height="{:.1}" fill="{colour}"/>"#,
            y + 3.0,
            ROW - 6.0
        );
        if bar.high > bar.low {
            stroke(&mut svg, (x(bar.low), middle), (x(bar.high), middle));
        }
        if let Some(mark) = marks.get(index) {
            stroke(&mut svg, (x(*mark), y + 2.0), (x(*mark), y + ROW - 2.0));
        }
        text(&mut svg, WIDTH - VALUES + 8.0, middle + 4.0, "start", &bar.text);
        y += ROW;
    }
    if !marks.is_empty() {
        stroke(&mut svg, (x(1.0), TOP), (x(1.0), y));
    }
    svg.push_str("</svg>\n");
    svg
}

#[expect(clippy::cast_precision_loss, reason = "a place on a chart")]
fn curve_svg(title: &str, curve: &Curve) -> String {
    const HEIGHT: f64 = 320.0;
    const LEFT: f64 = 80.0;
    let sizes = Scale::over(curve.points.iter().map(|point| point.at as f64));
    let values = Scale::over(curve.points.iter().flat_map(|point| [point.low, point.high]));
    let x = |at: u64| LEFT + sizes.place(at as f64) * (WIDTH - LEFT - 100.0);
    let y = |value: f64| HEIGHT - 50.0 - values.place(value) * (HEIGHT - 50.0 - TOP - 20.0);
    let mut svg = opening(title, values.name(), HEIGHT);
    let places: Vec<String> =
        curve.points.iter().map(|point| format!("{:.1},{:.1}", x(point.at), y(point.median))).collect();
    let _ = writeln!(svg, r#"<polyline points="{}" fill="none" stroke="{OURS}" stroke-width="2"/>"#, places.join(" "));
    for point in &curve.points {
        let at = x(point.at);
        let _ = writeln!(svg, r#"<circle cx="{at:.1}" cy="{:.1}" r="4" fill="{OURS}"/>"#, y(point.median));
        stroke(&mut svg, (at, y(point.low)), (at, y(point.high)));
        text(&mut svg, at, y(point.median) - 12.0, "middle", &number(point.median));
        text(&mut svg, at, HEIGHT - 28.0, "middle", &number(point.at as f64));
    }
    text(&mut svg, WIDTH / 2.0, HEIGHT - 8.0, "middle", &curve.along);
    svg.push_str("</svg>\n");
    svg
}

fn opening(title: &str, scale: &str, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escape(title)
    );
    let _ =
        writeln!(svg, r#"<text x="16" y="24" font-size="15" font-weight="bold" fill="{INK}">{}</text>"#, escape(title));
    text(&mut svg, 16.0, 42.0, "start", scale);
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ =
        writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{INK}">{}</text>"#, escape(words));
}

fn stroke(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{INK}" stroke-width="1.5"/>"#,
        from.0, from.1, to.0, to.1
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
