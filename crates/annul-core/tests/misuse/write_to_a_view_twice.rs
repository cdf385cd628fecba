//! A view has one writer, and a reader cannot become one.
use annul_core::record::Record;
use annul_core::view::{View, ViewWriter};

fn misuse(view: View, writer: ViewWriter, records: &[Record]) {
    view.apply(records);
    let _second = writer.clone();
}

fn main() {}
