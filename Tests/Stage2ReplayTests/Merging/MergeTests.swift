import Foundation
import KVMTrace
import Stage2Replay
import Testing
import TraceMutation

/// Recordings of one host each, merged as if one host had run both: a VM's fate does not depend on the others.
@Suite("Several VMs at once")
struct MergeTests {
  @Test(
    "Each VM's operations and report are those that it has alone",
    arguments: [
      ["pkvm-nvhe-7.3.4-page-table-thp", "pkvm-hvhe-7.3.4-demand-paging"],
      ["pkvm-nvhe-6.18.15-page-fault", "pkvm-nvhe-6.18.15-dirty-log-thp"],
      ["kvm-vhe-7.3.4-access-tracking", "kvm-nvhe-6.12.107-memslot-move"],
      [
        "pkvm-hvhe-7.3.4-16k-dirty-log", "pkvm-hvhe-7.3.4-16k-memslot-modification",
        "pkvm-hvhe-7.3.4-16k-page-table",
      ],
    ], TraceMerger.Threads.allCases)
  func merged(names: [String], threads: TraceMerger.Threads) throws {
    let traces = try names.map { MemoryTrace(try Recordings.trace("\($0).dat")) }
    var options = ReplayOptions()
    options.ignoresProbes = true
    // The look-ahead is shared by all VMs: here each has all that it has alone.
    options.lag = 1 << 18
    let comparison = try MergeComparison(traces, threads: threads, options: options)
    #expect(comparison.differences == [])
    #expect(comparison.vms >= names.count)
    #expect(comparison.operations > 1000)
  }
}
