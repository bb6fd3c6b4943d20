/// Version 6 of trace.dat: one fixed sequence of parts.
///
/// After the file's start come formats, kallsyms, printk formats, saved command lines, the CPU count,
/// the options, and the word `flyrecord` with an offset and a size for every CPU from 0 on. An
/// instance has its own `flyrecord` table further down; an option holds that table's offset. Everything
/// before the data has a size that does not depend on the offsets in it, so it is laid out twice: once
/// to learn where the data begins, once with the true offsets.
struct VersionSixLayout {
  private let description: TraceDescription
  private let areas: [[CPUArea]]

  init(_ description: TraceDescription, _ areas: [[CPUArea]]) {
    self.description = description
    self.areas = areas
  }

  func write(to output: OutputFile) throws(TraceWriteError) {
    let unknown = [UInt64](repeating: 0, count: areas.count)
    let headBytes = UInt64(head(tableOffsets: unknown).count)
    var position = headBytes
    var tableOffsets: [UInt64] = []
    var placements: [[AreaPlacement]] = []
    for (index, cpus) in areas.enumerated() {
      tableOffsets.append(position)
      position += UInt64(table(index, []).count)
      placements.append(
        AreaPlacement.place(cpus, alignment: description.flavour.pageBytes, from: &position))
    }
    try output.write(head(tableOffsets: tableOffsets).bytes)
    for (index, placed) in placements.enumerated() {
      try output.pad(to: tableOffsets[index])
      try output.write(table(index, placed).bytes)
      for placement in placed { try placement.write(to: output) }
    }
  }

  private func head(tableOffsets: [UInt64]) -> TraceBytes {
    var out = TraceBytes(description.flavour.byteOrder)
    description.fileStart(&out)
    description.headers(&out)
    description.ftraceEvents(&out)
    description.eventFormats(&out)
    out.sized32(description.kallsyms)
    out.sized32(description.printkFormats)
    description.savedCommandLines(&out)
    out.u32(description.cpuCount)
    out.text("options  ")
    out.u8(0)
    for option in description.options {
      let payload = option.payload(out.byteOrder)
      out.u16(option.id)
      out.u32(UInt32(payload.count))
      out.raw(payload)
    }
    for (buffer, offset) in zip(description.buffers, tableOffsets).dropFirst() {
      out.u16(3)
      out.u32(UInt32(8 + buffer.name.utf8.count + 1))
      out.u64(offset)
      out.cString(buffer.name)
    }
    out.u16(0)
    return out
  }

  private func table(_ index: Int, _ placed: [AreaPlacement]) -> TraceBytes {
    var out = TraceBytes(description.flavour.byteOrder)
    out.cString("flyrecord")
    for cpu in 0..<description.cpuCount {
      let placement = placed.first { $0.area.cpu == cpu }
      out.u64(placement?.offset ?? 0)
      out.u64(placement?.area.fileBytes ?? 0)
    }
    // The clock stands here when an option announced it.
    if let clock = description.clockText { out.sized64(clock) }
    return out
  }
}
