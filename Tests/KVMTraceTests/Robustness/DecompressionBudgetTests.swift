import KVMTypes
import Testing
import UnnamedFiles

@testable import KVMTrace
@testable import TraceSynth

/// What is forged to hold a thousand times what it takes is not decompressed to its end.
@Suite("What takes little and holds much")
struct DecompressionBudgetTests {
  /// A beginning as it stands, then one byte so many times as to exceed what any file may hold.
  private static func bomb(of byte: UInt8, behind beginning: [UInt8] = []) -> [UInt8] {
    frame(of: byte, behind: beginning, bytes: DecompressionBudget.leastBytes + (100 << 20))
  }

  /// A frame of zstd: no content size, a window of 2 MiB; a block as it stands, blocks of one byte, and an empty last one.
  private static func frame(of byte: UInt8, behind beginning: [UInt8] = [], bytes: Int) -> [UInt8] {
    let blockBytes = 128 << 10
    func head(_ kind: Int, _ size: Int, isLast: Bool = false) -> [UInt8] {
      let word = size << 3 | kind << 1 | (isLast ? 1 : 0)
      return [UInt8(word & 255), UInt8(word >> 8 & 255), UInt8(word >> 16)]
    }
    var result: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]
    if !beginning.isEmpty { result += head(0, beginning.count) + beginning }
    for _ in 0..<(bytes / blockBytes) { result += head(1, blockBytes) + [byte] }
    return result + head(0, 0, isLast: true)
  }

  @Test("So many bytes may come of each, and of any file a least number")
  func budget() {
    var budget = DecompressionBudget()
    let steps = [(DecompressionBudget.leastBytes, 0), (DecompressionBudget.ratioMax, 1), (1, 0)]
    #expect(steps.map { budget.allows($0.0, from: $0.1) } == [true, true, false])
  }

  @Test("A text that is compressed as a whole")
  func text() throws {
    let file = try UnnamedFile(Self.bomb(of: UInt8(ascii: "\n"), behind: Array("# tracer: nop\n#\n".utf8)))
    let unwrapped = try withExtendedLifetime(file) {
      try RecordingOpener.unwrapped(FileBytes(path: file.path), spoolLimit: nil)
    }
    #expect(unwrapped.damage?.what.contains(DecompressionBudget.excess) == true)
    #expect(unwrapped.file.count < DecompressionBudget.leastBytes + (20 << 20))
  }

  @Test("The chunks that are held at a time are so long that those of all CPUs have room")
  func chunkBytes() {
    func largest(_ pageBytes: Int, _ areas: Int) -> Int {
      Decompressor.chunkBytesMax(pageBytes: pageBytes, areas: areas)
    }
    // Ten pages always, as trace-cmd writes them; thirty-two of 4 KiB, as copies have them, on as many CPUs as there can be.
    #expect(largest(1 << 20, 4096) == 10 << 20 && largest(1 << 16, 8) == 2 << 20)
    #expect(largest(4096, 4096) == 32 * 4096 && largest(4096, 1) == 2 << 20)
    // Forged, on so many CPUs: pages are no larger than a kernel's.
    #expect(TraceDatContents.isPageSize(1 << 20) && !TraceDatContents.isPageSize(1 << 21))
  }

  @Test("Chunks of a trace.dat")
  func chunks() {
    let decompressor = Decompressor(.zstd)
    let bytes = 16 << 20
    let chunk = Self.frame(of: 0, bytes: bytes)
    let output = SectionBytes(count: bytes)
    let taken = (0..<20).prefix { _ in
      chunk.withUnsafeBytes { decompressor.decompress($0, into: output.bytes) }
    }
    #expect(taken.count == 16)
  }

  @Test("Pages of 64 KiB with an event each are one recording, and are read by as many passes as need be")
  func emptyPages() throws {
    let flavour = TraceFlavour(pageBytes: 1 << 16, compression: .zstd)
    let count = DecompressionBudget.leastBytes / flavour.pageBytes * 2
    var description = TraceDescription(flavour, formats: [KVMEventFormats.entry], cpus: 1)
    description.pagesPerChunk = 10
    let writer = TraceDatWriter(description)
    var page = TraceBuilding.entries([0], flavour)
    for number in 0..<UInt64(count) {
      // Stamps as a clock has them, whose lower bits do not repeat.
      withUnsafeBytes(of: (number &* 1_000_000_007) &+ number.hashed & 0xffff) { page.patch($0, at: 0) }
      try writer.append(page, cpu: 0)
    }
    let bytes = try writer.bytes()
    #expect(count * flavour.pageBytes > bytes.count * DecompressionBudget.ratioMax)
    let file = try UnnamedFile(bytes)
    let trace = try TraceFile(path: file.path)
    withExtendedLifetime(file) {
      trace.withSeveralPasses {
        for _ in 0..<2 {
          var reader = trace.events(.all)
          var events = 0
          while let run = reader.nextRun() { events += run.count }
          #expect(events == count && reader.statistics.damage.isEmpty)
        }
      }
    }
  }

  /// A trace.dat whose kernel has sub-buffers of 1 MiB, and whose buffers are said to have pages of half of that: each of so many CPUs
  /// with `chunks`, which hold 2 MiB each.
  private static func halved(_ buffers: [(cpus: Int, chunks: [[UInt8]])]) -> [UInt8] {
    func option(_ id: UInt16, _ body: (inout TraceBytes) -> Void) -> [UInt8] {
      var (content, bytes) = (TraceBytes(.little), TraceBytes(.little))
      body(&content)
      bytes.u16(id)
      bytes.u32(UInt32(content.count))
      return bytes.bytes + content.bytes
    }
    var out = TraceBytes(.little)
    out.raw([0x17, 0x08, 0x44])
    out.text("tracing7\0\0\u{8}")
    out.u32(4096)
    out.text("zstd\0\0")
    let first = out.count
    out.u64(0)
    func section(_ id: UInt16, _ body: [UInt8], isCompressed: Bool = false) -> Int {
      let place = out.count
      out.u16(id)
      out.u16(isCompressed ? 1 : 0)
      out.u32(0)
      out.u64(UInt64(body.count))
      out.raw(body)
      return place
    }
    var headers = TraceBytes(.little)
    headers.cString("header_page")
    headers.sized64("\tfield: char data;\toffset:16;\tsize:\((1 << 20) - 16);\tsigned:0;\n")
    headers.cString("header_event")
    headers.sized64("a")
    let headerPlace = section(16, headers.bytes)
    var options = option(16) { $0.u64(UInt64(headerPlace)) }
    for (number, buffer) in buffers.enumerated() {
      var area = TraceBytes(.little)
      area.u32(UInt32(buffer.chunks.count))
      for chunk in buffer.chunks {
        area.u32(UInt32(chunk.count))
        area.u32(2 << 20)
        area.raw(chunk)
      }
      let areas = [[UInt8]](repeating: area.bytes, count: buffer.cpus)
      let place = section(3, Array(areas.joined()), isCompressed: true)
      options += option(3) { option in
        option.u64(UInt64(place))
        option.text("b\(number)\0local\0")
        option.u32(1 << 19)
        option.u32(UInt32(areas.count))
        for cpu in areas.indices {
          option.u32(UInt32(cpu))
          option.u64(UInt64(place + 16 + cpu * area.count))
          option.u64(UInt64(area.count))
        }
      }
    }
    let last = section(0, options + option(0) { $0.u64(0) })
    var bytes = out.bytes
    bytes.patch(withUnsafeBytes(of: UInt64(last).littleEndian, Array.init), at: first)
    return bytes
  }

  @Test("To look at the sizes of pages has one budget, however many buffers and CPUs there are")
  func probing() throws {
    let empty = Self.frame(of: 0, bytes: 2 << 20)
    // A page that has more than half of 1 MiB.
    var head = TraceBytes(.little)
    head.u64(1000)
    head.u64(600_000)
    let full = Compressor(.zstd).compress(head.bytes + [UInt8](repeating: 0, count: (2 << 20) - 16))
    let shown = "the buffer \"b0\" claims pages of 524288 bytes, and has some of 1048576"
    func damage(_ buffers: [(cpus: Int, chunks: [[UInt8]])]) throws -> [String] {
      let file = try UnnamedFile(Self.halved(buffers))
      return try TraceFile(path: file.path).damage.map(\.what)
    }
    #expect(try damage([(1, [full])]) == [shown])
    let empties = [[UInt8]](repeating: empty, count: 32)
    // 64 MiB of each CPU: after four of them, and what their chunks allow, nothing more is looked at.
    #expect(try damage([(2, empties), (2, empties), (2, empties), (1, [full])]) == [])
    #expect(
      try damage([(2, empties), (1, [full])])
        == [shown.replacing("b0", with: "b1")])
  }

  @Test("Packets of a Perfetto trace")
  func packets() {
    let inflater = PacketInflater()
    let packet = Self.frame(of: 0, bytes: 60 << 20)
    let taken = (0..<8).prefix { _ in
      packet.withUnsafeBytes {
        if case .whole = inflater.inflate($0, .zstd) { return true }
        return false
      }
    }
    #expect(taken.count == 4)
    let small = Self.frame(of: 0, bytes: 1)
    let later = small.withUnsafeBytes { inflater.inflate($0, .zstd) }
    guard case .overBudget(isFirst: false) = later else {
      Issue.record("nothing more is decompressed")
      return
    }
  }

  @Test(
    "Packets of a Perfetto trace are left out from the first one on that is too much, and it is told once")
  func packetsOfTrace() throws {
    let bomb = ProtoMessage().adding(133, Self.frame(of: 0, bytes: 60 << 20))
    let bytes = PerfettoParts.trace(
      [bomb, bomb, bomb, bomb, PerfettoParts.packet(PerfettoParts.entries([1])), bomb, bomb, bomb]
        + [PerfettoParts.packet(PerfettoParts.entries([2]))])
    let reading = try PerfettoReading(bytes)
    #expect(reading.times == [1, 2])
    #expect(reading.losses == [1, 2].map { .init(cpu: 0, count: nil, before: $0) })
    let told = reading.damage.filter { $0.what.contains(DecompressionBudget.excess) }
    #expect(told.count == 1)
    #expect(
      (told.first?.offset ?? 0) > 4 * bomb.bytes.count && (told.first?.offset ?? 0) < 6 * bomb.bytes.count)
  }

  @Test("Records of a perf.data")
  func records() throws {
    var builder = PerfDataBuilder()
    // Records of 2,056 bytes and of an unknown kind.
    builder.compress(frame: Self.bomb(of: 8), partBytes: 30_000, isPadded: true)
    let file = try UnnamedFile(builder.file())
    let reading = try withExtendedLifetime(file) { try TraceFile(path: file.path) }
    #expect(reading.damage.contains { $0.what.contains(DecompressionBudget.excess) }, "\(reading.damage)")
  }
}

extension UInt64 {
  /// Bits that look like any.
  fileprivate var hashed: UInt64 { (self &* 0x9e37_79b9_7f4a_7c15) >> 32 }
}
