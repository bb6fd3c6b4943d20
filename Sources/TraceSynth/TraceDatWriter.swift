/// Writes a trace.dat file from pages that are already built.
///
///     let writer = TraceDatWriter(TraceDescription(flavour, cpus: 2))
///     try writer.append(builder.finish(), cpu: 0)
///     let bytes = try writer.bytes()
///
/// Pages go to the file as they are: a test may append any bytes. Pages of different CPUs may come in
/// any order, those of one CPU in the order of the file. The file itself is written in one go, from
/// front to back, by `finish`, once the size of every part is known; so it can go into a pipe, and no
/// more than a megabyte per CPU is held in memory (`SpillStore`).
public final class TraceDatWriter {
  /// What stands around the pages.
  public private(set) var description: TraceDescription
  /// Per buffer, per CPU.
  private let areas: [[CPUArea]]

  /// A writer without pages. Long traces spill into temporary files in `spillDirectory`.
  public init(_ description: TraceDescription, spillDirectory: String = "/tmp") {
    self.description = description
    let compression = description.flavour.compression
    let compressor = compression == .none ? nil : Compressor(compression)
    areas = description.buffers.map { buffer in
      buffer.cpus.map { CPUArea(cpu: $0, description, compressor, spillDirectory: spillDirectory) }
    }
  }

  /// Appends a page, or any other bytes, to a CPU of a buffer.
  public func append(_ page: [UInt8], cpu: UInt32, buffer: Int = 0) throws(TraceWriteError) {
    guard let position = description.buffers[buffer].position(of: cpu) else {
      preconditionFailure("buffer \(buffer) has no CPU \(cpu)")
    }
    try areas[buffer][position].append(page)
  }

  /// Adds an option that is known only when all pages are there.
  public func append(_ option: TraceOption) { description.options.append(option) }

  /// Writes the whole file. The writer is used up.
  public func finish(to output: OutputFile) throws(TraceWriteError) {
    for area in areas.joined() { try area.seal() }
    switch description.flavour.version {
    case .v6: try VersionSixLayout(description, areas).write(to: output)
    case .v7: try VersionSevenLayout(description, areas).write(to: output)
    }
  }

  /// The whole file as bytes. The writer is used up.
  public func bytes() throws(TraceWriteError) -> [UInt8] {
    let output = OutputFile()
    try finish(to: output)
    return output.memory
  }
}

/// Where the data of each CPU lies in the file.
struct AreaPlacement {
  var area: CPUArea
  var offset: UInt64

  /// Places the areas one after the other from `position` on, each at a multiple of `alignment`, and moves `position` behind the last.
  static func place(_ areas: [CPUArea], alignment: Int, from position: inout UInt64) -> [AreaPlacement] {
    let unit = UInt64(alignment)
    return areas.map { area in
      let offset = (position + unit - 1) / unit * unit
      if area.fileBytes > 0 { position = offset + area.fileBytes }
      return AreaPlacement(area: area, offset: offset)
    }
  }

  /// Writes the area at its place.
  func write(to output: OutputFile) throws(TraceWriteError) {
    guard area.fileBytes > 0 else { return }
    try output.pad(to: offset)
    try area.write(to: output)
  }
}
