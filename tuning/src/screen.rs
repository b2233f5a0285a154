//! A view that is drawn again and again in its place on a terminal.

use std::io::{self, Write};

use crate::sys::terminal_size;

/// Cursor home; clear to the end of a line; clear to the end of the screen.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";
/// The other screen, without a cursor; and back. What stood on the terminal before is there again afterwards.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Assumed where the terminal does not say.
const SIZE_DEFAULT: (usize, usize) = (100, 40);

/// The terminal's other screen, given back when dropped.
#[derive(Debug)]
pub(crate) struct Screen;

impl Screen {
    /// Takes the terminal on standard output.
    pub(crate) fn enter() -> io::Result<Screen> {
        let mut out = io::stdout().lock();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(Screen)
    }

    /// Rows that a view can have.
    pub(crate) fn rows() -> usize {
        terminal_size().unwrap_or(SIZE_DEFAULT).1
    }

    /// Draws the lines over what stood there, cut to the terminal's size.
    pub(crate) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let (columns, rows) = terminal_size().unwrap_or(SIZE_DEFAULT);
        let mut out = io::stdout().lock();
        // One write for the whole view, so that it does not flicker.
        out.write_all(frame(lines, columns, rows).as_bytes())?;
        out.flush()
    }
}

fn frame(lines: &[String], columns: usize, rows: usize) -> String {
    let mut text = String::from(HOME);
    for (index, line) in lines.iter().take(rows).enumerate() {
        if index > 0 {
            text.push_str("\r\n");
        }
        text.extend(line.chars().take(columns));
        text.push_str(CLEAR_LINE);
    }
    text.push_str(CLEAR_REST);
    text
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Nothing can be done about a terminal that is gone.
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_the_terminal() {
        let lines: Vec<String> = ["abcdef", "x", "never"].map(String::from).into();
        assert_eq!(frame(&lines, 3, 2), format!("{HOME}abc{CLEAR_LINE}\r\nx{CLEAR_LINE}{CLEAR_REST}"));
    }
}
