import KVMTrace
import KVMTypes
import Stage2Replay
import Testing
import TraceMutation

/// A source that hands out its events once, as they come.
@Suite("A replay in one pass")
struct OnePassTests {
  private struct Outcome {
    var result: ReplayResult
    var operations: [Stage2Operation] = []
  }

  private func replay(_ source: some EventSource, recordsAhead: Int = 1 << 18) throws -> Outcome {
    var options = ReplayOptions()
    options.recordsAhead = recordsAhead
    var operations: [Stage2Operation] = []
    let found = try Replay.run(over: source, profile: ProfileRequest(), options: options) {
      operations.append($0)
    }
    return Outcome(result: found.result, operations: operations)
  }

  @Test(
    "What is read whole before the replay begins gives the same as two passes",
    arguments: [
      "pkvm-nvhe-7.3.4-hugetlb-guest.dat", "kvm-vhe-7.3.4-access-tracking.dat",
      "pkvm-nvhe-7.3.4-balloon-guest.dat",
    ])
  func whole(name: String) throws {
    let trace = try Recordings.trace(name)
    let twice = try replay(trace)
    let once = try replay(ReadOnce(trace), recordsAhead: .max)
    #expect(once.operations == twice.operations && !once.operations.isEmpty)
    #expect(once.result.profile == twice.result.profile)
    #expect(once.result.grid == twice.result.grid)
    #expect(once.result.missingEvents == twice.result.missingEvents)
    #expect(once.result.markers == twice.result.markers)
    #expect(once.result.contradictions == [])
  }

  @Test(
    "What the first events decide is never wrong where it is called derived, and breaks no rule",
    arguments: ["pkvm-nvhe-7.3.4-page-table-thp.dat", "kvm-vhe-7.3.4-access-tracking.dat"])
  func beginning(name: String) throws {
    let trace = MemoryTrace(try Recordings.trace(name))
    #expect(trace.records.count > 2 * 4096)
    let twice = try replay(trace)
    let once = try replay(ReadOnce(trace), recordsAhead: 4096)
    let scores = try #require(once.result.agreement?.scores)
    #expect(scores.values.allSatisfy { $0.derivedWrong == 0 } && !scores.isEmpty)
    #expect(once.result.divergences.unexplained == twice.result.divergences.unexplained)
    #expect(once.operations.count == twice.operations.count)
  }

  @Test("An endless trace is replayed as it comes, a bounded number of events behind it")
  func endless() throws {
    let source = EndlessTrace(steps: 24_000)
    var options = ReplayOptions()
    options.recordsAhead = 4096
    options.lag = 256
    var most = 0
    var operations = 0
    let found = try Replay.run(over: source, profile: ProfileRequest(), options: options) { operation in
      operations += 1
      most = max(most, source.delivered - EndlessTrace.number(at: operation.time))
    }
    #expect(source.passes == 1)
    // Each step unmaps a page and maps another one.
    #expect(operations > 44_000)
    // A block of events goes at once; what waits to be settled, and two rounds of steps that are performed, come from up to
    // five events each.
    #expect(most > 4096 && most <= options.recordsAhead + 4096 + 5 * (options.lag + 2 * 4096))
    #expect(source.delivered > 2 * most)
    #expect(found.result.divergences.unexplained == 0)
    #expect(found.result.contradictions == [])
  }

  @Test("Events that are lost behind the beginning are taken for what contradicts the table later")
  func losses() throws {
    func divergences(tellsLoss: Bool) throws -> DivergenceReport {
      let trace = EndlessTrace(steps: 2500, losing: 1500..<1600, tellsLoss: tellsLoss)
      return try replay(trace, recordsAhead: 4096).result.divergences
    }
    #expect(try divergences(tellsLoss: true).unexplained == 0)
    #expect(try divergences(tellsLoss: false).unexplained > 0)
  }

  @Test("A replay says when events are missing, in one pass as in two")
  func gaps() throws {
    func gaps(recordsAhead: Int) throws -> [Range<Nanoseconds>] {
      let trace = EndlessTrace(steps: 2500, losing: 1500..<1600, tellsLoss: true)
      return try replay(trace, recordsAhead: recordsAhead).result.gaps
    }
    let found = try gaps(recordsAhead: .max)
    #expect(found.count == 1 && found.allSatisfy { $0.lowerBound > Nanoseconds(0) && !$0.isEmpty })
    #expect(try gaps(recordsAhead: 4096) == found)
    #expect(try replay(Recordings.trace("kvm-vhe-7.3.4-access-tracking.dat")).result.gaps == [])
  }

  @Test("A kind of event that had not come when the replay began may be unrecorded: nothing is derived")
  func unseen() throws {
    let operations = try replay(EndlessTrace(steps: 2500, unmapsFrom: 2000), recordsAhead: 4096).operations
    #expect(operations.allSatisfy { $0.basis == .assumed } && !operations.isEmpty)
  }
}

/// A guest that faults pages in one after the other while the host takes back others: made up as it is read, without end if
/// need be.
private final class EndlessTrace: EventSource {
  private let steps: Int
  private let losing: Range<Int>
  private let tellsLoss: Bool
  private let unmapsFrom: Int
  /// How many events have been handed out.
  private(set) var delivered = 0
  private(set) var passes = 0
  private var records: [TraceRecord] = []

  private static let pages = 512
  private static let ipa: UInt64 = 0x8000_0000
  /// Not congruent with guest addresses, so that no block is possible.
  private static let hva: UInt64 = 0x7f00_0000_1000
  /// Each page lies in a block of its own, so that no unmap is taken for a part of the one before.
  private static let shift: UInt64 = 21
  private static let vcpu = ThreadID(101)

  /// - Parameters:
  ///   - losing: the steps whose unmaps are lost, which the next one tells if `tellsLoss`.
  ///   - unmapsFrom: the first step whose unmap is recorded; pages are new before.
  init(steps: Int, losing: Range<Int> = 0..<0, tellsLoss: Bool = false, unmapsFrom: Int = 0) {
    (self.steps, self.losing, self.tellsLoss, self.unmapsFrom) = (steps, losing, tellsLoss, unmapsFrom)
  }

  /// The event of a moment, counted from 1.
  static func number(at time: Nanoseconds) -> Int { Int(time.rawValue / 1000) }

  var pageSize: PageSize? { .size4K }
  var uname: String { "Linux host 7.3.4 aarch64" }
  var hasOperationProbes: Bool { false }
  var path: String { "made up" }
  var format: String { "events" }
  var canBeReadTwice: Bool { false }
  var cpuCount: Int { 2 }

  func command(of tid: ThreadID) -> String? { nil }

  func forEachRun(
    _ selection: EventSelection, _ body: (EventRun) throws -> Void
  ) rethrows -> EventStatistics {
    passes += 1
    guard passes == 1 else { return EventStatistics() }
    add(.commitMemoryRegion, ThreadID(100)) { record in
      record[RecordLayout.CommitMemoryRegion.kvm] = 0xffff_0000_1000
      record[RecordLayout.CommitMemoryRegion.gfn] = Self.ipa >> 12
      record[RecordLayout.CommitMemoryRegion.pages] = 1 << 21
      record[RecordLayout.CommitMemoryRegion.hva] = Self.hva
    }
    add(.entry, Self.vcpu)
    // A signal comes: KVM_RUN returns -EINTR once.
    add(.exit, Self.vcpu)
    add(.userspaceExit, Self.vcpu) { $0[RecordLayout.UserspaceExit.errno] = UInt64(bitPattern: -4) }
    add(.entry, Self.vcpu)
    try deliver(body)
    for step in 0..<steps {
      try host(step, body)
      let page = UInt64(step < unmapsFrom ? step : step % Self.pages)
      let isFirstOfTable = step == 0 || step < unmapsFrom && step.isMultiple(of: Self.pages)
      add(.exit, Self.vcpu) { record in
        record[RecordLayout.Exit.reason] = 2
        record[RecordLayout.Exit.exceptionClass] = 0x24
      }
      add(.guestFault, Self.vcpu) { record in
        record[RecordLayout.GuestFault.ipa] = Self.ipa + page << Self.shift
        record[RecordLayout.GuestFault.esr] = isFirstOfTable ? 0x9200_0045 : 0x9200_0046
        record[RecordLayout.GuestFault.far] = 0x5000
      }
      add(.entry, Self.vcpu)
      try deliver(body)
    }
    return EventStatistics()
  }

  /// The host takes back a page that was faulted in half a round ago.
  private func host(_ step: Int, _ body: (EventRun) throws -> Void) rethrows {
    guard step >= unmapsFrom, !losing.contains(step) else { return }
    if step == losing.upperBound, tellsLoss { add(.lost, ThreadID(50), cpu: 1) }
    let start = Self.hva + UInt64((step + Self.pages / 2) % Self.pages) << Self.shift
    addRange(.unmapHVARange, from: start, bytes: 4096)
    // It does something else: the unmap is over.
    addRange(.ageHVA, from: 0x1000, bytes: 4096)
    try deliver(body)
  }

  private func addRange(_ kind: EventKind, from start: UInt64, bytes: UInt64) {
    add(kind, ThreadID(50), cpu: 1) { record in
      record[RecordLayout.HVARange.start] = start
      record[RecordLayout.HVARange.end] = start + bytes
    }
  }

  private func add(
    _ kind: EventKind, _ tid: ThreadID, cpu: UInt16 = 0, _ fields: (inout TraceRecord) -> Void = { _ in }
  ) {
    delivered += 1
    var record = TraceRecord(kind, at: Nanoseconds(UInt64(delivered) * 1000), cpu: CPUIndex(cpu), tid: tid)
    fields(&record)
    records.append(record)
  }

  private func deliver(_ body: (EventRun) throws -> Void) rethrows {
    try records.withUnsafeBufferPointer { try EventRun.with($0, body) }
    records.removeAll(keepingCapacity: true)
  }
}
