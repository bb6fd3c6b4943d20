import Foundation
import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

/// The recordings tell their memslots. What is inferred without them is held against that.
@Suite("Memslots of the recordings")
struct RecordedMemslotTests {
  /// Inference takes what a VMM's VMs have one after another at the same addresses for one slot, and a slot that moved for
  /// one that did not: it is no match for the small VMM, which does little else. Nor does it see when slots log, as all of a VM
  /// that migrates do: they map pages then, and not blocks.
  static let names = Recordings.sample.filter {
    !AgreementTests.isContested($0) && !$0.contains("migrate-guest")
  }

  private static func survey(_ name: String, infers: Bool) throws -> (MemslotHistory, PageSize) {
    let trace = try Recordings.trace(name)
    let pageSize = HostPageSize(of: trace).pageSize
    var survey = MemslotSurvey(pageSize: pageSize, infers: infers)
    var events = trace.events(.replay(probes: false))
    while let run = events.nextRun() { survey.consume(run) }
    return (survey.history, pageSize)
  }

  /// Host minus guest address.
  private static func offset(_ slot: Memslot, _ pageSize: PageSize) -> UInt64? {
    slot.hva.map { $0.rawValue &- slot.base.ipa(pageSize).rawValue }
  }

  /// The frames of which a vCPU's own unmap of one page, inside the window of its fault, tells the host address: the
  /// plainest kind of pair, found here without the code under test. By recorded slot.
  private static func copiesOnWrite(
    _ name: String, _ recorded: [MemslotHistory.Slot], _ pageSize: PageSize
  ) throws -> [Int: Set<GFN>] {
    let trace = try Recordings.trace(name)
    var open: [ThreadID: GFN] = [:]
    var frames: [Int: Set<GFN>] = [:]
    var events = trace.events(.replay(probes: false))
    while let run = events.nextRun() {
      for index in 0..<run.count {
        let record = run[index]
        switch record.kind {
        case .guestFault where record.guestFault.esr.faultKind == .permission:
          open[record.tid] = record.guestFault.ipa.gfn(pageSize)
        case .unmapHVARange:
          let range = record.hvaRange
          guard let gfn = open[record.tid], range.end - range.start == pageSize.bytes else { break }
          for (position, life) in recorded.enumerated()
          where life.slot.contains(gfn)
            && offset(life.slot, pageSize) == range.start.rawValue &- gfn.ipa(pageSize).rawValue
          {
            frames[position, default: []].insert(gfn)
          }
        case .entry, .userspaceExit, .guestFault: open[record.tid] = nil
        default: break
        }
      }
    }
    return frames
  }

  @Test(
    "No inferred slot lies anywhere but in a recorded one of the same distance",
    arguments: names)
  func nothingWrong(name: String) throws {
    let (recorded, pageSize) = try Self.survey(name, infers: false)
    let (inferred, _) = try Self.survey(name, infers: true)
    let truth = recorded.vms.flatMap(\.slots).map(\.slot)
    #expect(!inferred.vms.flatMap(\.slots).isEmpty)
    for life in inferred.vms.flatMap(\.slots) where life.slot.hva != nil {
      #expect(life.slot.basis == .assumed)
      // A distance that is an assumption may be wrong.
      guard try #require(life.evidence).offsetBasis == .derived else { continue }
      let same = truth.filter { Self.offset($0, pageSize) == Self.offset(life.slot, pageSize) }
      // Slots side by side in guest and host are one to whoever sees their pages alone.
      var end = life.slot.base
      while end < life.slot.end, let next = same.filter({ $0.contains(end) }).map(\.end).max() { end = next }
      #expect(end >= life.slot.end, "\(life)")
    }
  }

  @Test(
    "A slot of which 16 pages or more tell their host address is found, in full",
    arguments: Recordings.sample)
  func nothingMissing(name: String) throws {
    let (recorded, pageSize) = try Self.survey(name, infers: false)
    let (inferred, _) = try Self.survey(name, infers: true)
    let slots = recorded.vms.flatMap(\.slots)
    for (position, frames) in try Self.copiesOnWrite(name, slots, pageSize) where frames.count >= 16 {
      let slot = slots[position].slot
      let found = inferred.vms.flatMap(\.slots).first {
        Self.offset($0.slot, pageSize) == Self.offset(slot, pageSize) && frames.allSatisfy($0.slot.contains)
      }
      #expect(found != nil, "\(slot)")
    }
  }

  /// Slots whose place the recordings' faults and notifiers give, and how many pages of the recorded one are found: all
  /// of them, because their guests touched every page.
  static let placed: [(name: String, gfn: UInt64, pages: UInt64)] = [
    ("kvm-nvhe-7.3.4-page-table.dat", 0xf_fff7_ff, 2048),
    ("pkvm-hvhe-7.3.4-page-table.dat", 0xff_ffff_f7ff, 2048),
    ("kvm-vhe-7.3.4-16k-page-table.dat", 0x3_ffff_fdff, 512),
    ("pkvm-nvhe-7.3.4-guest-damon.dat", 0x40000, 49152),
  ]

  @Test("Slots that the guest touched from end to end are found from end to end", arguments: placed)
  func extents(name: String, gfn: UInt64, pages: UInt64) throws {
    let (recorded, pageSize) = try Self.survey(name, infers: false)
    let (inferred, _) = try Self.survey(name, infers: true)
    let slot = try #require(recorded.vms.flatMap(\.slots).first { $0.slot.base == GFN(gfn) }).slot
    let found = try #require(inferred.vms.flatMap(\.slots).first { $0.slot.hva != nil }).slot
    #expect(found.base == slot.base && found.pages == slot.pages && found.hva == slot.hva)
    #expect(slot.pages == pages)
    #expect(Self.offset(found, pageSize) == Self.offset(slot, pageSize))
  }

  @Test("With inferred slots, ages and unmaps of a guest's memory are joined with its faults")
  func inferredReplay() throws {
    var options = ReplayOptions()
    options.infersMemslots = true
    let agreement = try #require(
      try Recordings.replay("pkvm-nvhe-7.3.4-guest-damon.dat", options).result.agreement)
    for kind in [OperationKind.map, .relaxPerms, .mkyoung, .testClearYoung] {
      let score = try #require(agreement.scores[kind])
      #expect(Double(score.matched) >= 0.99 * Double(score.recorded), "\(kind.name): \(score)")
      #expect(score.derivedWrong == 0)
    }
  }

  @Test("Faults alone tell nearly all maps, and nothing is called derived", arguments: names)
  func mapsWithoutSlots(name: String) throws {
    var options = ReplayOptions()
    options.infersMemslots = true
    let agreement = try #require(try Recordings.replay(name, options).result.agreement)
    let maps = try #require(agreement.scores[.map])
    #expect(Double(maps.matched) >= 0.9 * Double(max(maps.recorded, maps.predicted)), "\(maps)")
    #expect(agreement.scores.values.allSatisfy { $0.derivedWrong == 0 })
  }

  @Test(
    "The recorded slots, given as a history, lead to the same operations",
    arguments: Recordings.sample)
  func roundTrip(name: String) throws {
    func operations(_ memslots: MemslotHistory?) throws -> [Stage2Operation] {
      let trace = try Recordings.trace(name)
      var options = ReplayOptions()
      options.ignoresProbes = true
      options.memslots = memslots
      var operations: [Stage2Operation] = []
      _ = try Replay.run(trace, profile: ProfileRequest(), options: options) { operation in
        // A file is somebody's word: nothing that follows from it is more than assumed.
        if memslots != nil { #expect(operation.basis == .assumed) }
        var operation = operation
        operation.basis = .assumed
        if operation.protBasis != nil { operation.protBasis = .assumed }
        operations.append(operation)
      }
      return operations
    }
    let recorded = try operations(nil)
    var history = try Self.survey(name, infers: false).0
    for vm in history.vms.indices {
      for slot in history.vms[vm].slots.indices { history.vms[vm].slots[slot].slot.basis = .assumed }
    }
    let given = try operations(history)
    #expect(!recorded.isEmpty && recorded.count == given.count)
    #expect(zip(recorded, given).first { $0 != $1 } == nil)
  }
}
