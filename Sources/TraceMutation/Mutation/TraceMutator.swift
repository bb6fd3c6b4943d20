internal import KVMTrace
internal import KVMTypes
internal import SeededRandom

/// Changes a recording at random places. The same seed makes the same change.
package struct TraceMutator {
  let subject: MutationSubject
  var random: SplitMix64

  package init(_ subject: MutationSubject, seed: UInt64) {
    self.subject = subject
    random = SplitMix64(seed: seed)
  }

  /// A change of this kind, nil where the recording gives no occasion for one.
  package mutating func mutation(_ kind: MutationKind) -> Mutation? {
    for _ in 0..<50 {
      let found: (edit: TraceEdit, summary: String, witness: Witness)? =
        switch kind {
        case .dropFaultEvent: dropFaultEvent()
        case .dropFaultWindow: dropFaultWindow()
        case .changeLevel: changeLevel()
        case .shiftPage: shift(by: subject.execution.pageSize.bytes)
        case .shiftBlock: shift(by: subject.execution.pageSize.pmdBytes)
        case .forgePermissionWithRight: forge(.permission, onMapped: true)
        case .forgePermissionUnmapped: forge(.permission, onMapped: false)
        case .forgeTranslation: forge(.translation, onMapped: true)
        case .swapThreadEvents: swapThreadEvents()
        case .swapFaults: swapFaults()
        case .dropAge: drop(.ageHVA)
        case .dropUnmap: drop(.unmapHVARange)
        case .dropAccessFaultEvent: dropAccessFaultEvent()
        case .duplicateEvent: duplicateEvent()
        }
      if let found {
        return Mutation(kind: kind, edit: found.edit, summary: found.summary, witness: found.witness)
      }
    }
    return nil
  }

  typealias Found = (edit: TraceEdit, summary: String, witness: Witness)

  // MARK: Choosing

  mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

  mutating func randomFault() -> (vm: Int, index: Int, fault: ObservedFault)? {
    guard !subject.faults.isEmpty else { return nil }
    let (vm, index) = subject.faults[below(subject.faults.count)]
    return (vm, index, subject.execution.vms[vm].faults[index])
  }

  /// A record of one of these kinds, by its place in the trace.
  mutating func randomRecord(_ isWanted: (TraceRecord) -> Bool) -> Int? {
    let records = subject.trace.records
    // Most kinds are frequent; a rare one is found by looking through all.
    for _ in 0..<64 {
      let index = below(records.count)
      if isWanted(records[index]) { return index }
    }
    let all = records.indices.filter { isWanted(records[$0]) }
    return all.isEmpty ? nil : all[below(all.count)]
  }

  func describe(_ fault: ObservedFault) -> String {
    let esr = fault.fault.esr
    let level = esr.level.map { "\($0.rawValue)" } ?? "-"
    return "\(esr.faultKind) fault, level \(level), at \(String(fault.fault.ipa.rawValue, radix: 16))"
  }

  // MARK: Witnesses

  /// The execution with some changes of one VM replaced, and some faults.
  func witness(
    vm: Int, without removed: Set<Int> = [], replacing replaced: [Int: TableChange] = [:],
    faults: [ObservedFault]? = nil, removedUnmaps: Set<Position> = []
  ) -> Witness {
    let original = subject.execution.vms[vm]
    let changes = original.changes.enumerated().map { removed.contains($0) ? nil : replaced[$0] ?? $1 }
    return .execution(
      VMExecution(vm: vm, changes: changes, faults: faults ?? original.faults, removedUnmaps: removedUnmaps))
  }

  /// The VM's faults with one of them replaced, or without it.
  func faults(_ vm: Int, replacing index: Int, by fault: ObservedFault?) -> [ObservedFault] {
    var faults = subject.execution.vms[vm].faults
    if let fault { faults[index] = fault } else { faults.remove(at: index) }
    return faults
  }
}
