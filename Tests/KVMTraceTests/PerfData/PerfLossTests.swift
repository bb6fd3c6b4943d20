@testable import KVMTrace
import KVMTypes
import Testing
import TraceSynth

/// What perf says of samples that were lost.
@Suite("Losses of a perf.data")
struct PerfLossTests {
  typealias Place = PerfDataBuilder.Place
  typealias Loss = PerfReading.Loss

  @Test("a loss stands before the next sample of its CPU")
  func place() throws {
    var builder = PerfDataBuilder()
    builder.entry(Place(time: 1_000, cpu: 0))
    builder.entry(Place(time: 2_000, cpu: 1))
    builder.lost(5, Place(time: 4_100, cpu: 0))
    builder.finishedRound()
    builder.entry(Place(time: 3_000, cpu: 1))
    builder.entry(Place(time: 4_000, cpu: 0))
    let reading = try PerfReading(builder.file())
    #expect(reading.losses == [Loss(stream: 0, before: 4_000, count: 5)])
    #expect(reading.streams.map { $0.map(\.time) } == [[1_000, 4_000], [2_000, 3_000]])
  }

  @Test("where several rings have samples of one CPU, nobody knows behind which sample of it a loss begins")
  func severalRings() throws {
    let second: UInt64 = 1_000_000_000
    var builder = PerfDataBuilder()
    for time in [1, 5, 2] { builder.entry(Place(time: UInt64(time) * second)) }
    builder.finishedRound()
    builder.entry(Place(time: 9 * second))
    builder.lost(5, Place(time: 8 * second))
    builder.entry(Place(time: 8 * second))
    builder.finishedRound()
    builder.lost(6, Place(time: 10 * second))
    let reading = try PerfReading(builder.file())
    #expect(reading.streams.map { $0.map { $0.time / second } } == [[1, 5], [2, 9], [8], []])
    #expect(
      reading.losses == [
        Loss(stream: 2, before: 8 * second, count: 5), Loss(stream: 3, before: nil, count: 6),
      ])
  }

  @Test("several losses before one sample are one")
  func sum() throws {
    var builder = PerfDataBuilder()
    builder.entry(Place(time: 1))
    builder.lost(5, Place(time: 2))
    builder.lost(6, Place(time: 2))
    builder.entry(Place(time: 3))
    #expect(try PerfReading(builder.file()).losses == [Loss(stream: 0, before: 3, count: 11)])
  }

  @Test("a loss that does not say its CPU stands before the next sample")
  func withoutCPU() throws {
    var builder = PerfDataBuilder()
    builder.events[0].flags = 0
    builder.entry(Place(time: 1_000, cpu: 0))
    builder.lost(5, Place(time: 0))
    builder.entry(Place(time: 2_000, cpu: 1))
    #expect(try PerfReading(builder.file()).losses == [Loss(stream: 1, before: 2_000, count: 5)])
  }

  @Test("what other data stand between such a loss and the next sample are no samples")
  func withoutCPUBeforeData() throws {
    for (type, isLossy) in [(71, false), (71, true), (66, true)] as [(UInt32, Bool)] {
      var builder = PerfDataBuilder()
      builder.events[0].flags = 0
      builder.entry(Place(time: 1_000))
      if isLossy { builder.lost(5, Place(time: 0)) }
      let data = builder.sample(Place(time: 300), builder.entryPayload(pc: 9))
      builder.append(type) { out in
        if type == 71 { out.u64(UInt64(data.count)) } else { out.u32(UInt32(data.count)) }
        out.pad(to: type == 71 ? 40 : 8)
      }
      builder.append(raw: data)
      builder.entry(Place(time: 2_000))
      builder.entry(Place(time: 3_000))
      let reading = try PerfReading(builder.file())
      #expect(reading.streams.map { $0.map(\.time) } == [[1_000, 2_000, 3_000]])
      #expect(reading.losses == (isLossy ? [Loss(stream: 0, before: 2_000, count: 5)] : []))
    }
  }

  @Test("such a loss, then damage: both are told, and what is damaged is read but once")
  func withoutCPUBeforeDamage() throws {
    var builder = PerfDataBuilder()
    builder.events[0].flags = 0
    builder.entry(Place(time: 1_000))
    builder.lost(5, Place(time: 0))
    builder.append(raw: [UInt8](repeating: 0xff, count: 64))
    for time in 2...5 as ClosedRange<UInt64> { builder.entry(Place(time: 1_000 * time)) }
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1_000, 2_000, 3_000, 4_000, 5_000])
    #expect(
      reading.losses == [nil, 5].map { Loss(stream: 0, before: 2_000, count: $0) })
    #expect(reading.damage.count == 1, "\(reading.damage)")
  }

  @Test("such losses are told once: several before one sample are one, and so are those behind the last")
  func withoutCPUAmongOthers() throws {
    var builder = PerfDataBuilder()
    builder.events[0].flags = 0
    builder.entry(Place(time: 1_000))
    builder.lost(5, Place(time: 0))
    builder.lost(6, Place(time: 0))
    builder.entry(Place(time: 2_000))
    builder.lost(7, Place(time: 0))
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1_000, 2_000])
    #expect(
      reading.losses == [
        Loss(stream: 0, before: 2_000, count: 11), Loss(stream: 0, before: nil, count: 7),
      ])
  }

  @Test("in a ring that was written backwards such a loss stands before the sample that follows in time")
  func withoutCPUBackward() throws {
    var builder = PerfDataBuilder()
    builder.events[0].flags = 1 << 27
    for time in [4_000, 3_000] as [UInt64] { builder.entry(Place(time: time)) }
    builder.lost(5, Place(time: 0))
    for time in [2_000, 1_000] as [UInt64] { builder.entry(Place(time: time)) }
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1_000, 2_000, 3_000, 4_000])
    #expect(reading.losses == [Loss(stream: 0, before: 3_000, count: 5)])
  }

  @Test("so does damage there; ahead of the newest sample it is of the end", arguments: [0, 1, 2])
  func damageBackward(behind count: Int) throws {
    var builder = PerfDataBuilder()
    builder.events[0].flags = 1 << 27
    let times: [UInt64] = [4_000, 3_000, 2_000, 1_000]
    for time in times.prefix(count) { builder.entry(Place(time: time)) }
    builder.append(raw: [UInt8](repeating: 0xff, count: 64))
    for time in times.dropFirst(count) { builder.entry(Place(time: time)) }
    let reading = try PerfReading(builder.file())
    #expect(reading.times == times.reversed())
    #expect(reading.losses.map(\.before) == (count == 0 ? [] : [times[count - 1]]))
    #expect(reading.damage.count == 1, "\(reading.damage)")
  }

  @Test("samples that were lost at the end are told by their number alone")
  func atEnd() throws {
    var builder = PerfDataBuilder()
    builder.idIndex([(11, 0), (12, 1)])
    builder.entry(Place(time: 1_000, cpu: 0))
    builder.lost(5, Place(time: 1_000, cpu: 0))
    builder.entry(Place(time: 2_000, cpu: 0))
    builder.entry(Place(time: 1_500, cpu: 1))
    builder.lostSamples(5, id: 11)
    builder.lostSamples(7, id: 12)
    // A filter dropped these.
    builder.lostSamples(9, id: 12, misc: 1 << 15)
    let reading = try PerfReading(builder.file())
    #expect(
      reading.losses == [Loss(stream: 0, before: 2_000, count: 5), Loss(stream: 1, before: nil, count: 7)])
  }

  @Test("how many events are lost is unknown where each may have several samples")
  func ofRepeated() throws {
    var builder = PerfDataBuilder()
    builder.events.append(PerfDataBuilder.Event(config: builder.events[0].config, ids: [21]))
    builder.idIndex([(11, 0), (21, 0)])
    for event in [0, 1] { builder.entry(Place(time: 1), event: event) }
    // Six events.
    builder.lost(12, Place(time: 2))
    for event in [0, 1] { builder.entry(Place(time: 3), event: event) }
    for id in [11, 21] as [UInt64] { builder.lostSamples(8, id: id) }
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1, 3])
    #expect(
      reading.losses == [Loss(stream: 0, before: 3, count: 0), Loss(stream: 0, before: nil, count: 0)])
  }

  @Test("a page that only tells of a loss has the stamp of the last event")
  func emptyPage() {
    var writer = PageWriter(pageBytes: 4096)
    _ = writer.reserve(8, at: Nanoseconds(1_000))
    _ = writer.reserve(8, at: Nanoseconds(5_000))
    writer.begin()
    writer.lost = 3
    let page = writer.finish()
    #expect(page.loadUnaligned(as: UInt64.self) == 5_000)
  }

  @Test("a page's cursor writes what the page does, and leaves the rest to it")
  func cursor() throws {
    var whole = PageWriter(pageBytes: 4096)
    var inParts = PageWriter(pageBytes: 4096)
    // The third event comes late, the fourth before it, and the fifth is long.
    let events: [(bytes: Int, time: UInt64)] = [
      (8, 1_000), (20, 1_500), (12, 1 << 40), (12, 900), (200, 1_000), (9, 1_001),
    ]
    for event in events {
      let room = whole.reserve(event.bytes, at: Nanoseconds(event.time))
      let data = try #require(room)
      data.initializeMemory(as: UInt8.self, repeating: 7, count: event.bytes)
      var cursor = inParts.cursor
      var other = cursor?.reserve(event.bytes, at: Nanoseconds(event.time))
      inParts.cursor = cursor
      if other == nil { other = inParts.reserve(event.bytes, at: Nanoseconds(event.time)) }
      try #require(other).initializeMemory(as: UInt8.self, repeating: 7, count: event.bytes)
    }
    let isSame = whole.finish().elementsEqual(inParts.finish())
    #expect(isSame)
  }
}
