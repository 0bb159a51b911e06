//! Pictures of figures: as much of SVG as charts need, the same bytes for the same figures.

use std::fmt::{Display, Write as _};

/// Height of a row of text, and of what stands beside it.
pub(crate) const ROW: f64 = 16.0;

/// Colours that are told apart by those who see fewer (Okabe and Ito 2008), by place.
pub(crate) const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];

/// What is no figure: axes, captions.
pub(crate) const GREY: &str = "#767676";

/// A picture under way.
#[derive(Debug)]
pub(crate) struct Svg {
    body: String,
    width: f64,
}

/// Where text stands with respect to its place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) const fn new(width: f64) -> Self {
        Self { body: String::new(), width }
    }

    pub(crate) fn text(
        &mut self,
        x: f64,
        y: f64,
        anchor: Anchor,
        colour: &str,
        text: impl Display,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor='middle'",
            Anchor::End => " text-anchor='end'",
        };
        let text = text.to_string().replace('&', "&amp;").replace('<', "&lt;");
        let (x, y) = (short(x), short(y));
        let _ = writeln!(self.body, "<text x='{x}' y='{y}' fill='{colour}'{anchor}>{text}</text>");
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let path = format!("M{} {}L{} {}", short(from.0), short(from.1), short(to.0), short(to.1));
        let width = short(width);
        let _ = writeln!(self.body, "<path d='{path}' stroke='{colour}' stroke-width='{width}'/>");
    }

    /// A line through several places.
    pub(crate) fn curve(&mut self, places: &[(f64, f64)], colour: &str) {
        let places: Vec<String> =
            places.iter().map(|(x, y)| format!("{} {}", short(*x), short(*y))).collect();
        let path = places.join("L");
        let _ = writeln!(self.body, "<path d='M{path}' stroke='{colour}' fill='none'/>");
    }

    pub(crate) fn dot(&mut self, x: f64, y: f64, colour: &str) {
        let _ = writeln!(
            self.body,
            "<circle cx='{}' cy='{}' r='3' fill='{colour}'/>",
            short(x),
            short(y)
        );
    }

    /// A row of dots with their words, as a key to the colours.
    pub(crate) fn key(&mut self, x: f64, y: f64, words: &[(&str, &str)]) {
        let mut x = x;
        for (word, colour) in words {
            self.dot(x, y - 4.0, colour);
            self.text(x + 7.0, y, Anchor::Start, "#000", word);
            x += 24.0 + 6.6 * word.len() as f64;
        }
    }

    /// The file, with the title for those who do not see it.
    pub(crate) fn finish(self, height: f64, title: &str) -> String {
        let Self { body, width } = self;
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' \
             font-family='sans-serif' font-size='11'>\n<title>{title}</title>\n\
             <rect width='{width}' height='{height}' fill='#fff'/>\n{body}</svg>\n"
        )
    }
}

/// A length with at most one decimal.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
