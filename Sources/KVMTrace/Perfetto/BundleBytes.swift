/// Where the bytes of bundles lie: in the trace, or in what its compressed packets hold.
struct BundleFiles {
  let trace: FileBytes
  /// What the compressed packets hold, nil where there are none.
  let inflated: FileBytes?
  /// Where in the trace each of them lies.
  let packetOffsets: [Int]

  /// Where in the trace the byte at `place` of a bundle lies; of one in a compressed packet where that begins.
  func offset(of run: BundleRun, at place: Int) -> Int {
    run.flags.contains(.isCompressed) ? packetOffsets[Int(run.packet)] : run.position + place
  }

  /// Whether it is not told elsewhere that the bytes of a bundle cannot be read.
  func isWhole(for run: BundleRun) -> Bool { run.flags.contains(.isCompressed) || trace.isWhole }
}

/// Reads bundles front to back, wherever they lie.
struct BundleWindow: ~Copyable {
  private var plain: PaddedWindow
  private var inflated: PaddedWindow

  /// - Parameter pieceBytes: how much is read at once.
  init(_ files: BundleFiles, pieceBytes: Int) {
    plain = PaddedWindow(files.trace, pieceBytes: pieceBytes)
    inflated = PaddedWindow(files.inflated ?? files.trace, pieceBytes: pieceBytes)
  }

  /// What there is of `run` from `place` on, up to its end: `count` bytes at least, nil where they cannot be read. Valid until the next
  /// call.
  mutating func bytes(of run: BundleRun, at place: Int, atLeast count: Int) -> UnsafeRawBufferPointer? {
    // Behind the bundle lie those of other CPUs.
    let (begin, end) = (run.position + place, run.position + Int(run.count))
    let bytes =
      run.flags.contains(.isCompressed)
      ? inflated.bytes(at: begin, atLeast: count, before: end)
      : plain.bytes(at: begin, atLeast: count, before: end)
    return bytes.map { UnsafeRawBufferPointer(rebasing: $0.prefix(end - begin)) }
  }
}
