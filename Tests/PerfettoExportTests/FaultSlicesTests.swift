import KVMTypes
import Stage2Model
import Testing

@testable import PerfettoExport
@testable import Stage2Replay

/// Windows made by hand, and the operations that come for them later.
@Suite("Faults as slices")
struct FaultSlicesTests {
  private final class File {
    var bytes: [UInt8] = []
    lazy var tree = TrackTree(
      PacketWriter(identity, .boot) { self.bytes.append(contentsOf: $0) }, identity,
      TrackTree.Names(input: "made up", isOneOfSeveral: false, command: { _ in nil }))
    let identity = TrackIdentity(input: "made up", position: 0)
    var faults = FaultSlices()

    func read(last: UInt64) throws -> ReadTracks {
      try faults.finish(tree)
      try tree.finish(at: Nanoseconds(last))
      try tree.writer.flush()
      return ReadTracks(bytes)
    }
  }

  private static func fault(
    _ begin: UInt64, _ end: UInt64?, page: UInt64 = 1, tid: Int32 = 7, seen: Bool = true
  ) -> ObservedFault {
    ObservedFault(
      begin: Nanoseconds(begin), end: end.map { Nanoseconds($0) }, isEndSeen: end != nil && seen,
      cpu: CPUIndex(0), tid: ThreadID(tid), vm: 0, vcpu: 0, ipa: IPA(page << 12), kind: .translation,
      level: .l3, isWrite: true, isExec: false, isMMIO: false, isInSlot: true)
  }

  private static func map(at time: UInt64, page: UInt64 = 1, tid: Int32 = 7) -> Stage2Operation {
    Stage2Operation(
      time: Nanoseconds(time), cpu: CPUIndex(0), tid: ThreadID(tid), vm: 0, kind: .map,
      address: IPA(page << 12), size: 4096, prot: nil, result: 0, basis: .derived)
  }

  private static func names(_ slice: ReadTracks.Slice) -> Set<Argument> {
    Set(slice.arguments.compactMap { Argument(rawValue: $0) })
  }

  @Test("Each lies on its thread's track, with equal stamps side by side")
  func sideBySide() throws {
    let file = File()
    for (begin, end) in [(10, 20), (20, 20), (20, 20), (20, 30)] as [(UInt64, UInt64)] {
      try file.faults.add(Self.fault(begin, end), to: file.tree)
    }
    try file.faults.add(Self.fault(15, 25, tid: 8), to: file.tree)
    let tracks = try file.read(last: 40)
    #expect(tracks.problems.isEmpty && tracks.slices.count == 5)
    #expect(Set(tracks.slices.map(\.track)).count == 2)
    #expect(Set(tracks.names.values) == ["VM 0", "vCPU 0, thread 7", "vCPU 0, thread 8"])
    #expect(tracks.slices.allSatisfy { $0.name == EventName.translation.rawValue })
  }

  @Test("One that is cut ends with the next one of its thread, or with the trace, and says so")
  func cut() throws {
    let file = File()
    try file.faults.add(Self.fault(10, nil), to: file.tree)
    try file.faults.add(Self.fault(30, 40, seen: false), to: file.tree)
    try file.faults.keep(Self.map(at: 55), [], for: file.tree)
    try file.faults.add(Self.fault(50, nil), to: file.tree)
    let tracks = try file.read(last: 60)
    #expect(tracks.problems.isEmpty)
    #expect(tracks.slices.map(\.begin) == [10, 30, 50] && tracks.slices.map(\.end) == [30, 40, 60])
    #expect(tracks.slices.map { Self.names($0).contains(.cut) } == [true, false, true])
    #expect(tracks.slices.map { Self.names($0).contains(.endUnseen) } == [false, true, false])
    #expect(tracks.slices.map { Self.names($0).contains(.operation) } == [false, false, true])
  }

  @Test("One that ends before it begins, or begins before the last one ended, breaks no rule")
  func disorder() throws {
    let file = File()
    for (begin, end) in [(10, 5), (30, 40), (35, 38), (20, 50), (40, nil), (39, nil)] as [(UInt64, UInt64?)] {
      try file.faults.add(Self.fault(begin, end), to: file.tree)
    }
    let tracks = try file.read(last: 30)
    #expect(tracks.problems.isEmpty && tracks.slices.count == 6)
    #expect(tracks.slices.allSatisfy { $0.begin <= $0.end })
  }

  @Test("An operation is that of the window which ends with it; of several, of that on its page")
  func operations() throws {
    let file = File()
    for page in [1, 2, 3] as [UInt64] { try file.faults.add(Self.fault(10, 20, page: page), to: file.tree) }
    try file.faults.add(Self.fault(10, 20, page: 2, tid: 8), to: file.tree)
    #expect(file.faults.attach(Self.map(at: 20, page: 2)) { _ in [] })
    #expect(!file.faults.attach(Self.map(at: 21, page: 2)) { _ in [] })
    #expect(!file.faults.attach(Self.map(at: 20, page: 2, tid: 9)) { _ in [] })
    // On no page of theirs: the first without one.
    #expect(file.faults.attach(Self.map(at: 20, page: 900)) { _ in [] })
    #expect(file.faults.attach(Self.map(at: 20, page: 900)) { _ in [] })
    #expect(!file.faults.attach(Self.map(at: 20, page: 900)) { _ in [] })
    let tracks = try file.read(last: 40)
    #expect(tracks.problems.isEmpty)
    #expect(tracks.slices.filter { Self.names($0).contains(.operation) }.count == 3)
  }

  @Test(
    "An operation that is told before its window has ended is the window's; one of no window stands by itself"
  )
  func ahead() throws {
    let file = File()
    let flows = [9, 11].map { TakenPages.Taking(flow: $0, time: Nanoseconds($0), basis: .derived) }
    try file.faults.keep(Self.map(at: 15), flows, for: file.tree)
    try file.faults.add(Self.fault(10, 20), to: file.tree)
    try file.faults.keep(Self.map(at: 25), [], for: file.tree)
    try file.faults.add(Self.fault(30, 40), to: file.tree)
    try file.faults.add(Self.fault(41, 42), to: file.tree)
    #expect(file.faults.attach(Self.map(at: 35)) { _ in [] })
    #expect(!file.faults.attach(Self.map(at: 36)) { _ in [] })
    try file.faults.keep(Self.map(at: 50), [], for: file.tree)
    try file.faults.keep(Self.map(at: 51), [], for: file.tree)
    let tracks = try file.read(last: 60)
    #expect(tracks.problems.isEmpty)
    #expect(tracks.slices.map { Self.names($0).contains(.operation) } == [true, true, false])
    // The unmap at 11 came after the fault.
    #expect(tracks.slices.map(\.flows) == [[9], [], []])
    #expect(tracks.instants.map(\.time) == [25, 50, 51])
  }

  @Test("So many wait and no more")
  func bounded() throws {
    let file = File()
    let count = UInt64(FaultsWithOperations.waitingMax) + 100
    for number in 0..<count { try file.faults.add(Self.fault(number, number + 1), to: file.tree) }
    #expect(file.faults.attach(Self.map(at: count)) { _ in [] })
    #expect(file.faults.attach(Self.map(at: 102)) { _ in [] })
    #expect(!file.faults.attach(Self.map(at: 99)) { _ in [] })
    let tracks = try file.read(last: count)
    #expect(tracks.problems.isEmpty && tracks.slices.count == Int(count))
  }

  @Test(
    "An operation of an address alone is on the host's page, whatever its size", arguments: [4096, 16384])
  func pages(size: UInt64) throws {
    let file = File()
    file.faults.pageSize = try #require(PageSize(bytes: size))
    // The first is elsewhere; the second in the third 4 KiB of the page, which is one of 16 KiB or not.
    for page in [64, 6] as [UInt64] { try file.faults.add(Self.fault(10, 20, page: page), to: file.tree) }
    var operation = Self.map(at: 20, page: 4)
    (operation.kind, operation.size) = (.mkyoung, 0)
    #expect(file.faults.attach(operation) { _ in [] })
    let tracks = try file.read(last: 40)
    #expect(
      tracks.slices.map { Self.names($0).contains(.operation) }
        == (size == 4096 ? [true, false] : [false, true]))
  }
}
