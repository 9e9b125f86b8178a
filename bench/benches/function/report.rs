//! The table of one scheme: each subject's figures, and their ratios to the bare function's.

use crate::{BATCH, Figures, LATENCY, RECORDS, Rounds, SUBJECTS, Subject, median};

/// A row: its name, its figure, the bare function's where that is another, and the target for the
/// exporter as it comes.
struct Row {
    name: String,
    pick: fn(&Figures) -> &Rounds,
    bare: fn(&Figures) -> &Rounds,
    target: &'static str,
}

pub(crate) fn print(scheme: &str, subjects: &[Subject; SUBJECTS], figures: &[Figures; SUBJECTS]) {
    print!("\nOver {scheme}, {LATENCY:?} a request{:20}", "");
    subjects.iter().for_each(|subject| print!("{:>11}", subject.name));
    println!("   ratios to the bare function");
    for Row { name, pick, bare, target } in rows() {
        print!("  {name:<44}");
        let base = median(bare(&figures[0]));
        let values = figures.each_ref().map(|figures| median(pick(figures)));
        values.iter().for_each(|value| match value.is_nan() {
            true => print!("{:>11}", "-"),
            false => print!("{value:>11.3}"),
        });
        values[1..].iter().for_each(|value| print!("{:>7.2}", value / base));
        println!("   {target}");
    }
    println!("  write units a row of a batch of {BATCH} that comes again:");
    let units = |pick: fn(&Figures) -> &Rounds| median(pick(&figures[2]));
    println!("    not known to{:>42.2}   1.50", units(|it| &it.again_units));
    println!("    known to{:>46.2}   1.00", units(|it| &it.known_units));
}

fn rows() -> Vec<Row> {
    let row = |name: &str, pick: fn(&Figures) -> &Rounds, target| Row {
        name: name.into(),
        pick,
        bare: pick,
        target,
    };
    let wall: fn(&Figures) -> &Rounds = |it| &it.creates.write_ms;
    let cpu: fn(&Figures) -> &Rounds = |it| &it.creates.write_cpu_ms;
    let records = format!("{RECORDS} records of Kinesis");
    vec![
        row("start-up, ms", |it| &it.start_ms, "both 1.05"),
        row("start-up and first invocation, ms", |it| &it.first_ms, "both 1.05"),
        row("one message, warm, p50 ms", |it| &it.single_p50_ms, "both 1.10"),
        row("one message, warm, p99 ms", |it| &it.single_p99_ms, ""),
        row("one message against no latency, p50 ms", |it| &it.bare_p50_ms, ""),
        row("one message against no latency, CPU ms", |it| &it.bare_cpu_ms, ""),
        row("batch of creates, ms a row", wall, "both 0.35"),
        row("batch of creates, CPU ms a row", cpu, "both 0.25"),
        row("peak memory with those, MB", |it| &it.creates_memory_mb, "both 0.90"),
        row("batch of edits, ms a row", |it| &it.edits.write_ms, "both 1.10"),
        row("batch of edits, CPU ms a row", |it| &it.edits.write_cpu_ms, "both 1.10"),
        Row {
            name: format!("{records}, ms a row"),
            pick: |it| &it.records.write_ms,
            bare: wall,
            target: "both 0.30 (to a bare batch)",
        },
        Row {
            name: format!("{records}, CPU ms a row"),
            pick: |it| &it.records.write_cpu_ms,
            bare: cpu,
            target: "both 0.30 (to a bare batch)",
        },
        row("peak memory with all of it, MB", |it| &it.memory_mb, "both 0.90"),
        row("rows a message", |it| &it.creates.writes_per_message, ""),
        row("requests a message, creates", |it| &it.creates.requests_per_message, ""),
    ]
}
