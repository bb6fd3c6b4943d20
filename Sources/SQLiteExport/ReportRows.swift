internal import KVMTypes
internal import Reporting
internal import Stage2Model
internal import Stage2Replay

/// The rows of one recording that its report has.
struct ReportRows {
  private let connection: Connection
  private let position: Int

  init(_ connection: Connection, _ position: Int) {
    (self.connection, self.position) = (connection, position)
  }

  /// - Parameter options: the words of the command line, as JSON.
  func write(_ report: ReplayReport, by maker: ToolIdentity, options: String) throws {
    for input in report.inputs {
      try writeRecording(input, report, by: maker, options: options)
      try writeLosses(input)
    }
    try writeProfile(report)
    for vm in report.vms {
      try writeVM(vm)
      try writeParts(vm)
    }
    // What nothing tells is known at the end alone.
    try change("DELETE FROM memory", ofVMs: report.vms.filter { $0.memory.basis == nil })
    try change(
      "UPDATE faults SET mmio = NULL", ofVMs: report.vms.filter { $0.faults != nil && $0.faults?.mmio == nil }
    )
    try writeDivergences(report.divergences.items)
    try writeMarkers(report.memoryMarkers ?? [])
    let unknown = try Insertion(connection, into: "not_known", ["recording", "what", "count", "words"])
    for entry in report.notKnown ?? [] {
      try unknown.add(position)
      try unknown.add(entry.what.rawValue)
      try unknown.add(entry.count)
      try unknown.add(entry.words)
      try unknown.end()
    }
    for entry in report.notRecorded ?? [] {
      try unknown.add(position)
      try unknown.add("events")
      try unknown.add(entry.events.count)
      try unknown.add(entry.statement)
      try unknown.end()
    }
  }

  /// Changes what was written of some VMs.
  private func change(_ statement: String, ofVMs vms: [ReplayReport.VMEntry]) throws {
    if vms.isEmpty { return }
    let list = vms.map { String($0.id) }.joined(separator: ", ")
    try connection.run("\(statement) WHERE recording = \(position) AND vm IN (\(list))")
  }

  private func writeRecording(
    _ input: TraceInfo, _ report: ReplayReport, by maker: ToolIdentity, options: String
  ) throws {
    let recordings = try Insertion(
      connection, into: "recordings",
      [
        "recording", "path", "format", "kernel", "machine", "clock", "clock_unit", "page_size_bytes",
        "page_size_basis", "first_ns", "last_ns", "from_ns", "to_ns", "events", "part_events",
        "lost_events", "loss_count", "losses_unknown", "unattributed_faults", "divergences_unexplained",
        "divergences_explained",
        "divergences_unknown", "divergences_unchecked_why", "tool_version", "tool_commit", "options",
      ])
    try recordings.add(position)
    for text in [input.path, input.format, input.kernel, input.machine, input.clock] {
      try recordings.add(text)
    }
    try recordings.add(input.clockUnit ?? "ns")
    try recordings.add(input.pageSize)
    try recordings.add(input.pageSizeBasis?.word)
    for time in [input.firstNs, input.lastNs, input.window?.fromNs, input.window?.toNs] {
      try recordings.add(time)
    }
    try recordings.add(input.events)
    try recordings.add(input.window?.events)
    try recordings.add(input.isLossNumberKnown ? input.lostEvents : nil)
    try recordings.add(input.lossCount)
    try recordings.add(input.lossesUnknown ?? false)
    try recordings.add(report.unattributedFaults)
    try recordings.add(report.divergences.unexplained)
    try recordings.add(report.divergences.explained)
    try recordings.add(report.divergences.unknown)
    try recordings.add(report.divergences.uncheckedWhy)
    for text in [maker.version, maker.commit, options] { try recordings.add(text) }
    try recordings.end()

    let settings = try Insertion(connection, into: "settings", ["recording", "key", "value"])
    for (key, value) in (input.recording ?? [:]).sorted(by: { $0.key < $1.key }) {
      try settings.add(position)
      try settings.add(key)
      try settings.add(value)
      try settings.end()
    }
  }

  private func writeLosses(_ input: TraceInfo) throws {
    let losses = try Insertion(
      connection, into: "losses", ["recording", "cpu", "before_ns", "behind_last", "count"])
    for loss in input.losses {
      try losses.add(position)
      try losses.add(loss.cpu)
      try losses.add(loss.beforeNs)
      try losses.add(loss.behindLast ?? false)
      try losses.add(loss.count)
      try losses.end()
    }
    let damage = try Insertion(connection, into: "damage", ["recording", "offset_bytes", "cpu", "what"])
    for place in input.damage {
      try damage.add(position)
      try damage.add(place.offset)
      try damage.add(place.cpu)
      try damage.add(place.what)
      try damage.end()
    }
  }

  private func writeProfile(_ report: ReplayReport) throws {
    let profile = try Insertion(connection, into: "profile", ["recording", "field", "value", "basis"])
    try profile.add(position)
    try profile.add("name")
    try profile.add(report.profile.name)
    try profile.add(String?.none)
    try profile.end()
    for field in ProfileField.ID.allCases {
      guard let value = report.profile[field] else { continue }
      try profile.add(position)
      try profile.add(field.word)
      switch value {
      case .bool(let value): try profile.add(value)
      case .integer(let value): try profile.add(value)
      case .word(let value): try profile.add(value)
      }
      try profile.add(report.profileBasis[field]?.word)
      try profile.end()
    }
  }

  private func writeVM(_ vm: ReplayReport.VMEntry) throws {
    let vms = try Insertion(
      connection, into: "vms",
      [
        "recording", "vm", "pid", "protected", "ended_ns", "end_basis", "faults", "faults_basis",
        "faults_without_operation", "faults_of_unknown_outcome", "faults_without_operation_basis",
        "hypercalls",
        "hypercalls_basis", "mappings_live", "mappings_peak", "mapping_tree_bytes_live",
        "mapping_tree_bytes_peak", "pgd_pages", "table_pages_live", "table_pages_peak", "memcache_pages_live",
        "memcache_pages_peak", "total_bytes_live", "total_bytes_peak", "memory_basis", "mappings_basis",
        "mapping_tree_bytes_basis", "tables_basis",
      ])
    let memory = vm.memory
    try vms.add(position)
    try vms.add(vm.id)
    try vms.add(vm.pids.first)
    try vms.add(vm.protected ?? false)
    try vms.add(vm.endedNs)
    try vms.add(vm.endBasis?.word)
    try vms.add(vm.faults?.total)
    try vms.add(vm.faultsBasis?.word)
    for isUnknown in [false, true] {
      try vms.add(
        vm.faultsWithoutOperation?.reduce(0) { $0 + ($1.key.isUnknown == isUnknown ? $1.value : 0) })
    }
    try vms.add(vm.faultsWithoutOperationBasis?.word)
    try vms.add(vm.hypercallsTotal)
    try vms.add(vm.hypercallsBasis?.word)
    for count in [
      memory.mappings?.live, memory.mappings?.peak, memory.mappingTreeBytes?.live,
      memory.mappingTreeBytes?.peak, memory.pgdPages, memory.tablePages?.live, memory.tablePages?.peak,
      memory.memcachePages?.live, memory.memcachePages?.peak, memory.totalBytes?.live,
      memory.totalBytes?.peak,
    ] {
      try vms.add(count)
    }
    try vms.add(memory.basis?.word ?? "unknown")
    for basis in [memory.mappingsBasis, memory.mappingTreeBytesBasis, memory.tablesBasis] {
      try vms.add(basis?.word)
    }
    try vms.end()
  }

  /// Its vCPUs and slots, and the functions under its lock.
  private func writeParts(_ vm: ReplayReport.VMEntry) throws {
    let vcpus = try Insertion(connection, into: "vcpus", ["recording", "vm", "vcpu", "tid", "command"])
    for vcpu in vm.vcpus {
      for number in [position, vm.id, vcpu.index, Int(vcpu.tid)] { try vcpus.add(number) }
      try vcpus.add(vcpu.command)
      try vcpus.end()
    }
    let slots = try Insertion(
      connection, into: "slots",
      ["recording", "vm", "slot", "id", "gfn", "pages", "hva", "flags", "basis", "hva_basis"])
    for (number, slot) in vm.slots.enumerated() {
      for number in [position, vm.id, number] { try slots.add(number) }
      try slots.add(slot.id)
      try slots.add(slot.gfn)
      try slots.add(slot.pages)
      try slots.add(slot.hva)
      try slots.add(slot.flags)
      try slots.add(slot.basis.word)
      try slots.add(slot.offsetBasis?.word)
      try slots.end()
    }
    if let lock = vm.lock { try write(lock, ofVM: vm.id) }
  }

  private func write(_ lock: ReplayReport.LockEntry, ofVM vm: Int) throws {
    let operations = try Insertion(
      connection, into: "lock_operations",
      ["recording", "vm", "operation", "mode", "mode_basis", "calls", "held_ns"])
    func row(_ kind: OperationKind, _ mode: LockMode, _ basis: Basis, _ calls: Int?, _ held: UInt64?) throws {
      try operations.add(position)
      try operations.add(vm)
      for text in [kind.name, mode.word, basis.word] { try operations.add(text) }
      try operations.add(calls)
      try operations.add(held)
      try operations.end()
    }
    for kind in OperationKind.allCases {
      if let hold = lock.byOperation[kind] {
        try row(kind, hold.mode, hold.modeBasis, hold.count, hold.totalNs)
      } else if let calls = lock.untimed?[kind] {
        try row(kind, calls.mode, calls.modeBasis, calls.count, nil)
      }
    }
  }

  private func writeDivergences(_ items: [DivergencesEntry.Item]) throws {
    let divergences = try Insertion(
      connection, into: "divergences",
      [
        "recording", "rule", "verdict", "exception", "time_ns", "cpu", "tid", "vm", "ipa", "expected",
        "observed", "basis", "count",
      ])
    for item in items {
      try divergences.add(position)
      try divergences.add(item.rule.word)
      try divergences.add(item.verdict.word)
      try divergences.add(item.exception?.word)
      try divergences.add(item.timeNs)
      try divergences.add(item.cpu)
      try divergences.add(item.tid)
      try divergences.add(item.vm)
      try divergences.add(item.ipa)
      try divergences.add(item.expected)
      try divergences.add(item.observed)
      try divergences.add(item.basis.word)
      try divergences.add(item.count)
      try divergences.end()
    }
  }

  private func writeMarkers(_ entries: [MarkerEntry]) throws {
    let markers = try Insertion(
      connection, into: "markers",
      [
        "recording", "time_ns", "point", "figure", "pid", "since_first", "recorded", "modelled", "least",
        "most", "verdict", "reason", "basis",
      ])
    for marker in entries {
      let figures = marker.figures.isEmpty ? [nil] : marker.figures.map(Optional.some)
      for figure in figures {
        try markers.add(position)
        try markers.add(marker.timeNs)
        try markers.add(marker.point)
        try markers.add(figure?.figure.word)
        try markers.add(figure?.pid)
        try markers.add(figure?.sinceFirst)
        for count in [figure?.recorded, figure?.modelled, figure?.least, figure?.most] {
          try markers.add(count)
        }
        try markers.add(figure?.verdict.word)
        try markers.add(figure?.reason?.word)
        try markers.add(figure?.basis?.word)
        try markers.end()
      }
    }
  }
}
