import DatabaseReader
import Foundation
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay
import Testing
import UnnamedFiles

/// What tables have of recordings, against the report of the same replay.
@Suite("Rows of recordings")
struct ReportRowsTests {
  @Test(
    "The recording, its settings, VMs, markers and divergences are the report's",
    arguments: [
      "pkvm-nvhe-7.3.4-plain-guest", "kvm-nvhe-7.3.4-16k-plain-guest", "pkvm-nvhe-7.3.4-joined-guests",
    ])
  func report(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      let (report, input) = (reports[0], reports[0].inputs[0])
      let recording = try database.rows("SELECT *, options->>1 AS word FROM recordings")[0]
      #expect(recording["kernel"] == input.kernel.map(DatabaseValue.text))
      #expect(
        recording["page_size_bytes"] == DatabaseValue(input.pageSize) && recording["clock_unit"] == "ns")
      #expect(
        recording["events"] == DatabaseValue(input.events)
          && recording["first_ns"] == DatabaseValue(input.firstNs))
      #expect(recording["word"] == "\"" && recording["tool_commit"] == .null)
      // Who emulated the host is there: durations are that one's.
      let settings = try database.rows("SELECT key, value FROM settings").map { [$0["key"]!, $0["value"]!] }
      #expect(
        Set(settings) == Set((input.recording ?? [:]).map { [.text($0.key), .text($0.value)] })
          && settings.count > 5)
      let protected = try database.rows("SELECT field, value, basis FROM profile WHERE field = 'pageSize'")[0]
      #expect(
        protected["value"] == DatabaseValue(input.pageSize)
          && protected["basis"] == .text(report.profileBasis[.pageSize]!.name))

      let figures = (report.memoryMarkers ?? []).flatMap { marker in marker.figures.map { (marker, $0) } }
      let markers = try database.rows("SELECT * FROM markers WHERE figure IS NOT NULL ORDER BY rowid")
      #expect(markers.count == figures.count && markers.count > 5)
      for (row, (marker, figure)) in zip(markers, figures) {
        #expect(row["time_ns"] == DatabaseValue(marker.timeNs) && row["point"] == .text(marker.point))
        #expect(
          row["recorded"] == DatabaseValue(figure.recorded)
            && row["modelled"] == DatabaseValue(figure.modelled))
        #expect(row["verdict"] == .text(figure.verdict.name))
      }
      let divergences = report.divergences
      #expect(
        try database.number("SELECT sum(count) FROM divergences WHERE verdict = 'explained'")
          == Int64(divergences.explained))
      for (verdict, count) in [
        ("explained", divergences.explained), ("unknown", divergences.unknown),
        ("unexplained", divergences.unexplained),
      ] {
        #expect(
          try database.number("SELECT count(*) FROM divergence_events WHERE verdict = '\(verdict)'")
            == Int64(count))
        #expect(try database.number("SELECT divergences_\(verdict) FROM recordings") == Int64(count))
      }
      let first = try database.rows("SELECT * FROM divergences ORDER BY rowid")
      #expect(first.map { $0["expected"] } == divergences.items.map { .text($0.expected) })
      #expect(
        first.map { $0["exception"] }
          == divergences.items.map { $0.exception.map { .text($0.rawValue) } ?? .null })
    }
  }

  @Test(
    "VMs with their vCPUs, slots, memory and times under the lock",
    arguments: ["pkvm-nvhe-7.3.4-plain-guest", "kvm-nvhe-7.3.4-twin-guests"])
  func vms(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      let isPKVM = reports[0].profile[.path] == .word("pkvm")
      for vm in reports[0].vms {
        let row = try database.rows("SELECT * FROM vms WHERE vm = \(vm.id)")[0]
        #expect(row["pid"] == DatabaseValue(vm.pids.first) && row["ended_ns"] == DatabaseValue(vm.endedNs))
        #expect(row["table_pages_peak"] == DatabaseValue(vm.memory.tablePages?.peak))
        #expect(row["mappings_peak"] == DatabaseValue(vm.memory.mappings?.peak))
        for (column, basis) in [
          ("faults_basis", vm.faultsBasis),
          ("faults_without_operation_basis", vm.faultsWithoutOperationBasis),
          ("memory_basis", vm.memory.basis), ("mappings_basis", vm.memory.mappingsBasis),
          ("mapping_tree_bytes_basis", vm.memory.mappingTreeBytesBasis),
          ("tables_basis", vm.memory.tablesBasis),
        ] {
          #expect(row[column] == basis.map { .text($0.name) } ?? .null, "\(column)")
        }
        #expect(
          (row["hypercalls"] == .null) == !isPKVM && row["hypercalls"] == DatabaseValue(vm.hypercallsTotal))
        let vcpus = try database.rows("SELECT * FROM vcpus WHERE vm = \(vm.id) ORDER BY vcpu")
        #expect(vcpus.map { $0["tid"] } == vm.vcpus.map { DatabaseValue($0.tid) })
        let slots = try database.rows("SELECT * FROM slots WHERE vm = \(vm.id) ORDER BY slot")
        #expect(slots.map { $0["gfn"] } == vm.slots.map { DatabaseValue($0.gfn) })
        #expect(slots.map { $0["hva"] } == vm.slots.map { DatabaseValue($0.hva) })
        let lock = try #require(vm.lock)
        let functions = try database.rows("SELECT * FROM lock_operations WHERE vm = \(vm.id)")
        #expect(functions.count == lock.byOperation.count + (lock.untimed ?? [:]).count)
        #expect(
          try database.number("SELECT sum(held_ns) FROM lock_operations WHERE vm = \(vm.id)")
            == Int64(lock.byOperation.values.reduce(0) { $0 + $1.totalNs }))
        #expect(
          try database.number("SELECT count(*) FROM lock_operations WHERE vm = \(vm.id) AND held_ns IS NULL")
            == Int64((lock.untimed ?? [:]).count))
        let memory = try database.rows("SELECT * FROM memory WHERE vm = \(vm.id)")
        #expect(!memory.isEmpty && memory.allSatisfy { ($0["mapping_tree_bytes"] == .null) == !isPKVM })
        for (mode, times) in [("read", vm.lock?.read), ("write", vm.lock?.write)] {
          let place = "WHERE vm = \(vm.id) AND mode = '\(mode)'"
          #expect(try database.number("SELECT count(*) FROM lock_waits \(place)") == Int64(times?.waits ?? 0))
          #expect(
            try database.number("SELECT sum(waited_ns) FROM lock_waits \(place)") ?? 0
              == Int64(times?.waitNs ?? 0))
          #expect(
            try database.number("SELECT sum(held_ns) FROM lock_holds \(place)") ?? 0
              == Int64(times?.heldNs ?? 0))
        }
      }
    }
  }

  @Test(
    "Each fault has the operation that it led to, by a coarse clock, too",
    arguments: [
      "pkvm-nvhe-7.3.4-plain-guest", "pkvm-nvhe-7.3.4-coarse-clock", "pkvm-nvhe-7.3.4-hugetlb-guest",
    ])
  func outcomes(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      for vm in reports[0].vms {
        let led = (vm.faults?.total ?? 0) - (vm.faultsWithoutOperation ?? [:]).values.reduce(0, +)
        let place = "WHERE vm = \(vm.id)"
        #expect(try database.number("SELECT count(operation_id) FROM faults \(place)") == Int64(led))
        #expect(try database.number("SELECT count(DISTINCT operation_id) FROM faults \(place)") == Int64(led))
        #expect(try database.number("SELECT count(*) FROM fault_operations \(place)") == Int64(led))
        #expect(
          try database.number(
            "SELECT faults - faults_without_operation - faults_of_unknown_outcome FROM vms \(place)")
            == Int64(led))
      }
      #expect(
        try database.number(
          "SELECT count(*) FROM fault_operations WHERE operation_ns NOT BETWEEN time_ns AND ifnull(end_ns, operation_ns)"
        ) == 0)
      #expect(
        try database.number(
          "SELECT count(*) FROM faults f JOIN operations o ON o.id = f.operation_id WHERE o.tid != f.tid OR o.vm != f.vm"
        ) == 0)
    }
  }

  @Test(
    "Faults have the levels that the report counts, and none where it knows none",
    arguments: ["pkvm-nvhe-7.3.4-guest-damon", "pkvm-nvhe-7.3.4-protected-guest"])
  func levels(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      var unknown = 0
      for vm in reports[0].vms {
        let faults = try #require(vm.faults)
        let place = "FROM faults WHERE vm = \(vm.id) AND level"
        for level in -1...3 {
          #expect(
            try database.number("SELECT count(*) \(place) = \(level)") == Int64(faults.byLevel[level] ?? 0),
            "level \(level)")
        }
        #expect(
          try database.number("SELECT count(*) \(place) IS NULL") == Int64(faults.unknownLevel ?? 0))
        #expect(faults.byLevel.values.reduce(0, +) + (faults.unknownLevel ?? 0) == faults.total)
        unknown += faults.unknownLevel ?? 0
      }
      // As the tracks have them.
      #expect(
        Set(try database.rows("SELECT DISTINCT access FROM faults").map { $0["access"] })
          == ["read", "write", "exec"])
      #expect(unknown > 0)
    }
  }

  @Test("A clock that counts ticks has no times under the lock, and several inputs are told apart")
  func several() throws {
    let traces = try ["pkvm-nvhe-7.3.4-coarse-clock", "pkvm-nvhe-7.3.4-short-lived-guests"].map(
      WrittenDatabase.trace)
    try WrittenDatabase.read(traces) { (database, reports) throws in
      #expect(
        try database.rows("SELECT clock_unit FROM recordings ORDER BY recording").map { $0["clock_unit"] }
          == ["ticks", "ns"])
      #expect(try database.number("SELECT count(*) FROM lock_holds WHERE recording = 0") == 0)
      #expect(try database.number("SELECT count(*) FROM lock_holds WHERE recording = 1") ?? 0 > 0)
      #expect(try database.rows("PRAGMA foreign_key_check").isEmpty)
      for (position, report) in reports.enumerated() {
        #expect(
          try database.number("SELECT count(*) FROM vms WHERE recording = \(position)")
            == Int64(report.vms.count))
        let count = report.vms.flatMap(\.operations.values).reduce(0) { $0 + $1.count }
        #expect(
          try database.number("SELECT count(*) FROM operations WHERE recording = \(position)") == Int64(count)
        )
      }
      #expect(try database.number("SELECT count(DISTINCT id) - max(id) FROM operations") == 0)
    }
  }

  @Test("Losses and damage", arguments: ["inputs/trace-dat/v7", "inputs/trace-dat/v6"])
  func losses(name: String) throws {
    try WrittenDatabase.read([try WrittenDatabase.trace(name)]) { (database, reports) throws in
      let input = reports[0].inputs[0]
      let losses = try database.rows("SELECT * FROM losses ORDER BY rowid")
      #expect(
        losses.map { $0["before_ns"] } == input.losses.map { DatabaseValue($0.beforeNs) } && losses.count == 4
      )
      #expect(losses.map { $0["count"] } == input.losses.map { DatabaseValue($0.count) })
      let damage = try database.rows("SELECT * FROM damage ORDER BY rowid")
      #expect(damage.map { $0["what"] } == input.damage.map { .text($0.what) } && damage.count == 8)
      #expect(try database.number("SELECT loss_count FROM recordings") == Int64(input.lossCount))
      // Of two of the four places nothing tells how many were lost.
      #expect(try database.rows("SELECT lost_events FROM recordings")[0]["lost_events"] == .null)
      let unknown = try database.rows("SELECT words FROM not_known ORDER BY rowid")
      let words =
        (reports[0].notKnown ?? []).map(\.words) + (reports[0].notRecorded ?? []).map(\.statement)
      #expect(unknown.map { $0["words"] } == words.map { .text($0) })
    }
  }

  @Test("What is not known is NULL, and no memory is told of a VM of which nothing says what is mapped")
  func unknown() throws {
    let text = try String(
      contentsOf: WrittenDatabase.root.appendingPathComponent("traces/inputs/text/trace.txt"), encoding: .utf8
    )
    let lines = text.split(separator: "\n").filter { !$0.contains("kvm_guest_fault") }
    let file = try UnnamedFile(lines.joined(separator: "\n").utf8)
    try WrittenDatabase.read([try TraceFile(path: file.path)]) { (database, reports) throws in
      #expect(reports[0].vms.map(\.memory.basis) == [nil])
      let vm = try database.rows("SELECT * FROM vms")[0]
      #expect(vm["memory_basis"] == "unknown" && vm["total_bytes_peak"] == .null && vm["faults"] == .null)
      #expect(try database.number("SELECT count(*) FROM memory") == 0)
      #expect(try database.number("SELECT losses_unknown FROM recordings") == 1)
    }
  }

  @Test("Whether a fault was on a device is NULL where kvm_mmio was not recorded")
  func unrecordedMMIO() throws {
    for (name, isRecorded) in [("trace", true), ("report-wrapped", false)] {
      let path = WrittenDatabase.root.appendingPathComponent("traces/inputs/text/\(name).txt").path
      try WrittenDatabase.read([try TraceFile(path: path)]) { (database, reports) throws in
        let faults = try #require(reports[0].vms[0].faults)
        #expect((faults.mmio != nil) == isRecorded && faults.total > 0)
        #expect(
          try database.number("SELECT count(*) FROM faults WHERE mmio IS NULL")
            == (isRecorded ? 0 : Int64(faults.total)))
      }
    }
  }

  @Test("Faults of which nothing tells what became of them are not among those that came to nothing")
  func unknownOutcomes() throws {
    // Up to a fault: what became of it the text does not tell.
    let path = WrittenDatabase.root.appendingPathComponent("traces/inputs/text/trace.txt")
    let lines = try String(contentsOf: path, encoding: .utf8).split(separator: "\n")
    let last = try #require(lines.lastIndex { $0.contains("kvm_guest_fault:") })
    let file = try UnnamedFile(lines[...last].joined(separator: "\n").utf8)
    try WrittenDatabase.read([try TraceFile(path: file.path)]) { (database, reports) throws in
      var unknown = 0
      for vm in reports[0].vms {
        let row = try database.rows("SELECT * FROM vms WHERE vm = \(vm.id)")[0]
        let reasons = try #require(vm.faultsWithoutOperation)
        let open = (reasons[.unknownSlots] ?? 0) + (reasons[.cutOff] ?? 0)
        #expect(row["faults_of_unknown_outcome"] == DatabaseValue(open))
        #expect(
          row["faults_without_operation"] == DatabaseValue(reasons.values.reduce(0, +) - open))
        unknown += open
      }
      #expect(unknown > 0)
    }
  }

  @Test("How many events were lost is a number where every place tells one, and where there is none")
  func lostEvents() throws {
    try WrittenDatabase.read([try WrittenDatabase.trace("pkvm-nvhe-7.3.4-page-table-thp")]) {
      (database, _) throws in
      #expect(try database.number("SELECT lost_events FROM recordings") == 0)
    }
    let path = WrittenDatabase.root.appendingPathComponent("traces/inputs/text/perf-script.txt").path
    try WrittenDatabase.read([try TraceFile(path: path)]) { (database, _) throws in
      #expect(
        try database.rows("SELECT lost_events, losses_unknown FROM recordings")
          == [["lost_events": .null, "losses_unknown": 1]])
    }
  }

  @Test("Why divergences could not be told is in the row of the recording, and NULL where they could")
  func unchecked() throws {
    let name = "inputs/failed/trace-dat-format-string-of-printk-of-two-bytes"
    let path = WrittenDatabase.root.appendingPathComponent("traces/\(name)").path
    let traces = [try TraceFile(path: path), try WrittenDatabase.trace("kvm-nvhe-7.2.12-page-table-thp")]
    try WrittenDatabase.read(traces) { (database, reports) throws in
      let rows = try database.rows(
        "SELECT divergences_unchecked_why AS why FROM recordings ORDER BY recording")
      let why = try #require(reports[0].divergences.uncheckedWhy)
      #expect(rows.map { $0["why"] } == [.text(why), .null])
    }
  }
}
