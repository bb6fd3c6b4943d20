import CostFit
import Foundation
import KVMTrace
import KVMTypes
import Pictures
import Stage2Model
import Stage2Replay
import Testing
import TraceMutation

@testable import Reporting

/// What reports say of recordings that lack kinds of event: a figure of what was not recorded is unknown, and one of a part is no figure
/// of the whole.
@Suite("Reports of recordings that lack events")
struct UnrecordedTests {
  static let name = "pkvm-nvhe-7.3.4-page-table-thp"

  /// A recording as it would be had somebody recorded it without some kinds of event.
  static func replay(
    _ name: String = name, without kinds: Set<EventKind> = [], observer: ReplayObserver = ReplayObserver(),
    onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (trace: MemoryTrace, statistics: EventStatistics, result: ReplayResult) {
    let trace = MemoryTrace(try TraceFile(path: Recordings.path(name))).without(kinds, keepsFormats: false)
    let (result, statistics) = try Replay.run(
      over: trace, profile: ProfileRequest(), options: ReplayOptions(), observer: observer,
      onOperation: onOperation)
    return (trace, statistics, result)
  }

  static func report(_ name: String = name, without kinds: Set<EventKind> = []) throws -> ReplayReport {
    let (trace, statistics, result) = try replay(name, without: kinds)
    return ReplayReport(trace, statistics, result)
  }

  static func words(_ text: String) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  // MARK: Operations

  @Test("A function of whose calls not all are told is named, and in no sum of several recordings")
  func partialOperations() throws {
    let (whole, part) = (try Self.report(), try Self.report(without: [.unmapHVARange]))
    #expect(whole.vms.allSatisfy { $0.partialOperations == nil } && !whole.text.contains("not all calls"))
    #expect(part.vms.allSatisfy { $0.partialOperations == [.unmap] })
    #expect(Self.words(part.text).contains("not all calls are told of unmap: events are missing"))
    let both = ReplayReport([whole, part])
    let totals = try #require(both.totals)
    #expect(totals.partialOperations == [.unmap] && totals.operations[.unmap] == nil)
    let maps = (whole.vms + part.vms).compactMap { $0.operations[.map]?.count }.reduce(0, +)
    #expect(maps > 0 && totals.operations[.map]?.count == maps)
    #expect(
      Self.words(ReplayReport.text([whole, part])).contains("left out: unmap, of which some recording"))
    #expect(try #require(ReplayReport([whole, whole]).totals).operations[.unmap] != nil)
  }

  @Test("What EL2 has is assumed: the sizes of its structures are those of one build of the kernel")
  func hypStructures() throws {
    for vm in try Self.report("pkvm-nvhe-7.3.4-plain-guest").vms {
      #expect(vm.memory.hypBasis == .assumed && vm.memory.basis(of: .hypStructures) == .assumed)
    }
    let traditional = try Self.report("kvm-nvhe-7.3.4-plain-guest")
    #expect(traditional.vms.allSatisfy { $0.memory.hypBasis == nil } && !traditional.vms.isEmpty)
  }

  // MARK: Agreement

  @Test("Predictions of a function that no probe tells of are neither right nor wrong")
  func withoutProbe() throws {
    let report = try Self.report(without: [.probeMap, .probeMapReturn])
    let map = try #require(report.agreement?.byOperation[.map])
    #expect(map.recorded == nil && map.matched == nil && map.derivedWrong == nil && map.protCompared == nil)
    #expect(try #require(map.predicted) > 0 && map.mismatches.isEmpty)
    let text = Self.words(report.text)
    #expect(text.contains("map not recorded \(Quantity.count(try #require(map.predicted))) unknown unknown"))
    let unmap = try #require(report.agreement?.byOperation[.unmap])
    #expect(try #require(unmap.recorded) > 0 && unmap.matched == unmap.recorded && unmap.derivedWrong == 0)
  }

  @Test("Recorded calls of a function whose cause was not recorded are not called unpredicted")
  func withoutCause() throws {
    let report = try Self.report(without: [.unmapHVARange])
    let unmap = try #require(report.agreement?.byOperation[.unmap])
    let recorded = try #require(unmap.recorded)
    #expect(recorded > 0 && unmap.predicted == nil && unmap.matched == nil && unmap.mismatches.isEmpty)
    #expect(
      Self.words(report.text).contains("unmap \(Quantity.count(recorded)) unknown unknown unknown"),
      "\(report.text)")
  }

  @Test("The sum over recordings is of those in which the function is scored, and says so")
  func sumOfAgreement() throws {
    let whole = try Self.report()
    let reports = [whole, try Self.report(without: [.probeMap, .probeMapReturn])]
    let sum = try #require(ReplayReport(reports).agreement?.byOperation)
    let map = try #require(whole.agreement?.byOperation[.map])
    #expect(sum[.map]?.recorded == map.recorded && sum[.map]?.predicted == map.predicted)
    #expect(sum[.map]?.unscoredInputs == 1 && sum[.unmap]?.unscoredInputs == nil)
    #expect(ReplayReport.text(reports).contains("map: without 1 recording"))
  }

  // MARK: Guest memory over time

  /// What is drawn of each VM's memory.
  private static func heat(without kinds: Set<EventKind>) throws -> (ReplayReport, [HeatMap]) {
    let pictures = ReplayPictures()
    let (trace, statistics, result) = try replay(
      "pkvm-nvhe-7.3.4-plain-guest", without: kinds, observer: pictures.observer,
      onOperation: { pictures.add($0) })
    let report = ReplayReport(trace, statistics, result)
    let last = Nanoseconds(report.inputs[0].replayed.upperBound)
    return (report, pictures.finish(result, last: last).compactMap(\.heat))
  }

  @Test("A map of guest memory has no 0 of what was not recorded")
  func heat() throws {
    let (report, maps) = try Self.heat(without: [.guestFault])
    #expect(maps.contains { $0.sums.ages + $0.sums.unmaps > 0 })
    let text = Self.words(report.text(in: .filed, heat: maps))
    #expect(text.contains("in all unknown faults; unknown maps, with relax_perms"), "\(text)")
    #expect(!text.contains(/\b0 (faults|maps|ages|unmaps)\b/) && !text.contains("nothing happened"))
    #expect(text.contains("mapped, and nothing seen"))

    let (_, withoutAges) = try Self.heat(without: [.ageHVA, .testAgeHVA])
    #expect(withoutAges.allSatisfy { $0.told == [.faults, .maps, .unmaps] } && !withoutAges.isEmpty)
    let (_, whole) = try Self.heat(without: [])
    #expect(whole.allSatisfy(\.isAllTold) && !whole.isEmpty)
  }

  // MARK: Time under the lock

  private static let unmapProbes: Set<EventKind> = [.probeUnmap, .probeUnmapReturn]

  @Test("A series of the lock has no 0 where a function ran that was not timed")
  func lockSeries() throws {
    let name = "kvm-nvhe-7.3.4-plain-guest"
    let parts: [Set<EventKind>] = [Self.unmapProbes, Self.unmapProbes.union([.unmapHVARange])]
    for kinds in parts {
      // What else notifiers do holds it to write, too.
      let locks = try Self.report(name, without: kinds).vms.compactMap(\.lock).filter {
        $0.untimed?[.unmap] != nil && $0.write?.heldNs != nil
      }
      #expect(locks.allSatisfy { ($0.series ?? []).allSatisfy { $0.writeHeldNs != 0 } })
      #expect(locks.contains { ($0.series ?? []).contains { $0.writeHeldNs != nil } })
    }
    let whole = try Self.report(name).vms.compactMap(\.lock)
    #expect(whole.contains { ($0.series ?? []).contains { $0.writeHeldNs == 0 } })
  }

  /// Figures of recordings as `compare` holds them against each other.
  private static func metrics(without kinds: Set<EventKind>) throws -> [Metric] {
    let (_, statistics, result) = try replay(without: kinds)
    return Metric.metrics([result], statistics)
  }

  @Test("A sum over a part of the holds is held against one over the same part alone")
  func lockParts() throws {
    let whole = try Self.metrics(without: [])
    let part = try Self.metrics(without: Self.unmapProbes)
    let unseen = try Self.metrics(without: Self.unmapProbes.union([.unmapHVARange]))
    func compare(_ before: [Metric], _ after: [Metric]) -> (Comparison, Comparison.Row?) {
      let comparison = Comparison(
        .recordings, Comparison.Side("before", [before]), Comparison.Side("after", [after]))
      return (comparison, comparison.rows.first { $0.metric.name == "lock.write.heldNs" })
    }
    for lacking in [part, unseen] {
      let (comparison, row) = compare(whole, lacking)
      #expect(row?.before != nil && row?.after == nil && row?.verdict == .unknown)
      #expect(comparison.statements.contains { $0.contains("of a part of the recordings only: unmap") })
      let share = comparison.rows.first { $0.metric.name == "lock.utilisation" }
      #expect(share?.before != nil && share?.after == nil)
      // What it has of maps is whole.
      #expect(
        comparison.rows.first { $0.metric.name == "lock.byOperation.map.totalNs" }?.verdict == .same)
    }
    let (comparison, row) = compare(part, unseen)
    #expect(row?.before != nil && row?.after != nil && row?.verdict == .same)
    #expect(comparison.statements.contains("Not recorded under mmu_lock, and in no sum over it: unmap."))
    #expect(compare(whole, whole).0.statements.allSatisfy { !$0.contains("mmu_lock") })
  }

  @Test("A plan says which functions its shares of the lock lack")
  func plannedLock() throws {
    let trace = MemoryTrace(try TraceFile(path: Recordings.path("pkvm-nvhe-7.3.4-plain-guest")))
    for kinds in [Self.unmapProbes, []] {
      let (result, _) = try Replay.run(
        over: trace.without(kinds, keepsFormats: false), profile: ProfileRequest(),
        options: CapacityRecording.options)
      let request = CapacityRequest(
        vms: 2, memoryBytes: 1 << 30, vcpus: 2, profile: result.profile.profile)
      let plan = try CapacityPlan(
        request, [CapacityRecording("it", position: 0, result)], costs: nil)
      #expect(!plan.mmuLock.isEmpty)
      #expect(plan.mmuLock.allSatisfy { $0.untimed == (kinds.isEmpty ? nil : [.unmap]) })
      #expect(plan.text.contains("without unmap") == !kinds.isEmpty)
    }
  }

  // MARK: Hypercalls

  @Test(
    "The report knows a sum of hypercalls where compare does, and leaves out those that it does not know all of"
  )
  func hypercalls() throws {
    let (trace, statistics, result) = try Self.replay(without: [.unmapHVARange])
    let report = ReplayReport(trace, statistics, result)
    let metrics = Metric.metrics([result], statistics)
    #expect(metrics.first { $0.name == "hypercallsTotal" }?.isUnknown == true)
    let vm = try #require(report.vms.first)
    #expect(vm.hypercallsTotal == nil && vm.hypercalls?[.hostUnshareGuest] == nil)
    let shared = try #require(vm.hypercalls?[.hostShareGuest])
    #expect(shared > 0 && vm.hypercallsBasis == .assumed)
    let text = Self.words(report.text)
    #expect(
      text.contains(
        "hypercalls unknown in all, as the calls for notifiers are: share_guest \(Quantity.count(shared))"),
      "\(text)")
    #expect(report.summary.first { $0.name == "hypercalls" }.map { $0.value == "unknown" } == true)

    let whole = try Self.report()
    let totals = try #require(ReplayReport([whole, report]).totals)
    #expect(totals.hypercallsTotal == nil && totals.hypercalls?[.hostUnshareGuest] == nil)
    #expect(totals.hypercalls?[.hostShareGuest] == shared + (whole.vms[0].hypercalls?[.hostShareGuest] ?? 0))
    #expect(whole.vms[0].hypercallsTotal == whole.vms[0].hypercalls?.values.reduce(0, +))
  }

  // MARK: Costs

  @Test("No time is modelled of calls that nothing tells, and none of their sum")
  func costs() throws {
    let (trace, statistics, result) = try Self.replay(without: [.unmapHVARange])
    var report = ReplayReport(trace, statistics, result)
    report.price(result, CostModel.builtIn[0])
    let lock = try #require(report.vms.first?.modelledLock)
    // Under pKVM a notifier and a fault hold the lock to write.
    #expect(lock.writeHeldNs == nil && lock.readHeldNs != nil)
    #expect(lock.byOperation[.unmap] == nil && lock.byOperation[.map] != nil)
    #expect(Self.words(report.text).contains("the time held to write is unknown"))

    let (silent, counts, nothing) = try Self.replay(without: [.guestFault])
    var other = ReplayReport(silent, counts, nothing)
    other.price(nothing, CostModel.builtIn[0])
    #expect(!other.vms.isEmpty && other.vms.allSatisfy { $0.modelledLock == nil })
  }

  @Test("A recording that does not tell of all calls asks for no host lock that is known")
  func hostLock() throws {
    let trace = MemoryTrace(try TraceFile(path: Recordings.path(Self.name)))
    for (kinds, isTold) in [([], true), ([.guestFault], false), ([.unmapHVARange], false)]
      as [(
        Set<EventKind>, Bool
      )]
    {
      let (result, _) = try Replay.run(
        over: trace.without(kinds, keepsFormats: false), profile: ProfileRequest(),
        options: CapacityRecording.options)
      let recording = CapacityRecording("it", position: 0, result)
      let request = CapacityRequest(vms: 2, memoryBytes: 1 << 30, vcpus: 2, profile: result.profile.profile)
      let plan = try CapacityPlan(request, [recording], costs: CostModel.builtIn[0])
      #expect((plan.hostLock != nil) == isTold, "\(kinds)")
    }
  }

  // MARK: Words

  @Test("VMs have no order by faults that were not recorded")
  func order() throws {
    let name = "pkvm-nvhe-7.3.4-fellow-guests"
    #expect(Self.words(try Self.report(name).text).contains(", those with most faults first"))
    let report = try Self.report(name, without: [.guestFault])
    #expect(report.vms.count > 1 && !report.text.contains("most faults first"))
  }

  @Test("That a VM that is gone has nothing is known as its end is")
  func memoryOfGoneVM() throws {
    let report = try Self.report("pkvm-nvhe-7.3.4-protected-guest")
    let vm = try #require(report.vms.first { $0.endedNs != nil && $0.memory.basis == .assumed })
    #expect(vm.endBasis == .recorded && vm.liveBasis == .recorded)
    #expect(Self.words(report.text).contains("memory 0 B at the end (recorded)"), "\(report.text)")
    #expect(Self.words(report.text).contains("at most (assumed); each figure"))
  }
}
