import Foundation
import KVMTrace
import KVMTypes
import Stage2Replay
import Testing
import TraceSynth
import UnnamedFiles

/// What a file has lost makes nothing diverge, wherever and whenever it was lost.
@Suite("Replays of damaged files")
struct DamagedFileTests {
  /// A synthetic trace of two guests' CPUs.
  private static func build(
    _ compression: TraceFlavour.Compression = .none, events: Int = 20_000
  ) throws -> [UInt8] {
    var configuration = SynthesizerConfiguration()
    configuration.events = events
    configuration.vcpus = 2
    configuration.cpus = 2
    configuration.memoryBytes = 64 << 20
    let output = OutputFile()
    let flavour = TraceFlavour(version: compression == .none ? .v6 : .v7, compression: compression)
    _ = try Synthesizer.write(configuration, flavour, to: output)
    return output.memory
  }

  private static func replay(_ path: String) throws -> (result: ReplayResult, statistics: EventStatistics) {
    try Replay.run(TraceFile(path: path), profile: ProfileRequest(), options: ReplayOptions())
  }

  @Test("A hole in the events of a CPU", arguments: [0, 0xff] as [UInt8], [10, 30])
  func hole(byte: UInt8, page: Int) throws {
    var bytes = try Self.build()
    // The first pages hold what is not events.
    let start = (12 + page) * 4096
    bytes.replaceSubrange(start..<(start + 4 * 4096), with: repeatElement(byte, count: 4 * 4096))
    let file = try UnnamedFile(bytes)
    let (result, statistics) = try Self.replay(file.path)
    #expect(statistics.damage.count == 1 && statistics.gapCount == 1)
    #expect(result.divergences.unexplained == 0, "\(result.divergences.items)")
  }

  @Test("Pages that changed places", arguments: [10, 30])
  func swapped(page: Int) throws {
    var bytes = try Self.build()
    let start = (12 + page) * 4096
    let second = Array(bytes[(start + 4096)..<(start + 8192)])
    bytes.replaceSubrange((start + 4096)..<(start + 8192), with: bytes[start..<(start + 4096)])
    bytes.replaceSubrange(start..<(start + 4096), with: second)
    let file = try UnnamedFile(bytes)
    let (result, statistics) = try Self.replay(file.path)
    #expect(!statistics.damage.isEmpty)
    #expect(statistics.total == 20_000)
    #expect(result.divergences.unexplained == 0, "\(result.divergences.items)")
  }

  /// The operations of a replay that are certain, without what is known of their rights.
  private static func certain(_ bytes: [UInt8]) throws -> Set<Stage2Operation> {
    let file = try UnnamedFile(bytes)
    var operations: Set<Stage2Operation> = []
    _ = try Replay.run(TraceFile(path: file.path), profile: ProfileRequest(), options: ReplayOptions()) {
      operation in
      guard operation.basis != .assumed else { return }
      var certain = operation
      (certain.basis, certain.prot, certain.protBasis) = (.derived, nil, nil)
      operations.insert(certain)
    }
    return operations
  }

  @Test("What is certain where pages have changed places, or one is missing, took place as it says")
  func certainty() throws {
    let bytes = try Self.build()
    let whole = try Self.certain(bytes)
    try #require(whole.count > 100)
    let pages = (bytes.count - 12 * 4096) / 4096
    for page in stride(from: 1, to: pages - 4, by: 3) {
      let start = (12 + page) * 4096
      var swapped = bytes
      for offset in 0..<4096 { swapped.swapAt(start + offset, start + 3 * 4096 + offset) }
      #expect(try Self.certain(swapped).isSubset(of: whole), "\(page)")
      var lacking = bytes
      lacking.removeSubrange(start..<(start + 4096))
      #expect(try Self.certain(lacking).isEmpty, "\(page)")
    }
  }

  @Test("A CPU whose clock goes back for some pages, or for good", arguments: [1, 2, 20, 36])
  func backwards(pages: Int) throws {
    var bytes = try Self.build()
    for page in 0..<pages {
      let start = (12 + 10 + page) * 4096
      let stamp =
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: UInt64.self) } - 5_000_000
      withUnsafeBytes(of: stamp.littleEndian) { bytes.replaceSubrange(start..<(start + 8), with: $0) }
    }
    let file = try UnnamedFile(bytes)
    let (result, statistics) = try Self.replay(file.path)
    #expect(statistics.damage.first?.what.contains("goes back by") == true && statistics.total == 20_000)
    #expect(result.divergences.unexplained == 0, "\(result.divergences.items)")
  }

  @Test(
    "A file that is cut during either pass over it",
    arguments: [TraceFlavour.Compression.none, .zstd], [0, 1, 300])
  func shrinking(compression: TraceFlavour.Compression, operations: Int) throws {
    // Each CPU's events are more than is read at once, and more than are executed at once.
    let events = compression == .none ? 100_000 : 160_000
    let bytes = try Self.build(compression, events: events)
    let file = try UnnamedFile(bytes)
    let trace = try TraceFile(path: file.path)
    let left = bytes.count / 2
    if operations == 0 { try #require(truncate(file.path, left) == 0) }
    var seen = 0
    // The first operations come out while most of the file is still to be read.
    var options = ReplayOptions()
    options.lag = 256
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: options) { _ in
      seen += 1
      if seen == operations { try #require(truncate(file.path, left) == 0) }
    }
    #expect(seen > operations)
    if compression == .zstd, operations > 0 {
      // What was decompressed for the first pass was kept for the second one.
      #expect(statistics.damage.isEmpty && statistics.total == events)
    } else {
      #expect(statistics.damage.contains { $0.what.contains("is now \(left)") }, "\(statistics.damage)")
      #expect(statistics.total < events && statistics.total > 1000)
    }
    #expect(result.divergences.unexplained == 0, "\(result.divergences.items)")
  }
}
