//! Tables for people.
//!
//! Owns: how every table of tierctl looks: no lines, two spaces between columns, numbers to the
//! right, and only the last column wrapped where the terminal ends.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

use crate::printer::Look;

/// What the last column keeps, however narrow the terminal is.
const LAST_COLUMNS_MIN: u16 = 20;

/// A column: its heading, and on which side its content stands.
pub(crate) enum Column<'a> {
    /// Text.
    Left(&'a str),
    /// A number.
    Right(&'a str),
}

/// Rows under headings. Ends with a line break; without rows there are only the headings.
pub(crate) fn table(
    look: Look,
    columns: &[Column<'_>],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(columns) = look.columns {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(columns);
    }
    table.set_header(columns.iter().map(|column| match column {
        Column::Left(heading) | Column::Right(heading) => *heading,
    }));
    table.add_rows(rows);
    for (index, column) in columns.iter().enumerate() {
        if let Some(shown) = table.column_mut(index) {
            shown.set_padding((0, 2));
            shown.set_constraint(if index + 1 < columns.len() {
                ColumnConstraint::ContentWidth
            } else {
                ColumnConstraint::LowerBoundary(Width::Fixed(LAST_COLUMNS_MIN))
            });
            if matches!(column, Column::Right(_)) {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    ends_trimmed(&table.trim_fmt())
}

/// Facts, one in a line, their names in a column.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, fact) in facts {
        text += &format!("{name:width$}  {fact}\n");
    }
    ends_trimmed(&text)
}

/// The same lines without the spaces at their ends.
fn ends_trimmed(text: &str) -> String {
    let mut trimmed = String::with_capacity(text.len());
    for line in text.lines() {
        trimmed.push_str(line.trim_end());
        trimmed.push('\n');
    }
    trimmed
}
