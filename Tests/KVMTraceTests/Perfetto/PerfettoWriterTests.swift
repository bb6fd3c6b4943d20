import Testing

@testable import KVMTrace

/// A trace with several data sources for ftrace: what two of them recorded of one CPU is one event.
@Suite("Writers of a Perfetto trace")
struct PerfettoWriterTests {
  private typealias Parts = PerfettoParts
  private typealias Loss = PerfettoReading.Loss

  private static let note =
    "several data sources recorded a CPU at one time; an event that more than one of them has is read once"

  /// A trace of these packets, in which nothing is damaged.
  private func read(_ packets: [ProtoMessage]) throws -> PerfettoReading {
    let reading = try PerfettoReading(Parts.trace(packets))
    #expect(reading.damage.isEmpty)
    return reading
  }

  private func fault(_ time: UInt64, pid: Int = 7, reason: Int = 1) -> ProtoMessage {
    Parts.event(time, pid: pid, 380, ProtoMessage().adding(1, reason))
  }

  private func generic(_ time: UInt64, _ name: String, _ value: Int = 0) -> ProtoMessage {
    Parts.event(
      time, 327,
      ProtoMessage().adding(1, name).adding(2, ProtoMessage().adding(1, "a").adding(5, value)))
  }

  private func packet(_ sequence: Int, _ events: [ProtoMessage]) -> ProtoMessage {
    Parts.packet(Parts.bundle(events), sequence: sequence)
  }

  @Test(
    "of two writers of one CPU all events are read in the order of time, one behind the other or of other kinds"
  )
  func others() throws {
    let behind = try read([
      packet(2, [Parts.entry(1), Parts.entry(9)]), packet(3, [Parts.entry(15), Parts.entry(17)]),
      packet(2, [Parts.entry(11)]),
    ])
    #expect(
      behind.times == [1, 9, 11, 15, 17] && behind.trace.streamCount == 1 && behind.trace.notes.isEmpty)
    let others = try read([packet(2, [Parts.entry(1), Parts.entry(9)]), packet(3, [fault(5), fault(9)])])
    #expect(others.times == [1, 5, 9, 9] && others.trace.notes == [Self.note])
    #expect(others.counts == ["kvm:kvm_entry": 2, "kvm:kvm_guest_fault": 2])
  }

  @Test("what two data sources recorded is read once, which is no damage")
  func repeated() throws {
    let packets = [[1, 9], [11, 20]].flatMap { times in
      [3, 2].map { Parts.packet(Parts.entries(times), sequence: $0) }
    }
    // What one of them alone has of another CPU stays.
    let alone = [
      Parts.packet(Parts.entries(cpu: 1, [5]), sequence: 3),
      Parts.packet(Parts.entries(cpu: 2, [6, 7]), sequence: 2),
    ]
    let reading = try read(packets + alone)
    #expect(reading.times == [1, 9, 11, 20, 5, 6, 7] && reading.trace.streamCount == 3)
    #expect(reading.losses.isEmpty && reading.trace.notes == [Self.note])
  }

  @Test("events that each of two data sources has alone stay among those that both have")
  func partlyRepeated() throws {
    func both(_ time: UInt64) -> [ProtoMessage] { [Parts.entry(time), fault(time + 1)] }
    let marker = Parts.event(4, 3, ProtoMessage().adding(2, "marker"))
    let reading = try read([
      packet(2, both(2) + [generic(6, "commit")] + both(8)),
      packet(3, [Parts.entry(2), marker, generic(6, "commit"), Parts.entry(8)]),
    ])
    #expect(reading.times == [2, 3, 4, 6, 8, 9])
  }

  @Test("events with the names of their fields are told apart by their own name")
  func genericKinds() throws {
    var packets: [ProtoMessage] = []
    for round in 0..<5 {
      let time = UInt64(1000 * round)
      packets.append(packet(1, (0..<50).map { generic(time + UInt64($0) * 10, "sched_foo", $0) }))
      packets.append(packet(2, (0..<5).map { generic(time + UInt64($0) * 10, "commit", $0) }))
    }
    #expect(try read(packets).counts == ["generic:sched_foo": 250, "generic:commit": 25])
  }

  @Test("where one data source has only the last moment, all stays that the other one has before")
  func ring() throws {
    func entries(_ round: Int) -> [ProtoMessage] {
      (0..<5).map { Parts.entry(UInt64(1000 * round + 10 * $0), pc: UInt64($0)) }
    }
    let more = (0..<500).map { fault(UInt64(98_100 + $0)) }
    let packets =
      (0..<100).map { packet(2, entries($0)) } + [packet(1, entries(98) + more), packet(1, entries(99))]
    let reading = try read(packets)
    #expect(reading.counts == ["kvm:kvm_entry": 500, "kvm:kvm_guest_fault": 500])
    #expect(reading.times == reading.times.sorted())
  }

  @Test("events of one writer that are the same in all stay, and so do those that differ in anything")
  func differences() throws {
    let twice = [Parts.entry(5), Parts.entry(5)]
    #expect(try read([packet(2, twice)]).events.count == 2)
    #expect(try read([packet(2, twice), packet(3, [])]).events.count == 2)
    #expect(try read([packet(2, twice), packet(3, twice)]).events.count == 2)
    #expect(try read([packet(2, twice), packet(3, [Parts.entry(5)])]).events.count == 2)
    let one = Parts.packet(Parts.bundle([fault(5)]), sequence: 2)
    for other in [fault(6), fault(5, pid: 8), fault(5, reason: 2), Parts.entry(5), fault(5).adding(5, 1)] {
      #expect(try read([one, packet(3, [other])]).events.count == 2)
    }
    #expect(try read([one, packet(3, [fault(5)])]).events.count == 1)
    #expect(try read([one, Parts.packet(Parts.bundle(cpu: 1, [fault(5)]), sequence: 3)]).events.count == 2)
  }

  @Test("events with one stamp have the order in which their writers have them")
  func order() throws {
    let (a, b, c, d) = (fault(5, reason: 1), fault(5, reason: 2), fault(5, reason: 3), fault(5, reason: 4))
    let whole = try read([packet(2, [a, b, c, d])]).events
    for parts in [
      [[b, d], [a, b, c, d]], [[a, c], [b, c, d], [a, b]], [[a], [b], [c, d], [a, b, c]],
    ] {
      #expect(try read(parts.enumerated().map { packet($0 + 2, $1) }).events == whole)
    }
  }

  @Test("events of which nothing but the number is known are not taken for one another")
  func nameless() throws {
    let unknown = Parts.event(5, 1000, ProtoMessage().adding(1, 1))
    #expect(try read([packet(2, [unknown]), packet(3, [unknown])]).times == [5, 5])
  }

  @Test("a lock's number, which each data source gives out by itself, tells no two events apart")
  func lockNumbers() throws {
    let descriptor = Parts.descriptor(65_540, "lock", "contention_begin", [("lock_addr", 4), ("flags", 13)])
    func packet(_ sequence: Int, lock: Int, flags: Int) -> ProtoMessage {
      let event = Parts.event(5, 65_540, ProtoMessage().adding(1, lock).adding(2, flags))
      return Parts.packet(Parts.bundle([event]).adding(11, descriptor), sequence: sequence)
    }
    #expect(try read([packet(2, lock: 1, flags: 2), packet(3, lock: 4, flags: 2)]).times == [5])
    #expect(try read([packet(2, lock: 1, flags: 2), packet(3, lock: 4, flags: 3)]).times == [5, 5])
  }

  @Test("events with one stamp are compared where they fill pages, and where there are very many")
  func many() throws {
    func text(_ time: UInt64, _ number: Int) -> ProtoMessage {
      Parts.event(time, 3, ProtoMessage().adding(2, String(repeating: "\(number)", count: 2000)))
    }
    let before = (0..<22).map { text(UInt64($0), $0) }
    let long = (0..<12).map { text(50, 10 + $0) }
    let both = [before + long, before + Array(long.dropFirst(3))].enumerated().map { packet($0 + 2, $1) }
    let reading = try read(both)
    #expect(reading.events.count == before.count + long.count && reading.pageCount > 1)
    let alike = (0..<3 * StampGroup.eventsMax).map { Parts.entry(5, pc: UInt64($0)) }
    let found = try read((2..<12).map { packet($0, alike) }).events.count
    // Those of the first eight writers are compared, sixteen at a time, and then those of the other two: none is left out for another one.
    #expect(found == 2 * alike.count)
    #expect(
      try read([packet(2, Array(alike.prefix(16))), packet(3, Array(alike.prefix(16)))]).events.count == 16)
  }

  @Test("there may be very many writers of one CPU")
  func manyWriters() throws {
    let packets = (1...1000).map { packet($0, [Parts.entry(UInt64($0 % 7)), Parts.entry(8)]) }
    let reading = try read(packets)
    #expect(reading.times == reading.times.sorted() && Set(reading.times) == Set(0...8).subtracting([7]))
    // 142 or 143 have each of the first times. Of eight at a time the events are compared.
    #expect(reading.times.count == 7 * 18 + 1000 / StampGroups.groupsMax)
  }
}

// What is missing.
extension PerfettoWriterTests {
  private func packet(
    _ sequence: Int, _ times: [UInt64], isBehindLoss: Bool = false, isPacketLost: Bool = false
  ) -> ProtoMessage {
    Parts.packet(
      Parts.entries(isBehindLoss: isBehindLoss, times), sequence: sequence, isBehindLoss: isPacketLost)
  }

  @Test("a loss of the kernel's that two writers tell between the same events is one loss")
  func loss() throws {
    let shared = [
      packet(2, [1, 2]), packet(3, [1, 3]), packet(2, [50, 60], isBehindLoss: true),
      packet(3, [40, 60], isBehindLoss: true),
    ]
    let reading = try read(shared)
    #expect(reading.losses == [Loss(cpu: 0, count: 0, before: 40)] && reading.times == [1, 2, 3, 40, 50, 60])
    let statistics = [2, 3].flatMap { sequence in
      [(1, 5), (2, 12)].map { Parts.statistics(phase: $0, [$1], sequence: sequence) }
    }
    #expect(try read(shared + statistics).losses == [Loss(cpu: 0, count: 7, before: 40)])
    // The second one may be anywhere behind the event that lies between.
    let two = try read(shared.dropLast() + [packet(3, [30]), packet(3, [60], isBehindLoss: true)])
    #expect(two.losses.map(\.before) == [50])
    let apart = try read(shared + [packet(2, [70], isBehindLoss: true), packet(3, [65, 80])])
    #expect(apart.losses.map(\.before) == [40, 70])
  }

  @Test("what is lost before a writer's first event need not be what another one tells")
  func firstLoss() throws {
    let reading = try read([
      packet(2, [1]), packet(2, [5, 10], isBehindLoss: true), packet(3, [8, 9], isBehindLoss: true),
    ])
    #expect(reading.losses.map(\.before) == [5, 8])
    let same = try read([packet(2, [5], isBehindLoss: true), packet(3, [5, 6], isBehindLoss: true)])
    #expect(same.losses.map(\.before) == [5] && same.times == [5, 6])
  }

  @Test("lost packets of each writer are told up to where it goes on")
  func lostPackets() throws {
    let reading = try read([
      packet(2, [1]), packet(3, [1]), packet(2, [5, 9], isPacketLost: true), packet(3, [3]),
      packet(3, [7, 9], isPacketLost: true),
    ])
    #expect(reading.losses.map(\.before) == [3, 5, 7] && reading.times == [1, 3, 5, 7, 9])
    #expect(reading.lossCount == 2)
    let atOnce = try read([
      packet(2, [1]), packet(3, [1]), packet(2, [5, 9], isPacketLost: true),
      packet(3, [5, 9], isPacketLost: true),
    ])
    #expect(atOnce.losses.map(\.before) == [5] && atOnce.times == [1, 5, 9])
  }

  @Test("losses behind the last event of a writer are told before another one goes on, the kernel's once")
  func lastLoss() throws {
    let empty = [2, 3].map { packet($0, [], isBehindLoss: true) }
    #expect(
      try read([packet(2, [1, 5]), packet(3, [1, 6])] + empty).losses == [Loss(cpu: 0, count: 0, before: nil)]
    )
    // Another recorder that begins later says nothing of the first one's end.
    let restarted = try read([packet(2, [1, 5]), empty[0], packet(3, [10, 11])])
    #expect(restarted.losses.map(\.before) == [10])
  }

  @Test("a writer's damage is told, and is a gap there")
  func damage() throws {
    let bad = Parts.bundle([Parts.entry(5), ProtoMessage().adding(2, 7), Parts.entry(8)])
    let reading = try PerfettoReading(
      Parts.trace(Parts.packet(bad, sequence: 2), packet(3, [5, 6, 7, 8])))
    #expect(reading.damage.count == 1 && reading.times == [5, 6, 7, 8])
    #expect(reading.losses == [6, 7, 8].map { Loss(cpu: 0, count: nil, before: $0) })
    #expect(reading.lossCount == 1)
  }

  @Test("what packets of one writer held may lie before each event of another one up to where it goes on")
  func between() throws {
    let lost = packet(2, [20, 30], isPacketLost: true)
    let shared = [
      packet(2, [1, 10]), lost, packet(3, [1, 5, 10, 12]), packet(3, [14, 16], isBehindLoss: true),
      packet(3, [22, 30]),
    ]
    let reading = try read(shared + [(1, 5), (2, 12)].map { Parts.statistics(phase: $0, [$1], sequence: 3) })
    #expect(reading.times == [1, 5, 10, 12, 14, 16, 20, 22, 30])
    // The kernel's loss, of which the number is known, is not counted for what may be lost besides.
    #expect(
      reading.losses
        == [(12, 0), (14, 7), (16, 0), (20, 0)].map { Loss(cpu: 0, count: $1, before: $0) })
    // There are two: the kernel's, and that of the writer's packets.
    #expect(reading.lossCount == 2)
    // One writer says where its loss is.
    let alone = try read([packet(2, [1, 10]), lost])
    #expect(alone.losses == [Loss(cpu: 0, count: 0, before: 20)] && alone.pageCount == 2)
  }

  @Test("what packets of a writer held before its first event may lie before each event until then")
  func beforeFirst() throws {
    let reading = try read([packet(2, [5, 9], isPacketLost: true), packet(3, [1, 3, 9])])
    #expect(reading.losses.map(\.before) == [1, 3, 5] && reading.times == [1, 3, 5, 9])
    #expect(reading.lossCount == 1)
  }

  @Test("what packets held behind the last event of a writer may lie before each event of another one")
  func behindLast() throws {
    let lost = Parts.packet(Parts.entries(cpu: 1, [9]), sequence: 2, isBehindLoss: true)
    let reading = try read([packet(2, [1, 5]), packet(3, [1, 6, 7]), lost])
    #expect(reading.losses.filter { $0.cpu == 0 }.map(\.before) == [6, 7, nil])
    #expect(reading.losses.filter { $0.cpu == 1 }.map(\.before) == [9])
    #expect(reading.losses.allSatisfy { $0.count == 0 } && reading.times == [1, 5, 6, 7, 9])
  }

  @Test("events with one stamp are all behind a loss that may lie before one of them")
  func lossesAtOneTime() throws {
    func both(_ reasons: [Int], _ time: UInt64) -> [ProtoMessage] { reasons.map { fault(time, reason: $0) } }
    let lost = Parts.packet(Parts.bundle(both([1], 9) + both([1], 20)), sequence: 2, isBehindLoss: true)
    // Of three events at 9 the first one's writer says that packets are lost before it.
    let two = [Parts.entry(1)] + both([2, 3], 9) + both([1], 20)
    let next = try read([packet(2, [1]), lost, packet(3, two)])
    #expect(next.losses.map(\.before) == [9, 9, 9] && next.times == [1, 9, 9, 9, 20])
    // Here they are lost behind the last one at 5, or behind another one there.
    let other = [Parts.entry(1)] + both([2], 5) + both([1], 9) + both([1], 20)
    let last = try read([packet(2, [Parts.entry(1)] + both([1], 5)), lost, packet(3, other)])
    #expect(last.losses.map(\.before) == [5, 5, 9] && last.times == [1, 5, 5, 9, 20])
  }

  @Test("many writers' losses at one time are each told until they go on")
  func manyLosses() throws {
    let count = StampGroups.groupsMax + 2
    let packets = (1...count).flatMap { writer in
      [
        packet(writer, [UInt64(writer)]), packet(writer, [fault(50, reason: writer)]), packet(writer, [70]),
      ]
    }
    #expect(try read(packets).losses.isEmpty)
    let lost = Parts.packet(Parts.bundle([fault(50, reason: count)]), sequence: count, isBehindLoss: true)
    let reading = try read(packets.enumerated().map { $0 == packets.count - 2 ? lost : $1 })
    #expect(reading.losses.map(\.before) == [UInt64](repeating: 50, count: count))
    #expect(reading.times.filter { $0 == 50 }.count == count)
  }
}
