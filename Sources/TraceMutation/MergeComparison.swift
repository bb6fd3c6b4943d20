internal import KVMTrace
internal import KVMTypes
internal import Stage2Model
package import Stage2Replay

/// What recordings give together, against what each gives alone.
package struct MergeComparison {
  /// How many operations were compared.
  package private(set) var operations = 0
  /// How many VMs were.
  package private(set) var vms = 0
  /// What differs, in words; the first few of each VM.
  package private(set) var differences: [String] = []

  /// Merges `traces`, replays them together and each part alone under the same profile, and compares every VM.
  package init(_ traces: [MemoryTrace], threads: TraceMerger.Threads, options: ReplayOptions) throws {
    let merger = TraceMerger(traces, threads: threads)
    let parts = traces.enumerated().map { merger.part($1, number: $0) }
    let merged = merger.merge(parts)
    // What a trace shows of its host, it shows of all VMs.
    let profile = try Replay.run(over: merged, profile: ProfileRequest(), options: options).result.profile
    var request = ProfileRequest()
    request.profile = profile.profile

    let together = try Self.replay(merged, request, options)
    for (number, part) in parts.enumerated() {
      let alone = try Self.replay(part, request, options)
      let members = together.result.vms.indices.filter { vm in
        let vm = together.result.vms[vm]
        return (vm.creator ?? vm.vcpus.first).map { merger.part(of: $0) == number } ?? false
      }
      guard members.count == alone.result.vms.count else {
        differences.append("part \(number): \(members.count) VMs instead of \(alone.result.vms.count)")
        continue
      }
      for (vm, member) in members.enumerated() {
        vms += 1
        operations += alone.operations[vm].count
        compare(alone.result.vms[vm], together.result.vms[member], "part \(number), VM \(vm)")
        compare(alone.operations[vm], together.operations[member], "part \(number), VM \(vm)")
      }
    }
  }

  private typealias Replayed = (result: ReplayResult, operations: [[Stage2Operation]])

  private static func replay(
    _ trace: MemoryTrace, _ request: ProfileRequest, _ options: ReplayOptions
  ) throws -> Replayed {
    var operations: [[Stage2Operation]] = []
    let result = try Replay.run(over: trace, profile: request, options: options) { operation in
      while operations.count <= operation.vm { operations.append([]) }
      var operation = operation
      if namesNoProcess(operation.kind) { operation.basis = .assumed }
      let vm = operation.vm
      operation.vm = 0
      operations[vm].append(operation)
    }.result
    while operations.count < result.vms.count { operations.append([]) }
    return (result, operations)
  }

  /// A notifier's event does not name its process: what follows from it is less certain where there are others.
  private static func namesNoProcess(_ kind: OperationKind) -> Bool {
    kind == .unmap || kind == .testClearYoung
  }

  private func counts(_ operations: [OperationKind: OperationCounts]) -> [OperationKind: OperationCounts] {
    var counts = operations
    for (kind, count) in operations where Self.namesNoProcess(kind) {
      counts[kind]!.derived = 0
      counts[kind]!.assumed = count.derived + count.assumed
    }
    return counts
  }

  private mutating func compare(_ alone: VMResult, _ together: VMResult, _ what: String) {
    func check(_ field: String, _ a: some Equatable, _ b: some Equatable) {
      func areEqual<Value: Equatable>(_ a: Value, _ b: some Equatable) -> Bool { a == b as? Value }
      if !areEqual(a, b) { differences.append("\(what): \(field) is \(b) instead of \(a)") }
    }
    check("vcpus", alone.vcpus, together.vcpus)
    check("creator", alone.creator, together.creator)
    check("slots", alone.slots, together.slots)
    check("faults", alone.faults, together.faults)
    check("operations", counts(alone.operations), counts(together.operations))
    check("faultsWithoutOperation", alone.faultsWithoutOperation, together.faultsWithoutOperation)
    check("hypercalls", alone.hypercalls, together.hypercalls)
    check("memory", alone.memory.counts, together.memory.counts)
    check("treeDepth.maximum", alone.treeDepth?.maximum, together.treeDepth?.maximum)
    check("treeDepth.mean", alone.treeDepth?.mean, together.treeDepth?.mean)
  }

  private mutating func compare(_ alone: [Stage2Operation], _ together: [Stage2Operation], _ what: String) {
    if alone.count != together.count {
      differences.append("\(what): \(together.count) operations instead of \(alone.count)")
    }
    for (a, b) in zip(alone, together).filter({ $0 != $1 }).prefix(3) {
      differences.append("\(what): \(b) instead of \(a)")
    }
  }
}

extension MemoryAccounting {
  fileprivate var counts: [LiveCount] {
    [
      totalBytes, allPages, tables, secPageTables, mappings, pageMappings, blockMappings, spareMappings,
      lostMappings,
    ]
      + PageUse.allCases.map { pages($0) }
  }
}
