import Foundation
import Testing
import TraceSynth
import UnnamedFiles

@testable import KVMTrace

/// Files that change, or that cannot be read, while they are read.
@Suite("Files that do not stay as they are")
struct ShrinkingFileTests {
  static let flavours = [
    TraceFlavour(version: .v6), TraceFlavour(), TraceFlavour(compression: .zstd),
  ]

  /// Two CPUs, each with more pages than are read at once.
  private func build(_ flavour: TraceFlavour) throws -> [UInt8] {
    var description = TraceDescription(flavour, formats: [KVMEventFormats.entry], cpus: 2)
    description.options = [.clock("[local] global")]
    let writer = TraceDatWriter(description)
    for page in 0..<300 {
      for cpu in 0..<2 {
        let time = UInt64(100_000 * page + cpu)
        // Addresses that do not compress.
        let bytes = TraceBuilding.page(flavour, at: time) { builder in
          var value = time &* 0x9e37_79b9_7f4a_7c15
          for _ in 0..<160 {
            value = value &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            builder.event(TraceBuilding.entry(pc: value, flavour), delta: 1)
          }
        }
        try writer.append(bytes, cpu: UInt32(cpu))
      }
    }
    return try writer.bytes()
  }

  @Test("a file that is cut while it is read", arguments: flavours)
  func cut(flavour: TraceFlavour) throws {
    let bytes = try build(flavour)
    let file = try UnnamedFile(bytes)
    let trace = try TraceFile(path: file.path)
    var reader = trace.events(.all)
    var events = 0
    while events < 2000, let run = reader.nextRun() { events += run.count }
    let left = bytes.count * 3 / 4
    try #require(truncate(file.path, left) == 0)
    while let run = reader.nextRun() { events += run.count }
    let statistics = reader.statistics
    #expect(events == Int(statistics.total) && events < 300 * 2 * 160)
    // The first CPU's events lie before the cut.
    #expect(events > 300 * 160)
    #expect(
      statistics.damage == [
        Damage(
          offset: left,
          what:
            "the file became shorter while it was read: it was \(bytes.count) bytes long and is now \(left)")
      ])
    #expect(statistics.readFailure == nil)
    // Another pass finds what is left.
    var again = trace.events(.all)
    var rest = 0
    while let run = again.nextRun() { rest += run.count }
    #expect(rest > 300 * 160 && rest <= events)
    #expect(again.statistics.damage.count == 1)
  }

  @Test("a file that is emptied", arguments: flavours)
  func emptied(flavour: TraceFlavour) throws {
    let file = try UnnamedFile(try build(flavour))
    let trace = try TraceFile(path: file.path)
    try #require(truncate(file.path, 0) == 0)
    var reader = trace.events(.all)
    #expect(reader.nextRun() == nil)
    #expect(reader.statistics.damage.count == 1 && reader.statistics.damage[0].offset == 0)
  }

  @Test("a file that is cut while its metadata is read", arguments: flavours)
  func cutAtOnce(flavour: TraceFlavour) throws {
    let bytes = try build(flavour)
    let file = try UnnamedFile(bytes)
    let opened = try FileBytes(path: file.path)
    try #require(truncate(file.path, 900) == 0)
    let trace = try TraceFile(path: file.path, opened)
    var reader = trace.events(.all)
    #expect(reader.nextRun() == nil)
    #expect(reader.statistics.damage.contains { $0.what.contains("is now 900") })
  }

  @Test("a file that grows is read as it was when it was opened", arguments: flavours)
  func grows(flavour: TraceFlavour) throws {
    let bytes = try build(flavour)
    let file = try UnnamedFile(bytes)
    let trace = try TraceFile(path: file.path)
    try #require(truncate(file.path, 2 * bytes.count) == 0)
    var reader = trace.events(.all)
    while reader.nextRun() != nil {}
    #expect(reader.statistics.total == 300 * 2 * 160 && reader.statistics.damage.isEmpty)
  }

  @Test("an error of the disk ends what it hits, and is told", arguments: flavours, [EIO, ESTALE])
  func readError(flavour: TraceFlavour, number: Int32) throws {
    let bytes = try build(flavour)
    let file = try UnnamedFile(bytes)
    // Behind the first CPU's events. Where the options follow them, they can be read.
    let bad = bytes.count * 3 / 4..<bytes.count * 3 / 4 + 4096
    let opened = try FileBytes(path: file.path, descriptor: open(file.path, O_RDONLY)) {
      let (descriptor, buffer, count, offset) = ($0, $1, $2, $3)
      if (offset..<offset + count).overlaps(bad) {
        if offset < bad.lowerBound {
          return pread(descriptor, buffer, bad.lowerBound - offset, off_t(offset))
        }
        errno = number
        return -1
      }
      return pread(descriptor, buffer, count, off_t(offset))
    }
    let trace = try TraceFile(path: file.path, opened)
    var reader = trace.events(.all)
    while reader.nextRun() != nil {}
    let statistics = reader.statistics
    #expect(statistics.total > 300 * 160 && statistics.total < 300 * 2 * 160)
    let failure = try #require(statistics.readFailure)
    #expect(failure.kind == .inputOutput && failure.offset == bad.lowerBound)
    #expect(failure.line.contains(String(cString: strerror(number))))
    #expect(statistics.damage.count == 1 && statistics.damage[0].offset == bad.lowerBound)
  }

  @Test("an error of the disk inside the metadata")
  func metadataError() throws {
    let file = try UnnamedFile(try build(TraceFlavour(version: .v6)))
    let opened = try FileBytes(path: file.path, descriptor: open(file.path, O_RDONLY)) {
      if $3 >= 300 {
        errno = EIO
        return -1
      }
      return pread($0, $1, min($2, 300 - $3), off_t($3))
    }
    let error = #expect(throws: IngestError.self) { try TraceFile(path: file.path, opened) }
    #expect(error?.kind == .inputOutput && error?.offset == 300)
  }
}
