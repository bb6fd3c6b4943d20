import Foundation
import Testing
import UnnamedFiles

@testable import KVMTrace
@testable import TraceSynth

@Suite("Damaged Perfetto traces")
struct PerfettoDamageTests {
  private typealias Parts = PerfettoParts

  /// Ten packets with ten events each, of two CPUs in turn.
  private static let packets = (0..<10).map { packet in
    Parts.packet(Parts.entries(cpu: packet % 2, (0..<10).map { UInt64(packet * 100 + $0 + 1) }))
  }
  private static let whole = Parts.trace(packets)
  private static let wholeTimes = Set(
    (0..<10).flatMap { packet in (0..<10).map { UInt64(packet * 100 + $0 + 1) } })

  /// Where each packet begins.
  private static let begins: [Int] = packets.reduce(into: [0]) { places, packet in
    places.append(places.last! + ProtoMessage().adding(1, packet).bytes.count)
  }

  @Test(
    "an event with a stamp that no clock says is damage and left out", arguments: [UInt64.max - 999, 1 << 63])
  func impossibleStamp(time: UInt64) throws {
    for at in 0...3 {
      var times: [UInt64] = [10, 20, 30]
      times.insert(time, at: at)
      let reading = try PerfettoReading(Parts.trace(Parts.packet(Parts.entries(times))))
      #expect(reading.times == [10, 20, 30] && reading.damage.count == 1 && reading.losses.count == 1)
    }
  }

  @Test("stamps that are far from one another stay as they are")
  func farStamps() throws {
    let times: [UInt64] = [5, 1 << 59, 1 << 62, 1 << 63 - 1]
    #expect(try PerfettoReading(Parts.trace(Parts.packet(Parts.entries(times)))).times == times)
  }

  @Test(
    "packets that are there twice are read once, and what they lie in the place of is missing",
    arguments: [2, 3, 8])
  func repeatedPackets(from first: Int) throws {
    let packets = Self.packets
    let inserted = packets[..<(first + 2)] + packets[first..<(first + 2)] + packets[(first + 2)...]
    let overwritten =
      packets[..<(first + 2)] + packets[first..<(first + 2)] + packets[(first + 2)...].dropFirst(2)
    for (trace, isWhole) in [(Array(inserted), true), (Array(overwritten), false)] {
      let reading = try PerfettoReading(Parts.trace(trace))
      #expect(reading.times.count == Set(reading.times).count)
      let isMissing = !isWhole && first < 8
      #expect(Set(reading.times).count == (isMissing ? 80 : 100))
      #expect(
        reading.damage.count == 2
          && reading.damage.allSatisfy { $0.what.hasSuffix("is there twice; this one is left out") })
      #expect(reading.damage.map(\.offset).min()! >= Self.begins[first + 2])
      // Behind the first of them each CPU's next bundle is in doubt.
      let behind = (isMissing ? [1, 4, 5] : [1, 2, 3]).map { first + $0 }.filter { $0 < 10 }
      #expect(reading.losses.allSatisfy { $0.count == nil })
      #expect(Set(reading.losses.compactMap(\.before)).isSuperset(of: behind.map { UInt64($0 * 100 + 1) }))
    }
  }

  @Test("packets in a compressed packet", arguments: [(50, TraceFlavour.Compression.zlib), (133, .zstd)])
  func compressed(field: Int, method: TraceFlavour.Compression) throws {
    let inner = Parts.trace(Parts.packet(Parts.entries([1, 2])), Parts.packet(Parts.entries(cpu: 1, [3])))
    let bytes = Parts.trace(
      Parts.clocks(raw: 1, boot: 2), ProtoMessage().adding(UInt64(field), Compressor(method).compress(inner)),
      Parts.packet(Parts.entries([5])))
    let reading = try PerfettoReading(bytes)
    #expect(reading.times == [1, 2, 5, 3] && reading.damage.isEmpty && reading.losses.isEmpty)
    #expect(reading.trace.compression == (field == 50 ? "zlib" : "zstd"))
  }

  @Test("the events of a CPU are read from compressed packets that hold others' between them")
  func manyCompressed() throws {
    let filler = ProtoMessage().adding(900, [UInt8](repeating: 7, count: 1 << 20))
    let packets = (0..<5 as Range<UInt64>).map { number -> ProtoMessage in
      let first = Parts.packet(Parts.entries(cpu: 0, [number * 10 + 1]))
      let second = Parts.packet(Parts.entries(cpu: 1, [number * 10 + 2]))
      let inner = Parts.trace(first, filler, second)
      return ProtoMessage().adding(50, Compressor(.zlib).compress(inner))
    }
    let reading = try PerfettoReading(Parts.trace(packets))
    #expect(reading.times == [1, 11, 21, 31, 41, 2, 12, 22, 32, 42] && reading.damage.isEmpty)
  }

  @Test(
    "no more of what is compressed is kept than may be written to a temporary file, nor what has no events")
  func spoolLimit() throws {
    func packed(_ packets: ProtoMessage...) -> ProtoMessage {
      ProtoMessage().adding(50, Compressor(.zlib).compress(Parts.trace(packets)))
    }
    let entries = packed(Parts.packet(Parts.entries([1, 2])))
    let filler = packed(ProtoMessage().adding(900, [UInt8](repeating: 7, count: 1000)))
    let trace = try PerfettoReading.open(Parts.trace(filler, entries, filler), spoolLimit: 100)
    #expect(trace.compression == "zlib" && trace.streamCount == 1)
    let named = try UnnamedFile(Parts.trace(entries))
    let error = #expect(throws: IngestError.self) { try TraceFile(path: named.path, spoolLimit: 10) }
    #expect(error?.kind == .inputOutput && error?.what.contains("is longer than 10 bytes") == true)
  }

  @Test("where events in a compressed packet are damaged, the packet's place is told")
  func damagedInCompressed() throws {
    let before = Parts.packet(Parts.entries([1]))
    func inner(_ first: UInt64) -> ProtoMessage {
      let bundle = Parts.entries([first]).appending([0x13, 0x13]).adding(2, Parts.entry(first + 1))
      return ProtoMessage().adding(50, Compressor(.zlib).compress(Parts.trace(Parts.packet(bundle))))
    }
    let reading = try PerfettoReading(Parts.trace(before, inner(2), inner(4)))
    let begin = Parts.trace(before).count + Parts.trace(inner(2)).count - inner(2).bytes.count + 3
    #expect(reading.times == [1, 2, 3, 4, 5])
    #expect(reading.damage.map(\.offset) == [begin, begin + Parts.trace(inner(2)).count])
  }

  @Test("a compressed packet that does not decompress is left out, and every CPU has a gap there")
  func brokenCompressed() throws {
    var packed = Compressor(.zlib).compress(Parts.trace(Self.packets))
    packed[packed.count / 2] ^= 0xff
    let reading = try PerfettoReading(
      Parts.trace(
        Parts.packet(Parts.entries([1])), ProtoMessage().adding(50, packed), Parts.packet(Parts.entries([2])))
    )
    #expect(reading.times == [1, 2])
    #expect(reading.damage.map(\.what) == ["compressed packets do not decompress; they are left out"])
    #expect(reading.losses == [.init(cpu: 0, count: nil, before: 2)])
  }

  @Test("a compressed packet that is too long when it is decompressed is left out")
  func bomb() throws {
    let zeros = ProtoMessage().adding(900, [UInt8](repeating: 0, count: PacketInflater.bytesMax)).bytes
    let bytes = Parts.trace(
      ProtoMessage().adding(50, Compressor(.zlib).compress(zeros)), Parts.packet(Parts.entries([2])))
    let reading = try PerfettoReading(bytes)
    #expect(reading.times == [2])
    #expect(
      reading.damage.map(\.what) == ["compressed packets decompress to more than 64 MiB; they are left out"])
  }

  @Test("of a file that ends early everything before is read", arguments: [false, true])
  func truncated(isCompressed: Bool) throws {
    let bytes =
      isCompressed
      ? Parts.trace(ProtoMessage().adding(50, Compressor(.zlib).compress(Self.whole))) : Self.whole
    var most = 0
    for count in stride(from: 1, to: bytes.count, by: isCompressed ? 1 : 3) {
      guard let reading = try? PerfettoReading(Array(bytes[..<count]), withFields: false) else {
        #expect(most == 0)
        continue
      }
      #expect(Set(reading.times).isSubset(of: Self.wholeTimes) && reading.events.count >= most)
      most = max(most, reading.events.count)
      #expect(reading.trace.streamCount <= 2)
      let isBetween = Self.begins.contains(count) && !isCompressed
      #expect(reading.damage.map(\.what) == (isBetween ? [] : ["the file ends inside a packet"]), "\(count)")
      guard !isCompressed else { continue }
      let packets = Self.begins.lastIndex { $0 <= count }!
      #expect(reading.events.count >= packets * 10 && reading.events.count <= packets * 10 + 10)
    }
    #expect(most >= 90)
  }

  @Test("a hole of zeros takes what it covers, and the CPUs have a gap there")
  func hole() throws {
    var bytes = Self.whole
    let hole = (Self.begins[3] + 5)..<(Self.begins[5] + 7)
    for position in hole { bytes[position] = 0 }
    let reading = try PerfettoReading(bytes)
    #expect(Set(reading.times).isSuperset(of: Self.wholeTimes.filter { $0 < 300 || $0 > 600 }))
    #expect(reading.times.count < 100 && !reading.damage.isEmpty)
    #expect(reading.damage.allSatisfy { hole.overlaps(($0.offset - 200)..<($0.offset + 200)) })
    #expect(reading.losses.contains { $0.cpu == 0 && $0.count == nil })
    #expect(reading.losses.contains { $0.cpu == 1 && $0.count == nil })
  }

  @Test(
    "of a packet whose length is damaged the events are read, and the next one is found",
    arguments: [1, 0x7f, 0x83])
  func packetLength(value: UInt8) throws {
    var bytes = Self.whole
    bytes[Self.begins[4] + 1] = value
    let reading = try PerfettoReading(bytes)
    // A length that seems to take two bytes hides where the message begins.
    let isHidden = value >= 0x80
    #expect(
      Set(reading.times) == Self.wholeTimes.filter { !isHidden || !(400..<500).contains($0) })
    #expect(reading.damage.map(\.offset) == [Self.begins[4]])
  }

  @Test("a packet of whose tag one bit is another is read", arguments: 0..<8)
  func packetTag(bit: UInt8) throws {
    var bytes = Self.whole
    bytes[Self.begins[4]] ^= 1 << bit
    let reading = try PerfettoReading(bytes)
    #expect(Set(reading.times) == Self.wholeTimes)
    #expect(
      reading.damage == [
        Damage(offset: Self.begins[4], what: "the tag of a packet is damaged; the packet is read")
      ])
    bytes[0] ^= 1 << bit
    #expect(Set(try PerfettoReading(bytes).times) == Self.wholeTimes)
  }

  @Test("a row of packets that begins inside a damaged length is found")
  func packetsInLength() throws {
    // 0x0a and a length that go on with the first packet of the row.
    let reading = try PerfettoReading([0x0a] + Self.whole)
    #expect(Set(reading.times) == Self.wholeTimes && reading.damage.map(\.offset) == [0])
  }

  @Test("a packet that claims to be longer than the file is left out where others follow")
  func pastEnd() throws {
    let long = ProtoMessage.varint(1 << 40)
    let bytes = Array(Self.whole[..<Self.begins[4]]) + [0x0a] + long + Array(Self.whole[Self.begins[4]...])
    let reading = try PerfettoReading(bytes)
    #expect(Set(reading.times) == Self.wholeTimes && reading.damage.map(\.offset) == [Self.begins[4]])
  }

  @Test("of a packet whose fields do not fill it the events are read")
  func packetFields() throws {
    // The length of the bundle.
    for change: UInt8 in [0xff, 1] {
      var bytes = Self.whole
      let place = try #require(bytes[Self.begins[4]...].dropFirst(2).firstIndex(of: 0x0a)) + 1
      bytes[place] = bytes[place] &+ change
      let reading = try PerfettoReading(bytes)
      #expect(reading.events.count >= 99 && Set(reading.times).isSubset(of: Self.wholeTimes))
      #expect(
        reading.damage.first.map(\.what) == "a packet is damaged; of what it holds only events are used")
    }
  }

  @Test("an event that is damaged is left out, and the CPU has a gap there")
  func event() throws {
    let events = [Parts.entry(1), ProtoMessage().appending([0x0f, 3]), Parts.entry(3)]
    let payload = Parts.event(4, 376, ProtoMessage().appending([0x08, 0x80]))
    let reading = try PerfettoReading(
      Parts.trace(Parts.packet(Parts.bundle(events + [payload, Parts.entry(5)]))))
    #expect(reading.events.filter { $0.name == "kvm:kvm_entry" }.map(\.time) == [1, 3, 5])
    #expect(
      reading.damage.map(\.what) == [
        "a bundle of events of CPU 0 is damaged; 4 bytes of it are left out",
        "a bundle of events of CPU 0 is damaged; 11 bytes of it are left out",
      ])
    #expect(
      reading.losses == [.init(cpu: 0, count: nil, before: 3), .init(cpu: 0, count: nil, before: 5)])
  }

  @Test("behind what is no field of a bundle the next event is found")
  func bundle() throws {
    let bundle = Parts.entries([1, 2]).appending([0x13, 0x13]).adding(2, Parts.entry(3))
      .adding(2, Parts.event(4, 390, ProtoMessage().adding(8, 1)))
    let last = Parts.entries([5]).appending([0x13, 0x13, 0x12])
    let reading = try PerfettoReading(
      Parts.trace(Parts.packet(bundle), Parts.packet(last), Parts.packet(Parts.entries([6]))))
    #expect(reading.times == [1, 2, 3, 4, 5, 6] && reading.events[3].name == "kvm:kvm_sys_access")
    #expect(
      reading.damage.map(\.what) == [
        "a bundle of events of CPU 0 is damaged; 2 bytes of it are left out",
        "a bundle of events of CPU 0 is damaged; 3 bytes of it are left out",
      ])
    #expect(
      reading.losses == [.init(cpu: 0, count: nil, before: 3), .init(cpu: 0, count: nil, before: 6)])
  }

  @Test(
    "the next event is found far behind, also in a bundle that is not read at once", arguments: [false, true])
  func farBehind(isCompressed: Bool) throws {
    let middle = [UInt8](repeating: 0x13, count: 300_000)
    let bundle = Parts.entries([1]).appending(middle).adding(2, eachOf: [Parts.entry(3), Parts.entry(4)])
    let trace = Parts.trace(Parts.packet(bundle))
    let reading = try PerfettoReading(
      isCompressed ? Parts.trace(ProtoMessage().adding(50, Compressor(.zlib).compress(trace))) : trace)
    #expect(reading.times == [1, 3, 4])
    #expect(reading.losses == [.init(cpu: 0, count: nil, before: 3)])
  }

  @Test("any bit of a tag or a length of an event costs that event at most", arguments: 0..<16)
  func anyBit(bit: Int) throws {
    let events = (1...20).map {
      Parts.event(UInt64($0) * 1000, 380, ProtoMessage().adding(1, 0x9200_0007).adding(3, 5))
    }
    var bytes = Parts.trace(Parts.packet(Parts.bundle(events)), Parts.packet(Parts.entries([100_000])))
    let begin = try #require(
      bytes.firstRange(of: Parts.bundle([events[9]]).bytes.suffix(events[9].bytes.count + 2)))
    bytes[begin.lowerBound + bit / 8] ^= 1 << UInt8(bit % 8)
    let reading = try PerfettoReading(bytes)
    let times = reading.events.filter { $0.name != "" }.map(\.time)
    #expect(Set(times).isSuperset(of: (1...20).map { UInt64($0) * 1000 }.filter { $0 != 10_000 } + [100_000]))
    #expect(!reading.damage.isEmpty && reading.losses.contains { $0.count == nil })
  }

  @Test("fields of a bundle that are longer than what is read at once are passed over")
  func longFields() throws {
    let long = [UInt8](repeating: 0x55, count: 200_000)
    let bundle = ProtoMessage().adding(1, 0).adding(4, long).adding(2, Parts.entry(1))
      .adding(2, Parts.event(2, 376, ProtoMessage().adding(9, long))).adding(512, long).adding(
        2, Parts.entry(3))
    for packet in [
      Parts.packet(bundle),
      ProtoMessage().adding(50, Compressor(.zlib).compress(Parts.trace(Parts.packet(bundle)))),
    ] {
      let reading = try PerfettoReading(Parts.trace(packet))
      #expect(Set(reading.times).isSuperset(of: [1, 3]) && reading.times.count <= 3)
    }
  }

  @Test("an event that is longer than what is read at once is left out, and told", arguments: [false, true])
  func longEvent(isCompressed: Bool) throws {
    let text = String(repeating: "x", count: 100_000)
    let trace = Parts.trace(
      Parts.packet(
        Parts.bundle([Parts.entry(1), Parts.event(2, 3, ProtoMessage().adding(2, text)), Parts.entry(3)])))
    let reading = try PerfettoReading(
      isCompressed ? Parts.trace(ProtoMessage().adding(50, Compressor(.zlib).compress(trace))) : trace)
    #expect(reading.times == [1, 3])
    #expect(
      reading.damage.map { $0.what.hasPrefix("a bundle of events of CPU 0 is damaged; 1000") } == [true])
    #expect(reading.losses == [.init(cpu: 0, count: nil, before: 3)])
  }

  @Test("fields with numbers that are not given out yet are no damage", arguments: [64, 100, 511, 576, 5000])
  func newFields(number: UInt64) throws {
    let event = ProtoMessage().adding(1, 3).adding(2, 7).adding(376, ProtoMessage().adding(1, 5))
      .adding(number + 10_000, [1, 2, 3])
    let bundle = Parts.entries([1]).adding(number, 5).adding(2, Parts.entry(2)).adding(number, [9, 9]).adding(
      number + 1, "next"
    ).adding(2, event).adding(number, 1)
    let reading = try PerfettoReading(Parts.trace(Parts.packet(bundle)))
    #expect(reading.times == [1, 2, 3] && reading.damage.isEmpty && reading.losses.isEmpty)
    let last = reading.events.last
    #expect(last?.name == "kvm:kvm_entry" && last?.fields["vcpu_pc"] == .unsigned(5))
  }

  @Test("fields with new numbers are no damage in a bundle that is not read at once")
  func newFieldsInLongBundle() throws {
    let field = ProtoMessage().adding(700, [UInt8](repeating: 0x12, count: 300)).bytes
    let times = (1...3000).map { UInt64($0) }
    let bundle = times.reduce(ProtoMessage()) {
      $0.adding(2, Parts.entry($1)).appending($1 % 5 == 0 ? field : [])
    }
    let reading = try PerfettoReading(Parts.trace(Parts.packet(bundle)), withFields: false)
    #expect(bundle.bytes.count > 3 << 16 && reading.times == times && reading.damage.isEmpty)
  }

  @Test("fields with new numbers may be repeated, however often", arguments: [12, 63, 64, 65, 300, 60_000])
  func repeatedNewFields(count: Int) throws {
    let fields = [[UInt8]](repeating: ProtoMessage().adding(600, 7).bytes, count: count).flatMap { $0 }
    let atEnd = Parts.entries([1, 2]).appending(fields)
    let between = atEnd.adding(2, Parts.entry(3))
    let reading = try PerfettoReading(
      Parts.trace(Parts.packet(atEnd), Parts.packet(between), Parts.packet(Parts.entries([4]))))
    #expect(reading.times == [1, 2, 1, 2, 3, 4] && reading.damage.isEmpty && reading.losses.isEmpty)
    // A part of a field stands at the end.
    let damaged = try PerfettoReading(
      Parts.trace(Parts.packet(atEnd.appending([0xc0])), Parts.packet(Parts.entries([4]))))
    #expect(damaged.times == [1, 2, 4] && damaged.damage.count == 1)
  }

  @Test("a text that is longer than a record can be is left out, and told")
  func longText() throws {
    let text = String(repeating: "x", count: 65_500)
    let events = [Parts.entry(1), Parts.event(2, 3, ProtoMessage().adding(2, text)), Parts.entry(3)]
    let reading = try PerfettoReading(Parts.trace(Parts.packet(Parts.bundle(events))))
    #expect(reading.times == [1, 3] && reading.damage.count == 1)
  }

  @Test("what only looks like packets is soon done with")
  func lookalikes() throws {
    let reading = try PerfettoReading(Self.whole + [UInt8](repeating: 0x0a, count: 4 << 20))
    #expect(Set(reading.times) == Self.wholeTimes && !reading.damage.isEmpty)
  }

  @Test("a file that becomes shorter is read as far as it goes, and tells so itself")
  func shrinking() throws {
    let unnamed = try UnnamedFile(Self.whole)
    let file = try FileBytes(path: unnamed.path)
    let trace = try PerfettoTrace(file)
    try #require(truncate(unnamed.path, Self.begins[4] + 20) == 0)
    var pages = 0
    for stream in 0..<trace.streamCount {
      let supply = trace.pages(ofStream: stream)
      while supply.next() != nil { pages += 1 }
      #expect(supply.damage.places.isEmpty)
    }
    #expect(pages == trace.streamCount && file.shrinkage != nil && trace.damage.isEmpty)
  }

  @Test("bundles of nothing are not kept in mind")
  func emptyBundles() throws {
    let empty = ProtoMessage().adding(1, Parts.packet(Parts.entries([]))).bytes
    var bytes: [UInt8] = []
    for _ in 0..<50_000 { bytes += empty }
    let reading = try PerfettoReading(bytes + Self.whole)
    #expect(reading.events.count == 100 && reading.damage.isEmpty && reading.losses.isEmpty)
  }

  @Test("a bundle none of whose events can be read is left out, and the CPU has a gap there")
  func unreadable() throws {
    let bad = Parts.packet(Parts.bundle([ProtoMessage(), ProtoMessage().adding(2, 7)]))
    let reading = try PerfettoReading(
      Parts.trace(
        Parts.packet(Parts.entries([1])), Parts.packet(Parts.entries(cpu: 1, [2])), bad,
        Parts.packet(Parts.entries([3])), Parts.packet(Parts.entries(cpu: 1, [4]))))
    #expect(reading.times == [1, 3, 2, 4])
    #expect(reading.losses == [.init(cpu: 0, count: nil, before: 3)])
    #expect(reading.damage.map(\.what) == ["a bundle of events of CPU 0 is damaged; it is left out"])
    #expect(throws: IngestError.self) { try PerfettoReading.open(Parts.trace(bad)) }
  }

  @Test("of a small file no more bundles are kept in mind than it can have, and the others are told")
  func manyBundles() throws {
    let count = BundleIndex.leastRunsMax + 1000
    let inner = Parts.trace((0..<count).map { Parts.packet(Parts.entries([UInt64(count - $0)])) })
    let packed = Parts.trace(ProtoMessage().adding(133, Compressor(.zstd).compress(inner)))
    let most = max(BundleIndex.leastRunsMax, packed.count / BundleIndex.fileBytesPerRun)
    let reading = try PerfettoReading(packed, withFields: false)
    #expect(most < count && reading.events.count == most)
    #expect(reading.times == reading.times.sorted())
    #expect(reading.damage.map { $0.what.hasPrefix("there are more bundles") } == [true])
  }

  @Test("of a small file no more packets are looked at than it can have, and the others are told")
  func manyPackets() throws {
    let empty = [[UInt8]](repeating: [0x0a, 0], count: 1 << 20 + 100_000).flatMap { $0 }
    let inner =
      Parts.trace(Parts.packet(Parts.entries([1]))) + empty + Parts.trace(Parts.packet(Parts.entries([2])))
    let packed = Parts.trace(ProtoMessage().adding(133, Compressor(.zstd).compress(inner)))
    let reading = try PerfettoReading(packed)
    #expect(reading.times == [1])
    #expect(reading.damage.map { $0.what.hasPrefix("there are more bundles") } == [true])
  }

  @Test("more CPUs than there can be streams are told")
  func manyStreams() throws {
    let packets = (0..<(BundleIndex.streamsMax + 10)).map {
      Parts.packet(Parts.entries(cpu: $0, [UInt64($0)]))
    }
    let trace = try PerfettoReading.open(Parts.trace(packets))
    #expect(trace.streamCount == BundleIndex.streamsMax)
    #expect(trace.damage.contains { $0.what.hasPrefix("there are more bundles") })
  }
}
