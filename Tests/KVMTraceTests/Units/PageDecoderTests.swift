import KVMTypes
import SeededRandom
import Testing
import TraceSynth

@testable import KVMTrace

/// One page at a time, without a file around it.
@Suite("PageDecoder")
struct PageDecoderTests {
  /// Decodes a page of a little-endian kernel that knows `kvm_entry` and `kvm_exit`.
  private func decode(
    _ page: [UInt8], _ selection: EventSelection = .all, _ time: TimeConversion = TimeConversion()
  ) -> (outcome: PageDecoder.Outcome, records: [TraceRecord], counts: [UInt64]) {
    let texts = [KVMEventFormats.entry, KVMEventFormats.exit].map { Array($0.text(kernelLongBytes: 8).utf8) }
    let formats = texts[0].withUnsafeBytes { entry in
      texts[1].withUnsafeBytes { exit in
        EventFormats([("kvm", entry), ("kvm", exit)], bigEndian: false, kernelLongSize: 8)
      }
    }
    let plan = DecodePlan(formats, selection: selection, bigEndian: false)
    let decoder = PageDecoder(bigEndian: false, headerBytes: 16, time: time, cpu: CPUIndex(9))
    let capacity = PageDecoder.recordsMax(pageBytes: page.count)
    let records = UnsafeMutablePointer<TraceRecord>.allocate(capacity: capacity)
    defer { records.deallocate() }
    var counts = [UInt64](repeating: 0, count: 3)
    let outcome = page.withUnsafeBytes { decoder.decode($0, plan: plan, into: records, counts: &counts) }
    #expect(outcome.recordCount <= capacity)
    return (outcome, Array(UnsafeBufferPointer(start: records, count: outcome.recordCount)), counts)
  }

  @Test("records carry place, length, CPU and thread of their event")
  func records() {
    let page = TraceBuilding.page(at: 100) { page in
      page.event(TraceBuilding.entry(pc: 0xffff_8000_1234_5678), delta: 0)
      page.event(TraceBuilding.entry(pc: 2), delta: 5, longForm: true)
    }
    let (outcome, records, counts) = decode(page)
    #expect(records.map(\.payloadOffset) == [20, 20 + 16 + 8] as [UInt32])
    #expect(records.map(\.payloadLength) == [16, 16] as [UInt16])
    #expect(records.map(\.cpu) == [CPUIndex(9), CPUIndex(9)] && records.map(\.tid.rawValue) == [7, 7])
    #expect(records.map(\.entryPC.rawValue) == [0xffff_8000_1234_5678, 2])
    #expect(outcome.first == Nanoseconds(100) && outcome.last == Nanoseconds(105))
    #expect(outcome.lost == nil && outcome.damage == nil)
    // The formats in the order of their numbers: kvm_exit, kvm_entry, then what has none.
    #expect(counts == [0, 2, 0])
  }

  @Test("what is not selected is counted, and gives the stamps")
  func unselected() {
    let page = TraceBuilding.page(at: 100) { page in
      page.event([1, 2, 0, 0, 0, 0, 0, 0], delta: 0)
      page.event(TraceBuilding.entry(), delta: 1)
      page.event([1, 2, 0, 0, 0, 0, 0, 0], delta: 1)
    }
    let (outcome, records, counts) = decode(page, .replay(probes: false))
    #expect(records.map(\.time.rawValue) == [101])
    #expect(outcome.first == Nanoseconds(100) && outcome.last == Nanoseconds(102))
    #expect(counts == [0, 1, 2])
  }

  /// Bytes that look a little like a page.
  private func noise(_ random: inout SplitMix64) -> [UInt8] {
    let size = 1 << Int(9 + random.next() % 4)
    var page = [UInt8](repeating: 0, count: size)
    for index in page.indices { page[index] = UInt8(truncatingIfNeeded: random.next()) }
    // A length that is mostly plausible, so that the noise is taken for events.
    let commit = random.next() % UInt64(size)
    for index in 0..<8 { page[8 + index] = UInt8(truncatingIfNeeded: commit >> UInt64(8 * index)) }
    return page
  }

  @Test("the loop for plain events finds what the general one finds", arguments: 0..<4)
  func plain(part: UInt64) {
    var random = SplitMix64(seed: part)
    // Times one, shifted by nothing: the same stamps, on the long way.
    let long = TimeConversion(multiplier: 1)
    for selection in [EventSelection.all, .replay(probes: false)] {
      for _ in 0..<100 {
        var page = noise(&random)
        if random.next() % 2 == 0 {
          page = TraceBuilding.page(at: random.next() >> 8) { page in
            while page.room >= 64 {
              let kinds = [KVMEventFormats.entry, KVMEventFormats.exit]
              let format = kinds[Int(random.next() % 2)]
              var payload = format.payload(
                (0..<format.fields.count).map { _ in random.next() }, pid: 7, flavour: TraceFlavour())
              switch random.next() % 16 {
              case 0: payload.removeLast(4)
              case 1: payload[0] ^= UInt8(truncatingIfNeeded: random.next())
              default: break
              }
              page.event(payload, delta: UInt32(random.next() % 1000), longForm: random.next() % 8 == 0)
            }
          }
        }
        let (plain, general) = (decode(page, selection), decode(page, selection, long))
        #expect(plain.counts == general.counts && plain.records.count == general.records.count)
        #expect(zip(plain.records, general.records).allSatisfy { Self.bytes($0) == Self.bytes($1) })
        #expect(plain.outcome.end == general.outcome.end && plain.outcome.short == general.outcome.short)
        #expect(plain.outcome.least == general.outcome.least && plain.outcome.last == general.outcome.last)
      }
    }
  }

  private static func bytes(_ record: TraceRecord) -> [UInt64] {
    // The last byte of the third word is no field's.
    var words = [record.time.rawValue, UInt64(record.payloadOffset), UInt64(record.payloadLength)]
    words += [UInt64(record.cpu.rawValue), UInt64(record.formatID), UInt64(record.kind.rawValue)]
    words += [UInt64(bitPattern: Int64(record.tid.rawValue))]
    return words + (0..<TraceRecord.wordCount).map { record.words[$0] }
  }

  @Test("no page makes it read or write out of bounds", arguments: 0..<4)
  func noise(part: UInt64) {
    var random = SplitMix64(seed: part)
    for _ in 0..<500 {
      let page = noise(&random)
      for record in decode(page).records where record.kind != .lost {
        #expect(Int(record.payloadOffset) + Int(record.payloadLength) <= page.count)
      }
    }
  }

  @Test("the smallest events fill a page, and the records have room")
  func dense() {
    let page = TraceBuilding.page(at: 1) { page in
      while page.room >= 8 { page.event([0, 0, 0, 0], delta: 0) }
      page.missed = .unknown
    }
    let (outcome, records, _) = decode(page)
    #expect(outcome.damage == nil)
    #expect(records.count == (4096 - 16) / 8 + 1)
  }
}
