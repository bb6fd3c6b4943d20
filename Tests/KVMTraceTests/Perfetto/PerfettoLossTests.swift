import Testing

@testable import KVMTrace

@Suite("Losses of a Perfetto trace")
struct PerfettoLossTests {
  private typealias Parts = PerfettoParts
  private typealias Loss = PerfettoReading.Loss

  /// What is lost in a trace of these packets.
  private func losses(_ packets: ProtoMessage...) throws -> [Loss] {
    let reading = try PerfettoReading(Parts.trace(packets))
    #expect(reading.damage.isEmpty)
    return reading.losses
  }

  private func lossy(cpu: Int, _ times: [UInt64]) -> ProtoMessage {
    Parts.packet(Parts.entries(cpu: cpu, isBehindLoss: true, times))
  }

  @Test("how many were lost before a CPU's only bundle behind a loss, the statistics tell")
  func known() throws {
    let found = try losses(
      Parts.statistics(phase: 1, [100, 7]), Parts.packet(Parts.entries(cpu: 0, [1, 2])),
      lossy(cpu: 0, [5, 6]), lossy(cpu: 1, [3]), Parts.statistics(phase: 2, [130, 9]))
    #expect(found == [Loss(cpu: 0, count: 30, before: 5), Loss(cpu: 1, count: 2, before: 3)])
  }

  @Test("how many were lost before each of two bundles is not known")
  func two() throws {
    let found = try losses(
      Parts.statistics(phase: 1, [0]), lossy(cpu: 0, [1, 2]), lossy(cpu: 0, [5, 6]),
      Parts.statistics(phase: 2, [30]))
    #expect(found == [Loss(cpu: 0, count: 0, before: 1), Loss(cpu: 0, count: 0, before: 5)])
  }

  @Test("statistics of another writer, of one end only, or that go back tell no number")
  func unusable() throws {
    #expect(
      try losses(
        Parts.statistics(phase: 1, [0], sequence: 3), lossy(cpu: 0, [1]),
        Parts.statistics(phase: 2, [30], sequence: 3)) == [Loss(cpu: 0, count: 0, before: 1)])
    #expect(
      try losses(lossy(cpu: 0, [1]), Parts.statistics(phase: 2, [30])) == [Loss(cpu: 0, count: 0, before: 1)])
    #expect(
      try losses(Parts.statistics(phase: 1, [40]), lossy(cpu: 0, [1]), Parts.statistics(phase: 2, [30]))
        == [Loss(cpu: 0, count: 0, before: 1)])
  }

  @Test("a flag behind the events, as official writers put it, is before them all the same")
  func order() throws {
    let bundle = ProtoMessage().adding(2, Parts.entry(4)).adding(3, 1).adding(1, 0)
    #expect(try losses(Parts.packet(bundle)) == [Loss(cpu: 0, count: 0, before: 4)])
  }

  @Test("a packet that was lost may have been any CPU's")
  func packets() throws {
    let found = try losses(
      Parts.packet(Parts.entries(cpu: 0, [1]), isBehindLoss: true, isFirst: true),
      Parts.packet(Parts.entries(cpu: 1, [2])),
      Parts.packet(Parts.entries(cpu: 1, [5]), isBehindLoss: true), Parts.packet(Parts.entries(cpu: 0, [6])),
      Parts.packet(Parts.entries(cpu: 0, [8])))
    #expect(found == [Loss(cpu: 0, count: 0, before: 6), Loss(cpu: 1, count: 0, before: 5)])
  }

  @Test("a loss behind a CPU's last event is told at the end")
  func end() throws {
    let found = try losses(
      Parts.packet(Parts.entries(cpu: 0, [1])), Parts.packet(Parts.entries(cpu: 1, [5]), isBehindLoss: true))
    // Nothing tells that the first packet is the writer's first, but nothing says that one is missing, either.
    #expect(found == [Loss(cpu: 0, count: 0, before: nil), Loss(cpu: 1, count: 0, before: 5)])
  }

  @Test("another writer's losses are none of the bundles'")
  func otherWriter() throws {
    let other = ProtoMessage().adding(2, ProtoMessage()).adding(10, 9).adding(42, 1)
    #expect(
      try losses(Parts.packet(Parts.entries([1])), other, Parts.packet(Parts.entries([2]))).isEmpty)
  }

  @Test("a ring buffer of the recorder has lost what came first, which recorders before 29 do not tell")
  func ringBuffer() throws {
    let packet = Parts.packet(Parts.entries([1]), isBehindLoss: true)
    #expect(try losses(packet) == [Loss(cpu: 0, count: 0, before: 1)])
    #expect(
      try losses(Parts.system(version: "Perfetto v56.0 (N/A)"), packet)
        == [Loss(cpu: 0, count: 0, before: 1)])
    #expect(try losses(Parts.system(version: "Perfetto v28.1 (N/A)"), packet).isEmpty)
    let next = Parts.packet(Parts.entries([2]), isBehindLoss: true)
    #expect(
      try losses(Parts.system(version: "Perfetto v28.1 (N/A)"), packet, next)
        == [Loss(cpu: 0, count: 0, before: 2)])
  }

  @Test("a buffer of the recorder that was full has not what came last")
  func fullBuffer() throws {
    func statistics(_ discarded: [Int], buffer: Int) -> ProtoMessage {
      ProtoMessage().adding(
        35,
        ProtoMessage().adding(1, eachOf: discarded.map { ProtoMessage().adding(18, $0) })
          .adding(18, ProtoMessage().adding(1, 2).adding(4, buffer)))
    }
    let packet = Parts.packet(Parts.entries([1]))
    #expect(try losses(packet, statistics([3], buffer: 0)) == [Loss(cpu: 0, count: 0, before: nil)])
    #expect(try losses(packet, statistics([0, 3], buffer: 1)) == [Loss(cpu: 0, count: 0, before: nil)])
    #expect(try losses(packet, statistics([0, 3], buffer: 0)).isEmpty)
    #expect(try losses(packet, statistics([0, 3], buffer: 7)).isEmpty)
  }

  /// What is told where bundles are missing.
  static func missing(cpu: Int) -> String {
    "events of CPU \(cpu) are missing before this bundle: it does not follow the one before"
  }

  @Test("a bundle that does not follow the one before has a gap before it")
  func missingBundle() throws {
    let packets = [
      Parts.packet(Parts.entries([1, 2], behind: 0)), Parts.packet(Parts.entries(cpu: 1, [3], behind: 0)),
      Parts.packet(Parts.entries([5, 6], behind: 2)), Parts.packet(Parts.entries(cpu: 1, [8], behind: 3)),
    ]
    for whole in [packets, packets.reversed()] {
      let reading = try PerfettoReading(Parts.trace(whole))
      #expect(reading.damage.isEmpty && reading.losses.isEmpty)
    }
    let last = Parts.packet(Parts.entries([9], behind: 7))
    for more in [packets + [last], [last] + packets.reversed()] {
      let reading = try PerfettoReading(Parts.trace(more))
      #expect(reading.losses == [Loss(cpu: 0, count: nil, before: 9)])
      #expect(reading.damage.map(\.what) == [Self.missing(cpu: 0)])
      #expect(reading.damage[0].offset == (more[0].bytes == last.bytes ? 4 : Parts.trace(packets).count + 4))
    }
  }

  @Test("stamps of another clock tell of a missing bundle just so")
  func missingByOtherClock() throws {
    func packet(_ time: UInt64, behind end: Int) -> ProtoMessage {
      Parts.packet(Parts.entries([time], behind: end).adding(5, 2).adding(6, 50).adding(7, 1060))
    }
    #expect(try losses(packet(50, behind: 0), packet(60, behind: 50)).isEmpty)
    let reading = try PerfettoReading(Parts.trace(packet(50, behind: 0), packet(60, behind: 55)))
    #expect(reading.losses == [Loss(cpu: 0, count: nil, before: 1070)])
  }

  @Test("the end of a bundle is not known where events of it cannot be read, or were not written one by one")
  func unknownEnd() throws {
    // Events by 3 and 7, and by 9.
    let sched = ProtoMessage().adding(4, ProtoMessage().adding(1, [3, 4]).adding(7, [9])).adding(1, 0)
    let next = Parts.packet(Parts.entries([20], behind: 9))
    #expect(
      try losses(Parts.packet(Parts.entries([1], behind: 0)), Parts.packet(sched.adding(10, 1)), next).isEmpty
    )
    #expect(try losses(Parts.packet(sched.adding(2, Parts.entry(1))), next).isEmpty)
    let damaged = Parts.packet(Parts.entries([1], behind: 0).adding(2, ProtoMessage().adding(2, 7)))
    #expect(try PerfettoReading(Parts.trace(damaged, next)).damage.count == 1)
  }

  @Test(
    "what is missing is told once: where the writer tells of a loss, and before a CPU's first bundle, nothing else is"
  )
  func missingOnce() throws {
    #expect(
      try losses(
        Parts.packet(Parts.entries([1], behind: 0)),
        Parts.packet(Parts.entries([9], behind: 7), isBehindLoss: true))
        == [Loss(cpu: 0, count: 0, before: 9)])
    #expect(try losses(Parts.packet(Parts.entries([9], behind: 7))).isEmpty)
  }

  @Test("a bundle without events tells of a loss, and so does a page that the recorder could not read")
  func withoutEvents() throws {
    let empty = Parts.packet(Parts.entries(isBehindLoss: true, []))
    #expect(
      try losses(Parts.packet(Parts.entries([1])), empty, Parts.packet(Parts.entries([3])))
        == [Loss(cpu: 0, count: 0, before: 3)])
    #expect(
      try losses(Parts.packet(Parts.entries([1])), empty) == [Loss(cpu: 0, count: 0, before: nil)])
    let error = ProtoMessage().adding(8, ProtoMessage().adding(1, 5).adding(2, 3))
    let reading = try PerfettoReading(
      Parts.trace(Parts.packet(Parts.entries(cpu: 1, [1]).appending(error.bytes))))
    #expect(reading.losses == [Loss(cpu: 1, count: 0, before: 1)])
    #expect(
      reading.damage.map(\.what) == ["the recorder could not read 1 pages of CPU 1; their events are missing"]
    )
  }
}
