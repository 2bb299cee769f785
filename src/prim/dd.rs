//! `dd`: raw disks, partitions and images.

use std::path::Path;

use super::prelude::*;
use crate::kit::dd::{self, FromOptions, IntoOptions};
use crate::kit::stream::Sink;

/// Sources and sinks are named by the stream module.
pub fn types(_: &mut Engine) {}

#[export_module]
pub mod module {
    /// A disk, a partition or an image as a source, all of it or a range.
    ///
    /// # Options
    /// - `offset` (size, 0): bytes to skip
    /// - `size` (size, to the end): bytes to read
    /// - `used_only` (flag, false): of an NTFS, leave out what is free: it is not read, and comes as zeros
    ///
    /// # Errors
    /// - `dd.open`: it is missing, cannot be read, or is neither a file nor a block device
    /// - `dd.range`: `offset` and `size` go beyond its end
    /// - `dd.read`, from the copy: the device fails; the message names device and offset
    /// - `fs.kind`, `fs.unclean`, `fs.damaged`, with `used_only`: there is no NTFS, or what is free of it is not certain
    ///
    /// # Example
    /// ```rhai
    /// stream::copy(stream::blob("0123456789"), stream::into_file("image"));
    /// stream::copy(dd::from("image", #{ offset: 4 }), stream::discard()).bytes               // => 6
    /// stream::copy(dd::from("image", #{ offset: 4, size: 2 }), stream::discard()).bytes      // => 2
    /// dd::from("image", #{ size: "1KiB" })                                                   // => throws dd.range
    /// dd::from("image", #{ used_only: true })                                                // => throws fs.kind
    /// ```
    #[rhai_fn(name = "from", return_raw)]
    pub fn from_with(ctx: NativeCallContext, path: &str, options: Map) -> Raw<SourceValue> {
        let opts = options_of(&ctx, "dd::from", options)?;
        let (offset, size) = (opts.size("offset")?.unwrap_or(0), opts.size("size")?);
        let options = FromOptions { offset, size, used_only: opts.flag("used_only")? };
        Ok(SourceValue::new(Box::new(dd::from(Path::new(path), &options)?)))
    }

    /// As above, all of it.
    #[rhai_fn(return_raw)]
    pub fn from(ctx: NativeCallContext, path: &str) -> Raw<SourceValue> {
        from_with(ctx, path, Map::new())
    }

    /// A disk, a partition or an image as a sink, written in place from `offset` on. What lies around the written range
    /// stays, and an image keeps its size; a missing image is made, with holes for zeros. The first MiB of the stream is
    /// written last: a target that was not written to its end neither boots nor mounts, and a backup GPT at the end of a
    /// disk goes with an aborted stream. Zeros become holes, or are discarded where the device then reads zeros.
    ///
    /// # Options
    /// - `offset` (size, 0): where on the target the stream begins, in bytes
    /// - `verify` (flag, false): read everything back at the end and compare
    /// - `force` (flag, false): write to a disk that is in use
    ///
    /// # Errors
    /// - `dd.open`: it cannot be written, or is neither a file nor a block device
    /// - `disk.busy`: it, or the disk it is a part of, is in use
    /// - `dd.small`: it is too small; told before anything is written where the stream's size is known
    /// - `dd.write`, from the copy: the device fails; the message names device and offset
    /// - `dd.verify`, from the copy: what was read back is not what was written
    ///
    /// # Example
    /// ```rhai
    /// stream::copy(stream::blob("0123456789"), dd::into("image")).bytes                          // => 10
    /// stream::copy(stream::blob("xx"), dd::into("image", #{ offset: 4, verify: true })).bytes    // => 2
    /// proc::run("cat", ["image"]).out                                                            // => "0123xx6789"
    /// stream::copy(stream::blob("0123456789!"), dd::into("image"))                               // => throws dd.small
    /// ```
    #[rhai_fn(name = "into", return_raw)]
    pub fn into_with(ctx: NativeCallContext, path: &str, options: Map) -> Raw<SinkValue> {
        let opts = options_of(&ctx, "dd::into", options)?;
        let options = IntoOptions { offset: opts.size("offset")?.unwrap_or(0), verify: opts.flag("verify")? };
        let (path, force) = (Path::new(path), opts.flag("force")?);
        let effect =
            Effect::new("dd.into", path.display().to_string(), Weight::Destroy).guard(|| dd::guard(path, force));
        let sink =
            host_of(&ctx).perform(effect, || dd::into(path, &options).map(|sink| Box::new(sink) as Box<dyn Sink>))?;
        Ok(SinkValue::new(sink))
    }

    /// As above, from its beginning, without reading back.
    #[rhai_fn(return_raw)]
    pub fn into(ctx: NativeCallContext, path: &str) -> Raw<SinkValue> {
        into_with(ctx, path, Map::new())
    }
}
