import Foundation
@testable import KVMTrace
import KVMTypes
import SeededRandom
import Testing
import TraceSynth
import UnnamedFiles

/// Damaged files: what is intact is used, and what is not is told.
@Suite("Damage of a perf.data")
struct PerfDamageTests {
  typealias Place = PerfDataBuilder.Place
  typealias SampleType = PerfDataBuilder.SampleType

  /// How long the record of a `kvm_entry` is.
  private static let entryBytes = 80

  /// Samples of one CPU, one each 1,000 ns.
  private static func row(_ count: UInt64, _ builder: PerfDataBuilder = PerfDataBuilder()) -> PerfDataBuilder
  {
    var builder = builder
    for step in 0..<count { builder.entry(Place(time: 1_000 * step), pc: step) }
    return builder
  }

  @Test("of what a pipe delivered, cut anywhere, all whole samples are read")
  func truncation() throws {
    let builder = Self.row(20)
    let bytes = builder.pipe()
    let begin = bytes.count - builder.records.count
    for end in stride(from: 0, to: bytes.count, by: 7) {
      let cut = Array(bytes[..<end])
      guard end > begin else {
        // Without formats, or cut among them.
        if let reading = try? PerfReading(cut) { #expect(reading.events.isEmpty) }
        continue
      }
      let reading = try PerfReading(cut)
      #expect(reading.events.count == (end - begin) / Self.entryBytes)
      #expect(reading.damage.isEmpty == ((end - begin) % Self.entryBytes == 0))
    }
  }

  @Test("a file that is cut says that the formats stood at its end")
  func cutFile() throws {
    let bytes = Self.row(20).file()
    let error = #expect(throws: IngestError.self) { try PerfReading(Array(bytes[..<1_000])) }
    #expect(error?.what == "is a perf.data that is cut: the formats of its events stood at its end")
    for end in stride(from: 1, to: bytes.count, by: 11) { _ = try? PerfReading(Array(bytes[..<end])) }
  }

  @Test(
    "a record that is none costs what stands in it, and the loss is told",
    arguments: [0, 3, 0xfff8, 81] as [UInt16])
  func badSize(size: UInt16) throws {
    let builder = Self.row(20)
    var bytes = builder.pipe()
    let record = bytes.count - builder.records.count + 5 * Self.entryBytes
    bytes.patch([UInt8(size & 0xff), UInt8(size >> 8)], at: record + 6)
    let reading = try PerfReading(bytes)
    #expect(reading.events.count >= 18)
    #expect(Set(reading.events.map(\.first)).isSuperset(of: [0, 1, 2, 3, 4, 7, 8, 19]))
    #expect(reading.losses.contains { $0.count == nil && $0.before != nil })
    #expect(reading.damage.count == 1)
  }

  @Test("a sample whose type is damaged costs what stands in it, and the loss is told", arguments: 0..<32)
  func badType(bit: UInt32) throws {
    for isFile in [true, false] {
      let builder = Self.row(20)
      var bytes = isFile ? builder.file() : builder.pipe()
      let record = try #require(bytes.firstRange(of: builder.records)).lowerBound + 5 * Self.entryBytes
      bytes[record + Int(bit / 8)] ^= 1 << UInt8(bit % 8)
      let reading = try? PerfReading(bytes)
      // What is compressed, a sample is not.
      guard let reading else {
        #expect([80 ^ 9, 81 ^ 9, 83 ^ 9].contains(1 << bit))
        continue
      }
      #expect(reading.events.map(\.first) == Array(0..<5) + Array(6..<20), "\(bit)")
      #expect(reading.losses == [PerfReading.Loss(stream: 0, before: 6_000, count: nil)], "\(bit)")
      #expect(reading.damage.count == 1, "\(bit): \(reading.damage)")
    }
  }

  @Test("what is damaged may have been a sample of any CPU: it is missing before the next one of each")
  func gapOfEach() throws {
    var builder = PerfDataBuilder()
    for cpu in 0..<3 as Range<UInt32> { builder.entry(Place(time: UInt64(1_000 + cpu), cpu: cpu)) }
    builder.append(raw: Self.row(1).records.map { $0 == 9 ? 25 : $0 })
    builder.entry(Place(time: 2_001, cpu: 1))
    builder.entry(Place(time: 2_002, cpu: 1))
    let ended = try PerfReading(builder.file())
    #expect(ended.losses == [PerfReading.Loss(stream: 1, before: 2_001, count: nil)])
    #expect(ended.damage.count == 2 && ended.damage.contains { $0.cpu == nil })
    builder.entry(Place(time: 3_000, cpu: 0))
    builder.entry(Place(time: 3_002, cpu: 2))
    builder.entry(Place(time: 3_003, cpu: 2))
    let reading = try PerfReading(builder.file())
    #expect(reading.events.count == 8)
    #expect(
      reading.losses == [
        PerfReading.Loss(stream: 0, before: 3_000, count: nil),
        PerfReading.Loss(stream: 1, before: 2_001, count: nil),
        PerfReading.Loss(stream: 2, before: 3_002, count: nil),
      ])
    #expect(reading.damage.count == 3)
  }

  @Test("a sample that names no event that there is costs what stands in it, and the loss is told")
  func badIdentifier() throws {
    var events = PerfDataBuilder()
    events.events.append(PerfDataBuilder.Event(config: UInt64(KVMEventFormats.exit.id), ids: [13]))
    let builder = Self.row(20, events)
    for bit in 0..<64 {
      var bytes = builder.file()
      let record = try #require(bytes.firstRange(of: builder.records)).lowerBound + 5 * Self.entryBytes
      bytes[record + 8 + bit / 8] ^= 1 << UInt8(bit % 8)
      let reading = try PerfReading(bytes)
      // One bit makes of 11 the number of another instance.
      guard reading.events.count < 20 else { continue }
      #expect(reading.losses == [PerfReading.Loss(stream: 0, before: 6_000, count: nil)], "\(bit)")
      #expect(reading.damage.contains { $0.what.contains("of no event that is described") }, "\(bit)")
    }
  }

  @Test("records that nobody needs are no damage, whatever their type")
  func otherRecords() throws {
    var builder = Self.row(5)
    let trailer = builder.trailer(Place(time: 5_000), id: 12)
    let kernels: [UInt32: Int] = [
      1: 48, 4: 24, 5: 24, 8: 24, 10: 80, 11: 24, 12: 8, 14: 0, 15: 8, 16: 32, 17: 32, 18: 16, 19: 24, 20: 32,
      21: 8, 22: 16,
    ]
    for (type, bytes) in kernels.sorted(by: { $0.key < $1.key }) {
      builder.append(type) { out in
        out.raw([UInt8](repeating: 1, count: bytes))
        trailer(&out)
      }
    }
    let perfs: [UInt32: Int] = [
      67: 64, 68: 0, 70: 24, 72: 64, 73: 32, 74: 16, 75: 24, 76: 40, 77: 16, 78: 24, 79: 48, 82: 0, 84: 80,
      85: 40, 86: 40,
    ]
    for (type, bytes) in perfs.sorted(by: { $0.key < $1.key }) {
      builder.append(type) { $0.raw([UInt8](repeating: 1, count: bytes)) }
    }
    builder.entry(Place(time: 6_000))
    for bytes in [builder.file(), builder.pipe()] {
      let reading = try PerfReading(bytes)
      #expect(reading.events.count == 6 && reading.damage.isEmpty && reading.losses.isEmpty)
    }
  }

  @Test(
    "where a piece of a file is missing, or there twice, what is behind it is found, and nothing is certain",
    arguments: [80, 800, 24, 512, 1_000] as [Int])
  func displaced(length: Int) throws {
    var builder = Self.row(60)
    builder.commandLines = "77 vmm\n"
    let bytes = builder.file()
    let begin = try #require(bytes.firstRange(of: builder.records)).lowerBound
    let place = begin + 20 * Self.entryBytes
    var (shorter, longer) = (bytes, bytes)
    shorter.removeSubrange(place..<(place + length))
    longer.insert(contentsOf: bytes[place..<(place + length)], at: place)
    for displaced in [shorter, longer] {
      let isLonger = displaced.count > bytes.count
      let reading = try PerfReading(displaced)
      let table = begin + builder.records.count + (isLonger ? length : -length)
      #expect(reading.damage.contains { $0.offset == table && $0.what.contains("nothing is certain") })
      #expect(reading.events.count >= 60 - length / Self.entryBytes - 2 && reading.events.last?.first == 59)
      #expect(reading.trace.uname == "Linux host 7.3.4 aarch64" && reading.trace.commands[77] == "vmm")
      let file = try UnnamedFile(displaced)
      #expect(try TraceFile(path: file.path).account.uncertainFrom == Nanoseconds(0))
    }
  }

  @Test("raw data that is longer than its sample costs that sample")
  func badRawSize() throws {
    let builder = Self.row(20)
    var bytes = builder.pipe()
    let record = bytes.count - builder.records.count + 5 * Self.entryBytes
    bytes.patch([0xff, 0xff, 0xff, 0xff], at: record + 56)
    let reading = try PerfReading(bytes)
    #expect(reading.events.map(\.first) == Array(0..<5) + Array(6..<20))
    #expect(reading.losses == [PerfReading.Loss(stream: 0, before: 6_000, count: nil)])
    #expect(reading.damage.count == 1)
  }

  @Test("zeros in the middle cost no more than what they cover")
  func zeros() throws {
    let builder = Self.row(60)
    var bytes = builder.pipe()
    let begin = bytes.count - builder.records.count
    bytes.patch([UInt8](repeating: 0, count: 1_000), at: begin + 20 * Self.entryBytes + 24)
    let reading = try PerfReading(bytes)
    #expect(Set(reading.events.map(\.first)).isSuperset(of: Set(0..<20).union(34..<60)))
    #expect(reading.losses.count == 1)
  }

  @Test("what is compressed before a damaged place is used")
  func damagedCompression() throws {
    let plain = Self.row(4_000).records
    var builder = PerfDataBuilder()
    builder.compress(plain, partBytes: 2_000, isPadded: true)
    builder.entry(Place(time: 99_000_000), pc: 77)
    var bytes = builder.pipe()
    // The last part but the sample: what it refers to is all there, and what it holds is not.
    bytes.patch([UInt8](repeating: 0xff, count: 600), at: bytes.count - Self.entryBytes - 700)
    let reading = try PerfReading(bytes)
    #expect(reading.events.count > 1_000)
    #expect(Set(reading.events.map(\.first)).isSuperset(of: 0..<1_000))
    #expect(reading.events.last?.first == 77)
    #expect(reading.damage.contains { $0.what.contains("cannot be decompressed") })
  }

  @Test("at most 256 places are told")
  func manyPlaces() throws {
    let builder = Self.row(3_000)
    var bytes = builder.pipe()
    let begin = bytes.count - builder.records.count
    for step in stride(from: 0, to: 3_000, by: 6) {
      bytes.patch([0xff, 0xff, 0xff, 0xff], at: begin + step * Self.entryBytes + 56)
    }
    let reading = try PerfReading(bytes)
    #expect(reading.events.count == 2_500)
    #expect(reading.losses.count == 500)
    #expect(reading.damage.count <= 256)
  }

  @Test("samples that alternate between CPUs take no more runs than there may be")
  func manyRuns() throws {
    var lanes = PerfLanes(isBackward: false)
    for step in 0..<(1 << 20 + 1_000) as Range<Int> {
      let cpu = UInt16(step % 2)
      if !lanes.extend(cpu: cpu, time: UInt64(step), to: step * 8 + 8) {
        lanes.begin(cpu: cpu, time: UInt64(step), at: (step * 8)..<(step * 8 + 8), isBehindGap: false)
      }
    }
    lanes.finish(sharesCPUs: false)
    #expect(lanes.lanes.count == 2)
    #expect(lanes.lanes.reduce(0) { $0 + $1.runs.count } <= 1 << 20 + 2)
  }

  @Test("a run of samples of several CPUs becomes pages of one CPU each")
  func mixedRun() throws {
    var builder = PerfDataBuilder()
    for step in 0..<10 as Range<UInt64> { builder.entry(Place(time: step, cpu: UInt32(step / 3))) }
    let bytes = builder.file()
    let named = try UnnamedFile(bytes)
    let file = try FileBytes(path: named.path)
    let header = try PerfHeader(file)
    var lane = PerfLane(cpu: 0)
    lane.runs = [PerfRun(header.records, isBehindGap: false)]
    let supply = PerfPageSupply(
      file, bigEndian: false, events: PerfEvents(header.attributes, instances: header.instances), lane: lane,
      swapping: nil, room: PerfPageSupply.Room(laneCount: 1), passOver: { _ in })
    var pages: [(cpu: UInt16, first: UInt64)] = []
    while let page = supply.next() { pages.append((supply.cpu, page.loadUnaligned(as: UInt64.self))) }
    #expect(pages.map(\.cpu) == [0, 1, 2, 3])
    #expect(pages.map(\.first) == [0, 3, 6, 9])
  }

  @Test("where there are very many lanes, pages and windows are short, and long events are read all the same")
  func manyLanes() throws {
    var builder = PerfDataBuilder()
    let laneCount = 4000
    let text = [UInt8](repeating: 7, count: 7000)
    for lane in 0..<UInt64(laneCount) {
      // Each ring is of all the time.
      for step in 0..<3 as Range<UInt64> { builder.entry(Place(time: lane + step << 40), pc: lane) }
      if lane % 1000 == 7 {
        builder.append(raw: builder.sample(Place(time: lane + 3 << 40), builder.entryPayload(pc: 1) + text))
      }
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.trace.streamCount == laneCount && reading.damage.isEmpty && reading.losses.isEmpty)
    var times: [UInt64] = []
    for step in 0..<3 as Range<UInt64> { times += (0..<UInt64(laneCount)).map { $0 + step << 40 } }
    times += ([7, 1007, 2007, 3007] as [UInt64]).map { $0 + 3 << 40 }
    #expect(reading.times == times)
    let room = PerfPageSupply.Room(laneCount: PerfLanes.lanesMax)
    let record = MemoryLayout<TraceRecord>.stride
    let each = room.pieceBytes + room.pageBytes + PageDecoder.recordsMax(pageBytes: room.pageBytes) * record
    #expect(each * PerfLanes.lanesMax <= 81 << 20)
  }

  @Test("lanes whose ends overtake one another are kept in the order of their ends")
  func overtaking() throws {
    var lanes = PerfLanes(isBackward: false)
    func deal(_ time: UInt64) {
      let place = Int(time)
      guard !lanes.extend(cpu: 0, time: time, to: place + 1) else { return }
      lanes.begin(cpu: 0, time: time, at: place..<(place + 1), isBehindGap: false)
    }
    let unit = 10 * PerfLanes.jitterNs
    // Three rings: one ends at 30, one at 20, one at 10.
    for end in [30, 20, 10] as [UInt64] { deal(end * unit) }
    // The last goes on up to 40, behind both others.
    deal(11 * unit)
    deal(40 * unit)
    // So of what comes next one goes behind 30, and one behind 20, where it goes on behind all others.
    deal(31 * unit)
    deal(21 * unit)
    deal(41 * unit)
    lanes.finish(sharesCPUs: false)
    #expect(lanes.lanes.map(\.greatest) == [31, 41, 40].map { $0 * unit })
  }

  @Test("a sample goes behind that of the lanes that ends last before it, whichever have overtaken others")
  func overtakingOften() throws {
    var lanes = PerfLanes(isBackward: false)
    let unit = 10 * PerfLanes.jitterNs
    // What a search through all lanes finds: the end of each, and the samples.
    var (ends, samples, open) = ([UInt64](), [[Int]](), 0)
    // Powers of a number modulo a prime: each time is another one, and they are in no order that lanes follow.
    var power: UInt64 = 1
    for place in 0..<500 {
      power = power * 18 % 1009
      let time = power * unit
      if !lanes.extend(cpu: 0, time: time, to: place + 1) {
        lanes.begin(cpu: 0, time: time, at: place..<(place + 1), isBehindGap: false)
      }
      if ends.isEmpty || time < ends[open] {
        open = ends.indices.filter { ends[$0] < time }.max { ends[$0] < ends[$1] } ?? ends.count
      }
      if open == ends.count {
        ends.append(time)
        samples.append([])
      }
      ends[open] = time
      samples[open].append(place)
    }
    lanes.finish(sharesCPUs: false)
    #expect(lanes.lanes.map(\.greatest) == ends && ends.count > 10)
    #expect(lanes.lanes.map { $0.runs.flatMap(\.records) } == samples)
  }

  @Test(
    "a sample of a CPU that no host has, or with a stamp that no clock says, is damage and left out",
    arguments: [
      (4096, 5_000), (65_535, 5_000), (1 << 31, 5_000), (0, .max - 999), (0, 1 << 63),
    ] as [(UInt32, UInt64)])
  func impossible(cpu: UInt32, time: UInt64) throws {
    for isPlain in [true, false] {
      var builder = PerfDataBuilder()
      if !isPlain { builder.events[0].sampleType |= SampleType.callchain }
      for step in 0..<5 as Range<UInt64> { builder.entry(Place(time: 1_000 * step, cpu: 1)) }
      builder.entry(Place(time: time, cpu: cpu))
      for step in 6..<9 as Range<UInt64> { builder.entry(Place(time: 1_000 * step, cpu: 1)) }
      builder.entry(Place(time: time, cpu: cpu))
      let reading = try PerfReading(builder.file())
      #expect(reading.times == [0, 1, 2, 3, 4, 6, 7, 8].map { 1_000 * $0 })
      #expect(reading.losses == [PerfReading.Loss(stream: 0, before: 6_000, count: nil)])
      #expect(reading.damage.count == 2 && reading.trace.cpuCount == 4)
    }
  }

  @Test("stamps that are far from one another stay as they are")
  func farStamps() throws {
    let times: [UInt64] = [5, 1 << 59, 1 << 62, 1 << 63 - 1]
    var builder = PerfDataBuilder()
    for time in times { builder.entry(Place(time: time)) }
    #expect(try PerfReading(builder.file()).times == times)
  }

  @Test("a file that is cut after it was opened is read as far as it goes")
  func shrinking() throws {
    let builder = Self.row(5_000)
    let named = try UnnamedFile(builder.pipe())
    let file = try FileBytes(path: named.path)
    let trace = try PerfData(file)
    let left = builder.pipe().count - builder.records.count / 2
    try #require(truncate(named.path, left) == 0)
    let supply = trace.pages(ofStream: 0)
    var pages = 0
    while supply.next() != nil { pages += 1 }
    #expect(pages > 1)
    #expect(file.shrinkage?.offset == left)
    #expect(supply.damage.places.isEmpty)
  }

  @Test("descriptions of events that never end cost no more than a few")
  func manyDescriptions() throws {
    var builder = PerfDataBuilder()
    let attribute = builder.attribute(builder.events[0])
    for time in 0..<300 as Range<UInt64> {
      builder.append(64) { out in
        out.raw(attribute)
        for id in 0..<200 as Range<UInt64> { out.u64(id) }
      }
      builder.entry(Place(time: time))
    }
    let reading = try PerfReading(builder.pipe())
    #expect(reading.events.count == 300)
    #expect(!reading.damage.isEmpty && reading.damage.count <= 256)
  }

  @Test(
    "a part that is read backwards has no record that the file has lost meanwhile", arguments: [0, 30, 48])
  func shrunkBackwardPart(extra: Int) throws {
    var builder = PerfDataBuilder()
    for time in 1...8 as ClosedRange<UInt64> { builder.command("thread \(time)", tid: UInt32(time)) }
    let bytes = builder.records
    let size = bytes.count / 8
    let file = try UnnamedFile(bytes)
    // The first read ends early, as that of a file which was cut; a later one finds more again.
    var reads = 0
    let opened = try FileBytes(path: file.path, descriptor: open(file.path, O_RDONLY)) {
      reads += 1
      let limit = reads == 1 ? 3 * size + extra : reads == 2 ? 0 : bytes.count
      return pread($0, $1, max(0, min($2, limit - $3)), off_t($3))
    }
    var reader = PerfRecordReader(opened, bigEndian: false, 0..<0)
    reader.enter(0..<bytes.count, isBackward: true)
    var threads: [UInt32] = []
    while let record = reader.next() { threads.append(record.word32(8)) }
    #expect(threads == (extra < size ? [3, 2, 1] : [4, 3, 2, 1]))
    #expect(!opened.isWhole)
  }

  @Test("no damage makes the reader crash, hang or take what is not there")
  func mutants() throws {
    var ring = Self.row(40)
    ring.lost(3, Place(time: 40_000))
    ring.entry(Place(time: 41_000, cpu: 1))
    var packed = PerfDataBuilder()
    packed.compress(ring.records, partBytes: 100, isPadded: false)
    var swapped = Self.row(30, PerfDataBuilder(byteOrder: .big))
    swapped.events[0].sampleType |= PerfDataBuilder.SampleType.callchain
    var turned = ring
    turned.events[0].flags |= 1 << 27
    let whole = [ring.file(), ring.pipe(), packed.file(), packed.pipe(), swapped.pipe(), turned.pipe()]
    for (index, bytes) in whole.enumerated() {
      for mutation in Mutation.allCases {
        for seed in MutantSeeds.first(40) {
          let mutant = mutation.apply(to: bytes, seed: seed << 8 | UInt64(index))
          guard !mutant.isEmpty, let reading = try? PerfReading(mutant) else { continue }
          #expect(reading.events.count <= 200)
          for place in reading.damage { #expect(place.offset >= 0) }
        }
      }
    }
  }
}
