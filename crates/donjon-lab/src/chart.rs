use std::{error::Error, path::Path};

use plotters::{
    backend::SVGBackend,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{PathElement, Rectangle, Text},
    style::text_anchor::{HPos, Pos, VPos},
    style::{Color, FontStyle, IntoFont, RGBColor, TextStyle, WHITE},
};

use crate::{Goal, Origin, Report};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// The picture of a report: panels of bars, or of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Above all of it.
    pub title: String,
    /// Two beside each other.
    pub panels: Vec<Panel>,
}

/// One part of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What it shows, with its unit.
    pub title: String,
    /// Its bars or lines.
    pub shape: Shape,
}

/// How a panel shows its figures.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// One bar for each policy, its figure beside it, and the goal as a line.
    Bars {
        /// The figures, from above.
        bars: Vec<Bar>,
        /// What ours was meant to reach.
        goal: Option<Goal>,
    },
    /// Lines over an axis.
    Lines {
        /// What the horizontal axis is, with its unit.
        x: String,
        /// What the vertical axis is, with its unit.
        y: String,
        /// The lines.
        series: Vec<Series>,
    },
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Whose it is.
    pub policy: String,
    /// How long; one that is not a number reaches to the end.
    pub value: f64,
    /// Who says so, if it was not run here.
    pub origin: Option<Origin>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Whose it is.
    pub policy: String,
    /// Where it goes.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: u32 = 1280;
const TITLE: u32 = 48;
const LEGEND: u32 = 40;
const ROW: i32 = 28;
const LINES_HEIGHT: i32 = 420;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0xd0, 0xd0, 0xd0);
const OURS: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const PEERS: RGBColor = RGBColor(0x9a, 0x9a, 0x9a);
const PUBLISHED: RGBColor = RGBColor(0xd9, 0xc7, 0x9a);
const MODELLED: RGBColor = RGBColor(0xb5, 0xcf, 0xb0);
const GOAL: RGBColor = RGBColor(0xb0, 0x30, 0x20);
/// Of lines, which are not told apart by a name beside them; ours takes the first.
const PALETTE: [RGBColor; 6] = [
    OURS,
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0x88, 0x55, 0xaa),
    RGBColor(0x66, 0x66, 0x66),
    RGBColor(0xcc, 0x9a, 0x00),
];

// ===== impl Chart =====

impl Chart {
    /// Bars, a panel for each of these metrics of the report.
    #[must_use]
    pub fn bars(title: &str, report: &Report, metrics: &[&str]) -> Self {
        let panels = metrics.iter().map(|metric| Panel::bars(report, metric)).collect();
        Self { title: title.to_owned(), panels }
    }

    /// Writes it as SVG. Its text names no font but `sans-serif`, and the same chart makes the same bytes.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Drawn {
        let rows: Vec<i32> =
            self.panels.chunks(2).map(|row| row.iter().map(Panel::height).max().unwrap_or(0)).collect();
        let height = TITLE + LEGEND + rows.iter().sum::<i32>() as u32;
        let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let at = (WIDTH as i32 / 2, TITLE as i32 / 2);
        text(&root, &self.title, at, 28, FontStyle::Bold, HPos::Center)?;

        let (_, rest) = root.split_vertically(TITLE);
        let mut above = 0;
        for (row, height) in self.panels.chunks(2).zip(&rows) {
            let wide = WIDTH as i32 / row.len() as i32;
            for (column, panel) in row.iter().enumerate() {
                let left = column as i32 * wide;
                let area = rest.clone().shrink((left, above), (wide, *height));
                panel.draw(&area)?;
            }
            above += height;
        }
        self.legend(&rest, above)?;
        root.present()?;
        Ok(())
    }

    /// What the colours of its bars mean.
    fn legend(&self, area: &Area<'_>, above: i32) -> Drawn {
        let shapes = || self.panels.iter().map(|panel| &panel.shape);
        let bars = || shapes().flat_map(|it| if let Shape::Bars { bars, .. } = it { &**bars } else { &[] });
        let goal = shapes().any(|it| matches!(it, Shape::Bars { goal: Some(_), .. }));
        let has = |colour| bars().any(|bar| bar.colour() == colour);
        let entries = [
            (OURS, "donjon", has(OURS)),
            (PEERS, "others, run here", has(PEERS)),
            (PUBLISHED, "published elsewhere", has(PUBLISHED)),
            (MODELLED, "modelled elsewhere", has(MODELLED)),
            (GOAL, "goal of donjon", goal),
        ];
        for (at, (colour, name, _)) in entries.into_iter().filter(|(.., is_there)| *is_there).enumerate() {
            let left = 60 + at as i32 * 244;
            let top = above + 12;
            area.draw(&Rectangle::new([(left, top), (left + 18, top + 16)], colour.filled()))?;
            text(area, name, (left + 26, top + 8), 20, FontStyle::Normal, HPos::Left)?;
        }
        Ok(())
    }
}

// ===== impl Bar =====

impl Bar {
    fn colour(&self) -> RGBColor {
        match self.origin {
            Some(Origin::Published) => PUBLISHED,
            Some(Origin::Modelled) => MODELLED,
            None if self.policy.starts_with("donjon") => OURS,
            None => PEERS,
        }
    }
}

// ===== impl Panel =====

impl Panel {
    /// A bar for each policy that has this metric.
    #[must_use]
    pub fn bars(report: &Report, metric: &str) -> Self {
        let measured = report.rows.iter().filter(|row| row.mean.metric == metric);
        let published = report.published.iter().filter(|it| it.metric == metric);
        let bar = |policy: &str, value, origin| Bar { policy: policy.to_owned(), value, origin };
        let unit = measured.clone().map(|row| row.mean.unit).chain(published.clone().map(|it| it.unit)).next();
        let bars = measured
            .clone()
            .map(|row| bar(&row.mean.policy, row.mean.value, None))
            .chain(published.map(|it| bar(it.policy, it.value, Some(it.origin))))
            .collect();
        let goal = measured.clone().find_map(|row| row.mean.goal);
        let title = match unit {
            Some(unit) if !unit.is_empty() => format!("{metric} [{unit}]"),
            _ => metric.to_owned(),
        };
        Self { title, shape: Shape::Bars { bars, goal } }
    }

    /// Lines.
    #[must_use]
    pub fn lines(title: &str, x: &str, y: &str, series: Vec<Series>) -> Self {
        Self { title: title.to_owned(), shape: Shape::Lines { x: x.to_owned(), y: y.to_owned(), series } }
    }

    fn height(&self) -> i32 {
        match &self.shape {
            Shape::Bars { bars, .. } => 40 + bars.len() as i32 * ROW + 44,
            Shape::Lines { series, .. } => LINES_HEIGHT + series.len().div_ceil(2) as i32 * ROW,
        }
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        text(area, &self.title, (16, 20), 22, FontStyle::Bold, HPos::Left)?;
        match &self.shape {
            Shape::Bars { bars, goal } => draw_bars(area, bars, *goal),
            Shape::Lines { x, y, series } => draw_lines(area, x, y, series),
        }
    }
}

fn draw_bars(area: &Area<'_>, bars: &[Bar], goal: Option<Goal>) -> Drawn {
    let (wide, _) = area.dim_in_pixel();
    // Room for the longest name, at the width of a wide letter.
    let longest = bars.iter().map(|bar| bar.policy.chars().count()).max().unwrap_or_default();
    let (left, right, top) = ((longest as i32 * 11 + 30).max(250), wide as i32 - 90, 40);
    let bottom = top + bars.len() as i32 * ROW;
    let bound = match goal {
        Some(Goal::AtMost(it) | Goal::AtLeast(it)) => it,
        None => 0.0,
    };
    let most = bars.iter().map(|bar| bar.value).filter(|value| value.is_finite()).fold(bound, f64::max);
    let axis = Axis::new(0.0, most, left, right);

    for tick in axis.ticks() {
        let x = axis.at(tick);
        area.draw(&PathElement::new([(x, top), (x, bottom + 4)], FAINT))?;
        text(area, &tick_label(tick), (x, bottom + 16), 18, FontStyle::Normal, HPos::Center)?;
    }
    for (row, bar) in bars.iter().enumerate() {
        let y = top + row as i32 * ROW;
        text(area, &bar.policy, (left - 10, y + ROW / 2), 19, FontStyle::Normal, HPos::Right)?;
        let (end, style, label) = if bar.value.is_nan() {
            (right, bar.colour().mix(0.35).filled(), "never".to_owned())
        } else {
            (axis.at(bar.value), bar.colour().filled(), short(bar.value))
        };
        area.draw(&Rectangle::new([(left, y + 4), (end, y + ROW - 4)], style))?;
        text(area, &label, (end + 8, y + ROW / 2), 19, FontStyle::Normal, HPos::Left)?;
    }
    if goal.is_some() {
        let x = axis.at(bound);
        area.draw(&PathElement::new([(x, top - 4), (x, bottom + 4)], GOAL.stroke_width(2)))?;
    }
    area.draw(&PathElement::new([(left, top), (left, bottom + 4)], INK))?;
    Ok(())
}

fn draw_lines(area: &Area<'_>, x_name: &str, y_name: &str, series: &[Series]) -> Drawn {
    let (wide, _) = area.dim_in_pixel();
    let (left, right, top, bottom) = (90, wide as i32 - 40, 64, LINES_HEIGHT - 70);
    let points = || series.iter().flat_map(|it| &it.points).filter(|(_, y)| y.is_finite());
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    let x_axis = Axis::new(points().map(|it| it.0).fold(f64::INFINITY, f64::min), most(|it| it.0), left, right);
    // Upwards.
    let y_axis = Axis::new(0.0, most(|it| it.1), bottom, top);

    for tick in x_axis.ticks() {
        let x = x_axis.at(tick);
        area.draw(&PathElement::new([(x, top), (x, bottom)], FAINT))?;
        text(area, &tick_label(tick), (x, bottom + 16), 18, FontStyle::Normal, HPos::Center)?;
    }
    for tick in y_axis.ticks() {
        let y = y_axis.at(tick);
        area.draw(&PathElement::new([(left, y), (right, y)], FAINT))?;
        text(area, &tick_label(tick), (left - 8, y), 18, FontStyle::Normal, HPos::Right)?;
    }
    area.draw(&PathElement::new([(left, top), (left, bottom), (right, bottom)], INK))?;
    text(area, y_name, (left - 60, top - 18), 19, FontStyle::Normal, HPos::Left)?;
    text(area, x_name, ((left + right) / 2, bottom + 42), 19, FontStyle::Normal, HPos::Center)?;

    for (at, line) in series.iter().enumerate() {
        let colour = PALETTE[at % PALETTE.len()];
        let path: Vec<_> =
            line.points.iter().filter(|(_, y)| y.is_finite()).map(|&(x, y)| (x_axis.at(x), y_axis.at(y))).collect();
        let stroke = colour.stroke_width(if at == 0 { 4 } else { 2 });
        area.draw(&PathElement::new(path, stroke))?;
        let (column, row) = (at as i32 % 2, at as i32 / 2);
        let (x, y) = (left + column * (right - left) / 2, bottom + 70 + row * ROW);
        area.draw(&PathElement::new([(x, y), (x + 36, y)], stroke))?;
        text(area, &line.policy, (x + 46, y), 19, FontStyle::Normal, HPos::Left)?;
    }
    Ok(())
}

fn text(area: &Area<'_>, what: &str, at: (i32, i32), size: i32, style: FontStyle, side: HPos) -> Drawn {
    // The backend writes 1 / 1.24 of the size that it is told.
    let font = ("sans-serif", f64::from(size) * 1.24).into_font().style(style);
    let style = TextStyle::from(font).color(&INK).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(what.to_owned(), at, style))?;
    Ok(())
}

/// As few digits as say it.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// A round number, without noughts that say nothing.
fn tick_label(value: f64) -> String {
    let digits = format!("{value:.3}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

// ===== impl Axis =====

/// A linear axis between two pixels.
struct Axis {
    least: f64,
    most: f64,
    from: i32,
    to: i32,
    step: f64,
}

impl Axis {
    fn new(least: f64, most: f64, from: i32, to: i32) -> Self {
        let most = if most > least { most } else { least + 1.0 };
        let rough = (most - least) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        // Steps so large that each label has room, at the width of its digits.
        let room = |step: f64| (step / (most - least) * f64::from((to - from).abs())) as usize;
        let fits =
            |step: &f64| *step >= rough && room(*step) >= tick_label((most / step).floor() * step).len() * 12 + 16;
        let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].map(|times| times * power).into_iter().find(fits);
        Self { least, most, from, to, step: step.unwrap_or(rough) }
    }

    fn at(&self, value: f64) -> i32 {
        let share = (value - self.least) / (self.most - self.least);
        self.from + (share * f64::from(self.to - self.from)).round() as i32
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let first = (self.least / self.step).ceil() as i64;
        let last = (self.most / self.step + 1e-9).floor() as i64;
        let step = self.step;
        (first..=last).map(move |at| at as f64 * step)
    }
}
