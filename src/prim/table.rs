//! `table`: partition tables, planned, read from text, fitted to disks.

use super::disks::{DiskHandle, TableValue};
use super::prelude::*;
use crate::host::size_of;
use crate::kit::disk::{self as kit, Kind, Label, Layout, Measure, Plan, Size, Table, Wish};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<TableValue>("table");
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |table: &mut TableValue| describe(&table.0));
    }
}

fn describe(table: &Table) -> String {
    let parts: Vec<String> = rows(table)
        .iter()
        .map(|row| {
            let name = if row.name.is_empty() { String::new() } else { format!(" {}", row.name) };
            format!("{}{name} {} {}", row.number, row.kind, row.size.print())
        })
        .collect();
    format!("{} table: {}", table.label().name(), if parts.is_empty() { "empty".into() } else { parts.join(", ") })
}

/// A partition as scripts see it.
#[derive(serde::Serialize)]
struct Row {
    number: i64,
    name: String,
    kind: String,
    /// Bytes; `()` where a plan leaves it open.
    start: Option<u64>,
    size: RowSize,
    bootable: bool,
    uuid: Option<String>,
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum RowSize {
    Bytes(u64),
    Words(String),
}

impl RowSize {
    fn print(&self) -> String {
        match self {
            RowSize::Bytes(bytes) => crate::host::format_size(*bytes),
            RowSize::Words(words) => words.clone(),
        }
    }
}

fn rows(table: &Table) -> Vec<Row> {
    match table {
        Table::Layout(layout) => layout.partitions.iter().map(|part| row(layout, part)).collect(),
        Table::Plan(plan) => {
            let unit = u64::from(plan.sector_size.unwrap_or(512));
            let bytes = |measure: Measure| match measure {
                Measure::Bytes(bytes) => bytes,
                Measure::Sectors(sectors) => sectors.saturating_mul(unit),
            };
            let numbers = plan.numbers().unwrap_or_default();
            let wish = |(index, wish): (usize, &Wish)| Row {
                number: numbers.get(index).copied().map_or(index as i64 + 1, i64::from),
                name: wish.name.clone(),
                kind: wish.kind.to_string(),
                start: wish.start.map(bytes),
                size: match wish.size {
                    Size::Fixed(measure) => RowSize::Bytes(bytes(measure)),
                    Size::Percent(percent) => RowSize::Words(format!("{percent}%")),
                    Size::Fill => RowSize::Words("fill".into()),
                },
                bootable: wish.attrs & 4 != 0,
                uuid: wish.uuid.map(|uuid| uuid.to_string()),
            };
            plan.wishes.iter().enumerate().map(wish).collect()
        }
    }
}

fn row(layout: &Layout, part: &crate::kit::disk::Partition) -> Row {
    Row {
        number: part.number.into(),
        name: part.name.clone(),
        kind: part.kind.to_string(),
        start: Some(layout.bytes(part.start)),
        size: RowSize::Bytes(layout.bytes(part.size)),
        bootable: part.is_bootable(),
        uuid: part.uuid.map(|uuid| uuid.to_string()),
    }
}

const KEYS: [&str; 7] = ["name", "size", "kind", "bootable", "start", "number", "logical"];

/// One partition of `table::plan`, its place in the list for the errors.
fn wish(label: Label, index: usize, item: &Dynamic) -> Result<Wish> {
    let fault = |why: String| Fault::new("table.option", format!("partition {} of `table::plan`: {why}", index + 1));
    let map = item.read_lock::<Map>().ok_or_else(|| fault(format!("a map is wanted, not {item}")))?;
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let known = format!("its keys: {}", KEYS.join(", "));
        return Err(fault(format!("no such key `{key}`")).nearest(key, KEYS).hint(known));
    }
    let get = |key: &str| map.get(key).filter(|value| !value.is_unit()).cloned();
    let text = |key: &str| -> Result<Option<String>> {
        let read = |value: Dynamic| value.into_string().map_err(|_| fault(format!("`{key}` takes a text")));
        get(key).map(read).transpose()
    };
    let flag = |key: &str| -> Result<Option<bool>> {
        let read = |value: Dynamic| value.as_bool().map_err(|_| fault(format!("`{key}` takes true or false")));
        get(key).map(read).transpose()
    };
    let placed = |inner: Fault| Fault { message: fault(inner.message.clone()).message, ..inner };
    let bytes = |key: &str, value: &Dynamic| {
        let bytes = size_of(value).map_err(placed)?;
        bytes.ok_or_else(|| fault(format!("`{key}` takes a size, not {value}")))
    };
    let size = match get("size") {
        None => Size::Fill,
        Some(value) if value.is_string() => Size::parse(&value.to_string()).map_err(placed)?,
        Some(value) => Size::Fixed(Measure::Bytes(bytes("size", &value)?)),
    };
    let kind = text("kind")?.unwrap_or_else(|| "linux".into());
    let mut wish = Wish::new(Kind::parse(label, &kind).map_err(placed)?, size);
    wish.name = text("name")?.unwrap_or_default();
    wish.start = get("start").map(|value| bytes("start", &value)).transpose()?.map(Measure::Bytes);
    wish.logical = flag("logical")?;
    if let Some(number) = get("number") {
        let read = number.as_int().ok().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
        wish.number = Some(read.ok_or_else(|| fault(format!("`number` takes a whole number from 1, not {number}")))?);
    }
    Ok(if flag("bootable")?.unwrap_or(false) { wish.bootable() } else { wish })
}

#[export_module]
pub mod module {
    /// A table to be written, for any disk: `kind` is `gpt` or `mbr`, each partition a map
    /// `#{ name, size, kind, bootable, start, number, logical }`, all of them optional.
    ///
    /// `size` is a size, `"50%"` of the disk, or `"fill"` (or nothing) for what the others leave. `kind` is `linux`
    /// unless said: `swap`, `efi`, `bios`, `ntfs`, `extended`, `home`, .., a hexadecimal byte or a GUID. Partitions
    /// start on 1 MiB unless `start` says where. More than four on an MBR: from the fourth on they go into an extended
    /// partition and number from 5; an `extended` one of your own takes what stands after it.
    ///
    /// # Errors
    /// - `table.label`, `table.kind`: no such kind of table or partition
    /// - `table.option`: a key that a partition does not have, or a value of the wrong type
    /// - `value.size`
    ///
    /// # Example
    /// ```rhai
    /// let t = table::plan("gpt", [
    ///     #{ name: "efi", size: "512MiB", kind: "efi" },
    ///     #{ name: "swap", size: "2GiB", kind: "swap" },
    ///     #{ name: "root" },
    /// ]);
    /// t.partitions.map(|p| p.name)                     // => ["efi", "swap", "root"]
    /// table::plan("gpt", [#{ kind: "linus" }])         // => throws table.kind
    /// table::plan("gpt", [#{ sise: "1GiB" }])          // => throws table.option
    /// ```
    #[rhai_fn(return_raw)]
    pub fn plan(ctx: NativeCallContext, kind: &str, parts: Array) -> Raw<TableValue> {
        host_of(&ctx);
        let label = Label::parse(kind)?;
        let wishes: Result<Vec<Wish>> =
            parts.iter().enumerate().map(|(index, item)| wish(label, index, item)).collect();
        Ok(TableValue(Table::Plan(Plan::new(label, wishes?))))
    }

    /// Reads a table from text: a dump of `sfdisk -d`, or a Ka-deploy partition description (lines
    /// `[logical] TYPE SIZE`).
    ///
    /// # Errors
    /// - `table.parse`: with line and column
    /// - `table.kind`
    ///
    /// # Example
    /// ```rhai
    /// table::parse("linux 2000\nswap 512\nextended fill\nlogical linux fill").partitions.len()     // => 4
    /// table::parse("label: gpt\n\nstart=2048, size=4096, type=linux, name=\"root\"").label         // => "gpt"
    /// table::parse("linux many")                                                                // => throws table.parse
    /// ```
    #[rhai_fn(return_raw)]
    pub fn parse(ctx: NativeCallContext, text: &str) -> Raw<TableValue> {
        host_of(&ctx);
        Ok(TableValue(Table::parse(text)?))
    }

    /// `gpt` or `mbr`.
    ///
    /// # Example
    /// ```rhai
    /// table::plan("mbr", []).label     // => "mbr"
    /// ```
    #[rhai_fn(global, get = "label", pure)]
    pub fn label(table: &mut TableValue) -> String {
        table.0.label().name().to_string()
    }

    /// Its partitions: `#{ number, name, kind, start, size, bootable, uuid }` each, start and size in bytes. What a plan
    /// leaves open is `()`, or `"fill"` and `"50%"` for sizes.
    ///
    /// # Example
    /// ```rhai
    /// table::plan("gpt", [#{ name: "root", size: "1GiB" }]).partitions[0].size     // => 1073741824
    /// let t = table::parse("linux 2000\nextended fill\nlogical swap 512\nlogical linux fill");
    /// t.partitions.map(|part| part.number)                                         // => [1, 2, 5, 6]
    /// ```
    #[rhai_fn(global, get = "partitions", pure)]
    pub fn partitions(table: &mut TableValue) -> Array {
        rows(&table.0).iter().map(to_dynamic).collect()
    }

    /// What was noticed when it was read from a disk though it could go on: a damaged copy, partitions off alignment.
    ///
    /// # Example
    /// ```rhai
    /// table::plan("gpt", []).warnings     // => []
    /// ```
    #[rhai_fn(global, get = "warnings", pure)]
    pub fn warnings(table: &mut TableValue) -> Array {
        match &table.0 {
            Table::Plan(_) => Array::new(),
            Table::Layout(layout) => {
                layout.warnings.iter().cloned().chain(layout.misaligned()).map(Dynamic::from).collect()
            }
        }
    }

    /// As text that `sfdisk` reads; of a table on a disk the same as `sfdisk -d` prints.
    ///
    /// # Errors
    /// - `table.unfitted`: a plan with sizes in percent: `.fit(disk)` it first
    /// - `table.number`
    ///
    /// # Example
    /// ```rhai
    /// let text = table::plan("gpt", [#{ name: "root", size: "1GiB" }]).sfdisk();
    /// text.contains("size=1024MiB") && text.contains("name=\"root\"")     // => true
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn sfdisk(ctx: NativeCallContext, table: &mut TableValue) -> Raw<String> {
        host_of(&ctx);
        Ok(table.0.sfdisk()?)
    }

    /// As a Ka-deploy partition description, lines `[logical] TYPE SIZE`. It holds the types and sizes of an MBR, sizes
    /// in megabytes of 2^20 bytes, rounded up; starts, IDs, names and the active flag have no place in it.
    ///
    /// # Errors
    /// - `table.description`: a GPT, sizes in percent, or numbers that are not those which a reader would give
    /// - `table.number`
    ///
    /// # Example
    /// ```rhai
    /// table::parse("linux 2000  # system\nswap 512\nlinux fill").description()     // => "linux 2000\nswap 512\nlinux fill\n"
    /// table::plan("gpt", []).description()                                        // => throws table.description
    /// ```
    #[rhai_fn(global, return_raw, pure)]
    pub fn description(ctx: NativeCallContext, table: &mut TableValue) -> Raw<String> {
        host_of(&ctx);
        Ok(table.0.description()?)
    }

    /// The disk as text of at most 80 columns: a bar with names, as wide as the partitions are big, and a line for each.
    /// `log::info(table)` shows the same.
    ///
    /// # Example
    /// ```rhai
    /// let d = disk::open(disk::create("node1.img", "1GiB"));
    /// let drawn = table::plan("gpt", [#{ name: "root" }, #{ name: "swap", size: "300MiB", kind: "swap" }]).fit(d).draw();
    /// drawn.split("\n")[0]                       // => "disk: 1 GiB, gpt, sectors of 512 bytes"
    /// drawn.contains("|1 root      ")            // => true
    /// ```
    #[rhai_fn(global, pure)]
    pub fn draw(table: &mut TableValue) -> String {
        table.0.draw()
    }

    /// What fitting, mending or copying did to this table, in words: what moved, grew, was cut or left out. Empty for
    /// a table as it was read or planned.
    ///
    /// # Example
    /// ```rhai
    /// let small = disk::open(disk::create("small.img", "1GiB"));
    /// let big = disk::open(disk::create("big.img", "3GiB"));
    /// let t = table::plan("gpt", [#{ name: "root", size: "900MiB" }, #{ size: "100MiB", kind: "swap" }]).fit(small);
    /// t.fit(big).changes     // => ["partition 1 (root) grows from 900 MiB to 2.9 GiB", "partition 2 moves from 901 MiB to 2.9 GiB"]
    /// ```
    #[rhai_fn(global, get = "changes", pure)]
    pub fn changes(table: &mut TableValue) -> Array {
        match &table.0 {
            Table::Plan(_) => Array::new(),
            Table::Layout(layout) => layout.changes.iter().cloned().map(Dynamic::from).collect(),
        }
    }

    /// Each difference between two tables in words, the first one's value first; empty when they say the same. What a
    /// plan leaves open differs from nothing, and neither does the size of the disk.
    ///
    /// # Example
    /// ```rhai
    /// let a = table::plan("mbr", [#{ size: "1GiB" }, #{ size: "1GiB", kind: "swap" }]);
    /// let b = table::plan("mbr", [#{ size: "2GiB" }]);
    /// table::compare(a, a)     // => []
    /// table::compare(a, b)     // => ["partition 1: is of 1073741824 bytes (1 GiB), of 2147483648 bytes (2 GiB)", "partition 2: only in the first"]
    /// ```
    pub fn compare(a: TableValue, b: TableValue) -> Array {
        kit::compare(&a.0, &b.0).into_iter().map(Dynamic::from).collect()
    }

    /// Copies the table of one open disk to another exactly, as sectors: GUIDs or disk signature, flags, names, boot
    /// code, the gap before the first partition, the chain of extended boot records, and what else lies outside the
    /// partitions (of each gap the first 16 MiB). The contents of partitions are not copied: `dd` does that. On a disk
    /// of another size the backup GPT moves to its end. All is read back and compared. Gives the table of the target;
    /// `.changes` says what could not be the same.
    ///
    /// # Errors
    /// - `table.space`: the target is too small, says what does not fit; or its sectors are of another size
    /// - `table.none`, `table.damaged`: nothing to copy, or nothing that should be; `.mend_table()` first
    /// - `table.same`: both are the same disk
    /// - `disk.busy`, `disk.readonly`, `disk.attached`: as for `.write_table`
    /// - `table.write`, `table.verify`: the target did not take it; it has no table then
    ///
    /// # Example
    /// ```rhai
    /// let golden = disk::open(disk::create("golden.img", "64MiB"), #{ write: true });
    /// golden.write_boot_code(blob(440, 0x90));
    /// golden.write_table(table::plan("gpt", [#{ name: "root", size: "32MiB" }]));
    /// let node = disk::open(disk::create("node1.img", "128MiB"), #{ write: true });
    /// let t = table::copy(golden, node);
    /// table::compare(t, golden.table())                 // => []
    /// node.boot_code() == golden.boot_code()            // => true
    /// t.changes[0]                                      // => "the backup GPT stands at the end of the disk: sector 262143"
    /// let small = disk::open(disk::create("small.img", "16MiB"), #{ write: true });
    /// table::copy(golden, small)                        // => throws table.space
    /// ```
    #[rhai_fn(return_raw)]
    pub fn copy(ctx: NativeCallContext, from: DiskHandle, to: DiskHandle) -> Raw<TableValue> {
        let host = host_of(&ctx);
        let effect = Effect::new("table.copy", to.object(), Weight::Destroy).guard(|| to.disk().guard());
        let layout = host.perform(effect, || kit::copy_table(from.disk(), to.disk()))?;
        Ok(TableValue(Table::Layout(layout)))
    }

    /// The table as it would stand on a disk, checked; nothing is written. A plan gets its starts and sizes. A table
    /// read from another disk, or a dump, keeps its places where the disk is as big; on a bigger or smaller one the last
    /// partition that is neither swap nor there for a loader takes the difference, and what stands behind it moves, all
    /// by whole MiB. Free space at the end is given up first. `.changes` of the result says what moved and grew.
    ///
    /// # Options
    /// - `grow` (whole number, the last): the number of the partition that takes the difference
    ///
    /// # Errors
    /// - `table.space`: it does not fit, says what is missing
    /// - `table.number`: there is no partition `grow`
    /// - `table.overlap`, `table.extended`, `table.name`, `table.kind`, `table.id`
    ///
    /// # Example
    /// ```rhai
    /// let d = disk::open(disk::create("node1.img", "64MiB"));
    /// table::plan("gpt", [#{ name: "root" }]).fit(d).partitions[0].start       // => 1048576
    /// table::plan("gpt", [#{ size: "65MiB" }]).fit(d)                          // => throws table.space
    /// let t = table::plan("mbr", [#{ size: "20MiB" }, #{ size: "20MiB" }]).fit(d);
    /// let small = disk::open(disk::create("small.img", "32MiB"));
    /// t.fit(small, #{ grow: 1 }).changes[0]                                    // => "partition 1 shrinks from 20 MiB to 11 MiB"
    /// ```
    #[rhai_fn(global, name = "fit", return_raw, pure)]
    pub fn fit_with(ctx: NativeCallContext, table: &mut TableValue, disk: DiskHandle, options: Map) -> Raw<TableValue> {
        let opts = options_of(&ctx, "table.fit", options)?;
        let grow = opts.count("grow", 1, 1024)?.and_then(|number| u32::try_from(number).ok());
        Ok(TableValue(Table::Layout(table.0.refit(disk.disk().geometry(), grow)?)))
    }

    /// As above, no options.
    #[rhai_fn(global, return_raw, pure)]
    pub fn fit(ctx: NativeCallContext, table: &mut TableValue, disk: DiskHandle) -> Raw<TableValue> {
        host_of(&ctx);
        Ok(TableValue(Table::Layout(table.0.refit(disk.disk().geometry(), None)?)))
    }
}
