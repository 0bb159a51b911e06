//! What the terminals are like that people read on.

use fluxtap_config::Color;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use terminal_size::terminal_size_of;

/// Columns of the terminal; `None` if it is none, or does not say.
pub(crate) fn columns(stream: &impl AsFd) -> Option<usize> {
    terminal_size_of(stream).map(|(width, _)| usize::from(width.0)).filter(|columns| *columns > 0)
}

/// Whether what goes to `stream` is coloured. Left to itself the program colours terminals only,
/// and none where NO_COLOR (<https://no-color.org>) is set.
pub(crate) fn is_colored(color: Color, stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|text| !text.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb
        }
    }
}
