import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay
import Testing

@testable import Reporting

/// How figures are known: decided in one place, and no better than what they rest on.
@Suite("Bases of figures")
struct BasisTests {
  private static func replay(
    _ name: String, fields: [String: ProfileValue] = [:]
  ) throws -> (report: ReplayReport, metrics: [Metric]) {
    let trace = try TraceFile(path: Recordings.path(name))
    var request = ProfileRequest()
    for (name, value) in fields { try request.set(name, to: value) }
    let (result, statistics) = try Replay.run(trace, profile: request, options: ReplayOptions())
    return (ReplayReport(trace, statistics, result), Metric.metrics([result], statistics))
  }

  @Test(
    "compare knows a figure as well as the report does, whose VMs it adds up",
    arguments: [
      "pkvm-nvhe-7.3.4-memslot-move", "pkvm-hvhe-7.2.12-protected-guest", "pkvm-nvhe-7.3.4-two-guests",
      "kvm-nvhe-7.2.12-page-table-thp",
    ])
  func same(name: String) throws {
    let (report, metrics) = try Self.replay(name)
    func expect(_ name: String, _ basis: (ReplayReport.VMEntry) -> Basis?) {
      let ofVMs = report.vms.compactMap(basis).max()
      let metric = metrics.first { $0.name == name }
      #expect(ofVMs == nil || metric?.basis == ofVMs, "\(name)")
    }
    expect("faults.total", \.faultsBasis)
    expect("hypercallsTotal", \.hypercallsBasis)
    expect("memory.mappings.peak", \.memory.mappingsBasis)
    expect("memory.mappingTreeBytes.peak", \.memory.mappingTreeBytesBasis)
    expect("memory.tablePages.peak", \.memory.tablesBasis)
    expect("memory.memcachePages.live", \.memory.tablesBasis)
    expect("memory.totalBytes.peak", \.memory.basis)
    expect("workingSet.pages") { $0.workingSet?.basis }
  }

  @Test(
    "Tables rest on the size of an IPA, bytes of mappings on what the slab takes for one, mappings on neither"
  )
  func ofMemory() throws {
    let name = "pkvm-nvhe-7.3.4-memslot-move"
    let memory = try Self.replay(name).report.vms[1].memory
    #expect(memory.mappingsBasis == .derived && memory.tablesBasis == .assumed)
    #expect(memory.mappingTreeBytesBasis == .assumed && memory.basis == .assumed)
    // What is assumed could have been otherwise.
    let narrow = try Self.replay(name, fields: ["ipaBits": .integer(40)]).report.vms[1].memory
    #expect(
      narrow.mappings?.peak == memory.mappings?.peak && narrow.tablePages?.peak != memory.tablePages?.peak)
    let wide = try Self.replay(name, fields: ["bytesPerNode": .integer(72)]).report.vms[1].memory
    #expect(wide.mappings?.peak == memory.mappings?.peak)
    #expect(wide.mappingTreeBytes?.peak != memory.mappingTreeBytes?.peak)
    // A marker of this one tells how many bits an IPA has.
    let told = try Self.replay("pkvm-hvhe-7.2.12-protected-guest").report.vms[2].memory
    #expect(told.tablesBasis == .derived && told.basis == .assumed)
  }

  @Test("Hypercalls that a profile batches are no longer the kernel's")
  func ofHypercalls() throws {
    let name = "pkvm-nvhe-7.3.4-memslot-move"
    #expect(try Self.replay(name).report.vms[1].hypercallsBasis == .derived)
    #expect(
      try Self.replay(name, fields: ["hypercallBatch": .integer(512)]).report.vms[1].hypercallsBasis
        == .assumed)
  }

  @Test("Faults that led to nothing are no better known than the operations of the others")
  func ofFaultsWithoutOperation() throws {
    var seen: Set<Basis> = []
    for name in ["pkvm-nvhe-7.3.4-memslot-move", "pkvm-nvhe-7.3.4-plain-guest"] {
      for vm in try Self.replay(name).report.vms {
        let faults: [OperationKind] = [.map, .relaxPerms, .mkyoung]
        let isOpen = faults.contains { (vm.operations[$0]?.basis[.assumed] ?? 0) > 0 }
        let basis = try #require(vm.faultsWithoutOperationBasis)
        #expect(basis == .assumed || !isOpen)
        seen.insert(basis)
      }
    }
    #expect(seen == [.derived, .assumed])
  }

  @Test("The kinds of faults add up to all of them in words, too")
  func kinds() {
    var faults = ReplayReport.FaultsEntry(FaultCounts())
    (faults.total, faults.translation, faults.permission, faults.mmio) = (10, 5, 3, 1)
    #expect(faults.words == "10: 5 translation (1 of them MMIO), 3 permission, 0 access flag")
    faults.other = 2
    #expect(faults.words.hasSuffix("3 permission, 0 access flag, 2 of another status"))
  }

  @Test("The text says how mappings and tables are known")
  func text() throws {
    let page = try Self.replay("pkvm-nvhe-7.3.4-memslot-move").report.text
    let words = page.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(
      words.contains(/tree [\d.]+ \w+, at most [\d.]+ \w+ \(mappings derived, bytes assumed\)/), "\(page)")
    #expect(words.contains(/memcaches \d+ pages? \(assumed\)/))
  }
}
