import Foundation
import Testing
import TraceSynth
import UnnamedFiles

@testable import KVMTrace

/// Compressed areas: the headers of the chunks say how long they are, whatever the file says of their size.
@Suite("Areas of chunks")
struct ChunkAreaTests {
  static let packed = [
    TraceFlavour(compression: .zstd), TraceFlavour(compression: .zlib),
    TraceFlavour(byteOrder: .big, compression: .zstd),
  ]

  /// Two CPUs with five pages each, in chunks of two.
  private func build(_ flavour: TraceFlavour, error: Int64, buffers: Int = 1) throws -> [UInt8] {
    var description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry],
      buffers: (0..<buffers).map { TraceBuffer(name: $0 == 0 ? "" : "b\($0)", cpus: [0, 1]) })
    description.pagesPerChunk = 2
    description.areaSizeError = error
    let writer = TraceDatWriter(description)
    for buffer in 0..<buffers {
      for cpu in 0..<2 {
        for page in 0..<5 {
          let time = UInt64(1000 * page + cpu + 10 * buffer)
          try writer.append(
            TraceBuilding.entries([time, time + 100], flavour), cpu: UInt32(cpu), buffer: buffer)
        }
      }
    }
    return try writer.bytes()
  }

  @Test(
    "an area that is longer or shorter than its size is whole",
    arguments: packed, [-4, -1, -100, 1, 4, 4000, 1 << 40] as [Int64])
  func size(flavour: TraceFlavour, error: Int64) throws {
    let right = try Reading(try build(flavour, error: 0))
    let wrong = try Reading(try build(flavour, error: error))
    #expect(right.events.count == 20 && right.damage.isEmpty)
    #expect(wrong.events.map(\.time) == right.events.map(\.time))
    #expect(wrong.damage.isEmpty, "\(wrong.damage)")
  }

  /// A word as it stands in a file of that flavour.
  private func word(_ value: UInt32, _ flavour: TraceFlavour) -> [UInt8] {
    withUnsafeBytes(of: flavour.byteOrder == .big ? value.bigEndian : value) { Array($0) }
  }

  /// Where the heads of the chunks of the first CPU's area stand, and where the last chunk ends.
  private func chunks(
    _ bytes: [UInt8], _ flavour: TraceFlavour
  ) throws -> (area: Int, heads: [Int], end: Int) {
    let file = try UnnamedFile(bytes)
    let area = try TraceDatOpener.open(try FileBytes(path: file.path)).buffers[0].areas[0].offset
    var heads: [Int] = []
    var place = area + 4
    for _ in 0..<3 {
      heads.append(place)
      let size = bytes[place..<(place + 4)].reversed().reduce(0) { $0 << 8 | UInt32($1) }
      place += 8 + Int(flavour.byteOrder == .big ? size.byteSwapped : size)
    }
    return (area, heads, place)
  }

  @Test("zeros where the chunks of a CPU begin are damage, number of chunks and all", arguments: packed)
  func zeros(flavour: TraceFlavour) throws {
    var bytes = try build(flavour, error: 0)
    let place = try chunks(bytes, flavour).area
    bytes.replaceSubrange(place..<(place + 64), with: repeatElement(0, count: 64))
    let reading = try Reading(bytes)
    // Three chunks, the first of which has two pages.
    #expect(reading.events.count(where: { $0.kind == .entry }) == 16)
    #expect(
      reading.damage.contains { $0.offset == place && $0.what.contains("are no chunk") }, "\(reading.damage)")
    #expect(reading.statistics.losses.map(\.isKernels) == [false])
  }

  @Test("zeros in place of all chunks of a CPU are damage", arguments: packed)
  func nothing(flavour: TraceFlavour) throws {
    var bytes = try build(flavour, error: 0)
    let (area, _, end) = try chunks(bytes, flavour)
    bytes.replaceSubrange(area..<end, with: repeatElement(0, count: end - area))
    let reading = try Reading(bytes)
    #expect(reading.events.count == 10)
    #expect(
      reading.damage.contains { $0.offset == area && $0.what.contains("has no chunks") }, "\(reading.damage)")
  }

  @Test(
    "a chunk whose head is zeros is a gap, whatever the number of chunks says",
    arguments: packed, [0, 1, 2].flatMap { head in [0, 1, 2, 3, 4].map { (head, $0) } })
  func head(flavour: TraceFlavour, damaged: (head: Int, number: UInt32)) throws {
    let intact = try Reading(try build(flavour, error: 0)).events
    for length in [1, 4, 8, 12] {
      var bytes = try build(flavour, error: 0)
      let (area, heads, _) = try chunks(bytes, flavour)
      bytes.patch(word(damaged.number, flavour), at: area)
      bytes.patch([UInt8](repeating: 0, count: length), at: heads[damaged.head])
      let reading = try Reading(bytes)
      guard !reading.events.elementsEqual(intact, by: same) else {
        // A zero that was there.
        #expect(length < 4)
        continue
      }
      #expect(reading.events.count(where: { $0.kind == .entry }) == [16, 16, 18][damaged.head])
      let told = reading.damage.filter {
        $0.cpu == 0 && $0.offset >= area && $0.offset <= heads[damaged.head]
      }
      #expect(!told.isEmpty, "\(reading.damage)")
      // Before the events behind it, or behind the last ones.
      #expect(
        reading.statistics.streamEnds.contains { $0.cpu == 0 && $0.missing == 0 }
          || reading.statistics.losses.contains { $0.cpu == 0 && !$0.isKernels }, "\(length)")
    }
  }

  private func same(_ first: Reading.Event, _ second: Reading.Event) -> Bool {
    first.time == second.time && first.payload == second.payload
  }

  @Test("a head that says another length costs its own chunk alone", arguments: packed, [0, 1])
  func length(flavour: TraceFlavour, head: Int) throws {
    for change in [-9, -1, 1, 9, 1 << 20, 1 << 30] {
      var bytes = try build(flavour, error: 0)
      let (_, heads, end) = try chunks(bytes, flavour)
      let size = (heads + [end])[head + 1] - heads[head] - 8
      bytes.patch(word(UInt32(size + change), flavour), at: heads[head])
      let reading = try Reading(bytes)
      // Behind its end the data of a stream is not looked at.
      #expect(reading.events.count(where: { $0.kind == .entry }) >= 16, "\(change)")
      #expect(reading.damage.contains { $0.offset == heads[head] && $0.cpu == 0 }, "\(reading.damage)")
    }
  }

  @Test("what stands behind the last chunk is damage, unless it is zeros", arguments: packed)
  func rest(flavour: TraceFlavour) throws {
    var bytes = try build(flavour, error: 40)
    let end = try chunks(bytes, flavour).end
    #expect(try Reading(bytes).damage.isEmpty)
    bytes.patch([1], at: end + 20)
    let reading = try Reading(bytes)
    #expect(reading.events.count == 20)
    #expect(reading.damage.map(\.offset) == [end] && reading.damage[0].cpu == 0, "\(reading.damage)")
    #expect(reading.statistics.streamEnds.contains { $0.cpu == 0 && $0.missing == 0 })
  }

  @Test("passes that share what they decompress deliver what a pass by itself does", arguments: packed)
  func passes(flavour: TraceFlavour) throws {
    let file = try UnnamedFile(build(flavour, error: 0))
    let trace = try TraceFile(path: file.path)
    func pass(isLast: Bool = false) -> [[UInt8]] {
      var selection = EventSelection.all
      selection.isLast = isLast
      var events: [[UInt8]] = []
      _ = trace.forEachRun(selection) { run in
        for position in 0..<run.count {
          events.append(Array(run.payload(position)) + [UInt8(run.bufferIndex)])
        }
      }
      return events
    }
    let alone = pass()
    let shared = trace.withSeveralPasses { [pass(), pass(), pass(isLast: true), pass(isLast: true)] }
    #expect(alone.count == 20 && shared.allSatisfy { $0 == alone })
  }

  @Test("areas of two buffers", arguments: [-4, 4000] as [Int64])
  func buffers(error: Int64) throws {
    let reading = try Reading(try build(TraceFlavour(compression: .zstd), error: error, buffers: 2))
    #expect(reading.events.count == 40 && reading.damage.isEmpty)
  }

  @Test(
    "chunks that were cut off are missed, with the last CPU's size or without", arguments: [-4, 0] as [Int64])
  func cut(error: Int64) throws {
    let flavour = TraceFlavour(compression: .zstd)
    var bytes = try build(flavour, error: error)
    // The second CPU's area begins at a page; its last chunk claims to be longer than all that follows.
    let area = try #require(bytes.firstRange(of: [3, 0, 0, 0], from: try secondArea(bytes)))
    var chunk = area.upperBound
    for _ in 0..<2 { chunk += 8 + Int(bytes[chunk]) + Int(bytes[chunk + 1]) << 8 }
    bytes.patch([0xff, 0xff, 0xff, 0x00], at: chunk)
    let reading = try Reading(bytes)
    #expect(reading.events.count(where: { $0.kind == .entry }) == 18)
    #expect(reading.damage.map(\.offset) == [chunk] && reading.damage[0].what.contains("runs past the end"))
  }

  private func secondArea(_ bytes: [UInt8]) throws -> Int {
    let file = try UnnamedFile(bytes)
    return try TraceDatOpener.open(try FileBytes(path: file.path)).buffers[0].areas[1].offset
  }

  @Test("the number of chunks is one too small, or one too large", arguments: [2, 4] as [UInt8])
  func count(number: UInt8) throws {
    var bytes = try build(TraceFlavour(compression: .zstd), error: 0)
    let area = try secondArea(bytes)
    #expect(bytes[area] == 3)
    bytes.patch([number], at: area)
    let reading = try Reading(bytes)
    #expect(reading.events.count == 20)
    #expect(reading.damage.count == 1 && reading.damage[0].cpu == 1)
  }

  /// What trace-cmd counts in `path`, and what is read here.
  private func counts(_ path: String) throws -> (theirs: Int, own: UInt64, damage: [Damage]) {
    let reading = try Exercise(path: path)
    let lines = try TraceCmd.rawReport(path).split(separator: UInt8(ascii: "\n"))
    return (lines.count { $0.contains(UInt8(ascii: "[")) }, reading.events, reading.damage)
  }

  @Test(
    "what trace-cmd itself converts and splits", .enabled(if: TraceCmd.path != nil, TraceCmd.missing),
    arguments: [["7", "zstd"], ["7", "none"], ["6", "none"]])
  func converted(form: [String]) throws {
    let source = Recordings.root.appendingPathComponent("traces/kvm-vhe-7.3.4-memslot-modification.dat").path
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pkvm-replay-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let converted = "\(folder)/converted.dat"
    var arguments = ["convert", "--file-version", form[0], "-i", source, "-o", converted]
    if form[0] == "7" { arguments += ["--compression", form[1]] }
    try TraceCmd.run(arguments)
    try TraceCmd.run(["split", "-m", "2000", "-r", "-i", converted, "-o", "\(folder)/piece"])
    let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    #expect(files.count > 2, "\(files)")
    for file in files {
      let counts = try counts("\(folder)/\(file)")
      #expect(counts.own == UInt64(counts.theirs) && counts.theirs > 0, "\(file)")
      #expect(counts.damage.isEmpty, "\(file): \(counts.damage)")
    }
  }
}
