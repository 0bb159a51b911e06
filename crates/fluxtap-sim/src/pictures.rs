//! The quality grid as pictures: recall, time to detect, and false alerts beside older detectors.
//!
//! They are made of the JSON that is checked in and of nothing else, so a test can tell whether they
//! belong to it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::svg::{Anchor, COLOURS, GREY, ROW, Svg};

/// The pictures of a grid, in the form of `docs/quality-grid.json`, with the names of their files.
///
/// # Errors
/// What is missing in the grid.
pub fn pictures(grid: &Value) -> Result<Vec<(&'static str, String)>, String> {
    let rows = list(grid, "rows")?;
    Ok(vec![
        ("quality-recall.svg", recall(rows)?),
        ("quality-time.svg", time(rows)?),
        ("quality-false.svg", false_alerts(rows)?),
    ])
}

/// Taps, as the second words of scenarios name them, in the order of the columns.
const TAPS: [&str; 4] = ["below", "above", "loss", "disorder"];

/// Width of a column and of what stands in front of the first.
const COLUMN: f64 = 170.0;
const FRONT: f64 = 120.0;
/// The part of a column that is drawn into.
const PLOT: f64 = 120.0;

/// Families with what is drawn of them at each tap.
type Cells<'a> = BTreeMap<&'a str, [Option<&'a Value>; TAPS.len()]>;

/// The families of flux in the scenarios of hours, days and a week, with lists. A family is in
/// several of them, so the first counts, which is the shortest.
fn cells(rows: &[Value]) -> Result<Cells<'_>, String> {
    let mut cells = Cells::new();
    for row in rows.iter().filter(|row| row["lists"] == "with lists") {
        let name = text(row, "scenario")?;
        let tap =
            name.split('-').nth(1).and_then(|tap| TAPS.iter().position(|known| *known == tap));
        let Some(tap) = tap else { continue };
        for family in list(&row["report"], "flux")? {
            let cell = &mut cells.entry(text(family, "family")?).or_default()[tap];
            // What a day or a week shows of name servers is more than three hours do.
            if cell.is_none() || name.starts_with("week") {
                *cell = Some(family);
            }
        }
    }
    Ok(cells)
}

fn recall(rows: &[Value]) -> Result<String, String> {
    let caption = "share found at medium or high (dot) and at low or above (light bar), \
                   with 95 % intervals";
    by_family(rows, "Recall by family", caption, &["0", "0.5", "1"], |svg, x, y, family| {
        let at = |share: f64| x + PLOT * share;
        let medium = &family["found"]["medium"];
        let (low, high) =
            (number(&medium["interval"], "low")?, number(&medium["interval"], "high")?);
        let of = number(medium, "of")?.max(1.0);
        let any = number(&family["found"], "low")? / of;
        svg.line((at(0.0), y), (at(any), y), "#cfe3f1", 6.0);
        svg.line((at(low), y), (at(high), y), COLOURS[0], 1.5);
        svg.dot(at(number(medium, "share")?), y, COLOURS[0]);
        svg.text(at(1.0) + 6.0, y + 4.0, Anchor::Start, GREY, format!("{of}"));
        Ok(())
    })
}

/// Minutes at either end of the axis of times.
const MINUTES: (f64, f64) = (1.0, 10_080.0);

fn time(rows: &[Value]) -> Result<String, String> {
    let caption = "minutes from the first answer to an alert of medium: half of the domains (dot) and \
                   95 % of them (end of the line); an arrow where fewer are found";
    let ticks = ["1 min", "100 min", "7 d"];
    by_family(rows, "Time to detect by family", caption, &ticks, |svg, x, y, family| {
        let at = |minutes: f64| {
            let share = libm::log(minutes.clamp(MINUTES.0, MINUTES.1) / MINUTES.0)
                / libm::log(MINUTES.1 / MINUTES.0);
            x + PLOT * share
        };
        let quantile = |name| family["minutes"][name].as_f64();
        let Some(half) = quantile("p50") else {
            svg.text(x, y + 4.0, Anchor::Start, GREY, "under half found");
            return Ok(());
        };
        let end = quantile("p95");
        svg.line((at(half), y), (end.map_or(x + PLOT, at), y), COLOURS[0], 1.5);
        svg.dot(at(half), y, COLOURS[0]);
        let told = match end {
            Some(end) => minutes_told(end),
            None => ">".to_owned(),
        };
        svg.text(x + PLOT + 6.0, y + 4.0, Anchor::Start, GREY, told);
        Ok(())
    })
}

fn minutes_told(minutes: f64) -> String {
    if minutes < 120.0 { format!("{minutes:.0} min") } else { format!("{:.0} h", minutes / 60.0) }
}

/// One row a family, one column a tap; `draw` is given the place of each.
fn by_family(
    rows: &[Value],
    title: &str,
    caption: &str,
    ticks: &[&str],
    draw: impl Fn(&mut Svg, f64, f64, &Value) -> Result<(), String>,
) -> Result<String, String> {
    let cells = cells(rows)?;
    let mut svg = Svg::new(FRONT + COLUMN * TAPS.len() as f64);
    svg.text(8.0, 18.0, Anchor::Start, "#000", title);
    svg.text(8.0, 33.0, Anchor::Start, GREY, caption);
    let (top, bottom) = (60.0, 68.0 + ROW * cells.len() as f64);
    for (column, tap) in TAPS.iter().enumerate() {
        let x = FRONT + COLUMN * column as f64;
        svg.text(x + PLOT / 2.0, 52.0, Anchor::Middle, "#000", tap);
        for (place, tick) in ticks.iter().enumerate() {
            let x = x + PLOT * place as f64 / (ticks.len() - 1) as f64;
            svg.line((x, top), (x, bottom), "#dddddd", 1.0);
            svg.text(x, bottom + 12.0, Anchor::Middle, GREY, tick);
        }
    }
    for (place, (family, taps)) in cells.iter().enumerate() {
        let y = 72.0 + ROW * place as f64;
        svg.text(FRONT - 10.0, y + 4.0, Anchor::End, "#000", family);
        for (column, cell) in taps.iter().enumerate() {
            if let Some(cell) = cell {
                draw(&mut svg, FRONT + COLUMN * column as f64, y, cell)?;
            }
        }
    }
    Ok(svg.finish(bottom + 22.0, title))
}

/// False alerts by a million domains a day at either end of the axis.
const RATES: (f64, f64) = (0.1, 1_000_000.0);

/// One block a scenario, one row a detector: false alerts with their interval, and recall.
fn false_alerts(rows: &[Value]) -> Result<String, String> {
    let title = "False alerts beside older detectors";
    let (front, plot) = (150.0, 420.0);
    let at = |rate: f64| {
        let rate = rate.clamp(RATES.0, RATES.1);
        front + plot * libm::log(rate / RATES.0) / libm::log(RATES.1 / RATES.0)
    };
    let mut svg = Svg::new(740.0);
    let caption = "by a million domains a day, with 95 % intervals where they are no wider than the \
                   axis; beside them the share of flux found";
    svg.text(8.0, 18.0, Anchor::Start, "#000", title);
    svg.text(8.0, 33.0, Anchor::Start, GREY, caption);
    let top = 48.0;
    let mut y = top;
    let mut marks = Vec::new();
    for row in rows {
        let report = &row["report"];
        let name = format!("{}, {}", text(row, "scenario")?, text(row, "lists")?);
        marks.push((y + 8.0, name));
        y += ROW + 4.0;
        let fluxtap = ("fluxtap", &report["recall"]["medium"], &report["false_medium"]);
        let others = list(report, "compared")?.iter();
        let others = others.map(|other| {
            Ok::<_, String>((text(other, "name")?, &other["recall"], &other["false_alerts"]))
        });
        let mut detectors = vec![fluxtap];
        for other in others {
            detectors.push(other?);
        }
        for (colour, (name, recall, found)) in detectors.into_iter().enumerate() {
            let colour = COLOURS[colour % COLOURS.len()];
            let (low, high) =
                (number(&found["interval"], "low")?, number(&found["interval"], "high")?);
            let rate = number(found, "per_million")?;
            svg.text(front - 10.0, y + 4.0, Anchor::End, colour, name);
            svg.line((at(low), y), (at(high), y), colour, 1.5);
            svg.dot(at(rate), y, colour);
            let told = format!("{rate:.0} false; {:.2} found", number(recall, "share")?);
            svg.text(front + plot + 10.0, y + 4.0, Anchor::Start, colour, told);
            y += 13.0;
        }
        y += 4.0;
    }
    for tick in [0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0] {
        svg.line((at(tick), top), (at(tick), y), "#eeeeee", 1.0);
        let told = if tick < 1.0 { "0 to 0.1".to_owned() } else { format!("{tick:.0}") };
        svg.text(at(tick), y + 12.0, Anchor::Middle, GREY, told);
    }
    for (y, name) in marks {
        svg.text(8.0, y + 4.0, Anchor::Start, "#000", name);
    }
    Ok(svg.finish(y + 22.0, title))
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a [Value], String> {
    value[name].as_array().map(Vec::as_slice).ok_or_else(|| missing(name, "a list"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value[name].as_str().ok_or_else(|| missing(name, "text"))
}

fn number(value: &Value, name: &str) -> Result<f64, String> {
    value[name].as_f64().ok_or_else(|| missing(name, "a number"))
}

fn missing(name: &str, what: &str) -> String {
    format!("quality grid: got no '{name}', expected {what}; make it anew with make quality")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest picture, in bytes.
    const OCTETS_MAX: usize = 60_000;

    #[test]
    fn the_pictures_belong_to_the_grid_that_is_checked_in() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");
        let read = |name: &str| std::fs::read_to_string(format!("{docs}{name}")).expect(name);
        let grid: Value = serde_json::from_str(&read("quality-grid.json")).expect("JSON");
        for (name, picture) in pictures(&grid).expect("a whole grid") {
            assert!(picture.len() < OCTETS_MAX, "{name}: {} bytes", picture.len());
            assert!(picture == read(name), "{name} is of another grid: make quality-pictures");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (grid, expect) in [
            (serde_json::json!({}), "'rows'"),
            (serde_json::json!({ "rows": [{ "lists": "with lists" }] }), "'scenario'"),
        ] {
            let mistake = pictures(&grid).expect_err("a grid that lacks something");
            assert!(mistake.contains(expect), "{mistake}");
        }
    }
}
