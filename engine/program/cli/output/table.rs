//! Columns under headings, two spaces apart. Knows how long text is on the screen, not what it says.

use super::paint::Paint;

/// Between two columns.
const GAP: &str = "  ";

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A text and the status whose colour it has.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    like: Option<String>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        // What stands in a table was often said by others.
        Self { text: crate::error::printable(&text.into()), like: None }
    }
}

impl Cell {
    /// A status in its colour.
    pub(crate) fn status(word: impl Into<String>) -> Self {
        let text = crate::error::printable(&word.into());
        Self { like: Some(text.clone()), text }
    }
}

impl Table {
    /// An empty table.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// One more row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Lines no longer than `width`: the last column is cut.
    pub(crate) fn render(&self, paint: Paint, width: Option<usize>) -> String {
        let widths: Vec<usize> = (0..self.headings.len()).map(|column| self.width_of(column)).collect();
        let headings = self.headings.iter().map(|heading| (length(heading), paint.dim(heading)));
        let mut text = joined(headings, &widths);
        for row in &self.rows {
            let mut used = 0;
            let last = row.len().saturating_sub(1);
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let room = width.filter(|_| column == last).map(|width| width.saturating_sub(used));
                used += widths[column] + GAP.len();
                let shown = room.map_or_else(|| cell.text.clone(), |room| cut(&cell.text, room));
                let painted =
                    cell.like.as_ref().map_or_else(|| shown.clone(), |like| paint.like(like, &shown));
                (length(&shown), painted)
            });
            text.push_str(&joined(cells, &widths));
        }
        text
    }

    fn width_of(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| length(&cell.text));
        cells.chain([length(self.headings[column])]).max().unwrap_or(0)
    }
}

/// Painted texts with their lengths, padded to the widths.
fn joined(cells: impl Iterator<Item = (usize, String)>, widths: &[usize]) -> String {
    let mut line = String::new();
    let mut owed = 0;
    for ((length, painted), width) in cells.zip(widths) {
        if length > 0 {
            line.push_str(&" ".repeat(owed));
            line.push_str(&painted);
            owed = 0;
        }
        owed += width.saturating_sub(length) + GAP.len();
    }
    line.push('\n');
    line
}

/// Characters; wide ones count as one, which is good enough for names.
pub(crate) fn length(text: &str) -> usize {
    text.chars().count()
}

/// The text, at most so long; what is missing is shown by an ellipsis.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if length(text) <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn columns_stand_under_their_headings() {
        let mut table = Table::new(&["RUN", "STATUS", "MESSAGE"]);
        table.row(vec!["a".into(), Cell::status("succeeded"), "restarted three replicas".into()]);
        table.row(vec!["long".into(), Cell::status("failed")]);
        expect![[r"
            RUN   STATUS     MESSAGE
            a     succeeded  restarted thr…
            long  failed
        "]]
        .assert_eq(&table.render(Paint(false), Some(31)));
    }

    #[test]
    fn what_others_say_does_not_steer_the_terminal() {
        let mut table = Table::new(&["ABOUT"]);
        table.row(vec!["a\u{1b}[2J\nb".into()]);
        assert_eq!(table.render(Paint(false), None), "ABOUT\na\\u{1b}[2J b\n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(&["STATUS", "RUN"]);
        table.row(vec![Cell::status("failed"), "a".into()]);
        let text = table.render(Paint(true), None);
        assert!(text.contains("\u{1b}[31mfailed\u{1b}[0m  a"), "{text:?}");
    }
}
