use std::fmt;

use crate::{Report, report::Row};

/// The table of a report, as text.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![["metric", "policy", "mean", "from .. to", "unit", "goal", ""].map(str::to_owned)];
        // The figures of one metric beside each other, in the order in which metrics first appear.
        let mut metrics: Vec<&str> = Vec::new();
        for metric in self.rows.iter().map(|row| &*row.mean.metric).chain(self.published.iter().map(|it| it.metric)) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        for metric in metrics {
            lines.extend(self.rows.iter().filter(|row| row.mean.metric == metric).map(line));
            lines.extend(self.published.iter().filter(|it| it.metric == metric).map(|it| {
                let note = format!("{}: {}", it.origin, it.source);
                [it.metric, it.policy, &number(it.value), "", it.unit, "", &note].map(str::to_owned)
            }));
        }

        let widths: [usize; 7] = std::array::from_fn(|column| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        });
        let mut last = "";
        for line in &lines {
            let metric = if line[0] == last { "" } else { &line[0] };
            last = &line[0];
            let mut text = String::new();
            for (column, cell) in line.iter().enumerate() {
                let cell = if column == 0 { metric } else { cell };
                let width = widths[column];
                text += &match column {
                    2 | 3 => format!("{cell:>width$}  "),
                    _ => format!("{cell:<width$}  "),
                };
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

fn line(row: &Row) -> [String; 7] {
    let it = &row.mean;
    let spread = format!("{} .. {}", number(row.least), number(row.most));
    let goal = it.goal.map_or_else(String::new, |goal| goal.to_string());
    let met = match row.is_met() {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    [it.metric.clone(), it.policy.clone(), number(it.value), spread, it.unit.to_owned(), goal, met.to_owned()]
}

/// About four digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "never".to_owned(),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
