internal import KVMTrace
package import KVMTypes
package import Stage2Model

/// How the figures of a replay are known: as the weakest of what they rest on. Every report and every track asks here.
///
/// Under another kernel, operations of accesses are as certain as the accesses; that kernel's answer follows.
package struct Certainty {
  private let vms: [VMResult]
  private let isOtherKernel: Bool
  private let isWholeTraceAttributed: Bool
  /// Whether faults of one VM may be those of another.
  private let mayMixVMs: Bool
  private let profile: ReplayProfile
  private let events: RecordedEvents

  /// Of a whole replay, or of one of its VMs.
  package init(_ result: ReplayResult, of vm: VMResult? = nil) {
    vms = vm.map { [$0] } ?? result.vms
    isOtherKernel = result.isOtherKernel
    isWholeTraceAttributed = result.unattributedFaults == 0
    mayMixVMs = vm != nil && result.guessesVCPUs
    profile = result.profile
    events = result.events
  }

  private static func basis(_ isCertain: Bool, _ certain: Basis = .derived) -> Basis {
    isCertain ? certain : .assumed
  }

  /// Of which VMs there are.
  package var slots: Basis { Self.basis(Self.areVMsSure(of: vms.map { $0.slots.map(\.basis) })) }

  /// Whether events told of each VM: of all of its slots. There must be one.
  ///
  /// - Parameter slots: how each VM's slots are known.
  package static func areVMsSure(of slots: [[Basis]]) -> Bool {
    !slots.isEmpty && slots.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0 <= .derived } }
  }

  /// Of the number of faults: recorded, or what the accesses take under another kernel.
  package var faults: Basis {
    isOtherKernel
      ? Self.basis(areAccessesCertain && areRightsCertain)
      : Self.basis(isWholeTraceAttributed && !mayMixVMs, .recorded)
  }

  /// Of the number of calls of one function.
  package func operations(_ kind: OperationKind) -> Basis {
    guard tells(kind) else { return .assumed }
    return switch kind {
    case .map where isOtherKernel, .mkyoung where isOtherKernel: Self.basis(areAccessesCertain)
    case .relaxPerms where isOtherKernel: Self.basis(areAccessesCertain && areRightsCertain)
    case .map, .relaxPerms, .mkyoung: Self.basis(isDecided(kind) && areOutcomesCertain)
    case .unmap, .wrprotect, .testClearYoung, .flush, .split: Self.basis(isDecided(kind))
    }
  }

  /// Of what all operations together come to.
  package var allOperations: Basis { OperationKind.allCases.map { operations($0) }.max() ?? .derived }

  /// Whether the trace tells what is mapped at all: without faults, or slots for them, or any VM, it does not.
  package var tellsTables: Bool { !vms.isEmpty && vms.allSatisfy(\.isTableKnown) }

  /// Whether the trace tells of all calls of a function: of those that notifiers lead to, not without the notifiers.
  package func tells(_ kind: OperationKind) -> Bool {
    !vms.isEmpty && vms.allSatisfy { Self.tells(kind, of: $0, events) }
  }

  /// Whether a trace of these events tells of all calls of a function for a VM.
  static func tells(_ kind: OperationKind, of vm: VMResult, _ events: RecordedEvents) -> Bool {
    vm.isTableKnown && events.missing.isDisjoint(with: kind.notifiers)
  }

  /// Whether the trace tells of all hypercalls of a kind; the traditional path makes none, whatever was recorded.
  package func tells(_ call: Hypercall) -> Bool {
    !profile.isPKVM
      || tellsTables && events.missing.isDisjoint(with: call.operations.flatMap(\.notifiers))
  }

  /// Whether the trace tells of all hypercalls.
  package var tellsHypercalls: Bool { !profile.isPKVM || OperationKind.allCases.allSatisfy { tells($0) } }

  /// Of any table at all: of the path, the page size, and what was there before.
  private var state: Basis { vms.map(\.tableBasis).max() ?? .derived }

  /// Of hypercalls: the kernel makes one for each mapping, and what a profile states instead is an assumption about it.
  package var hypercalls: Basis {
    let isBatchOfKernel = isOtherKernel || profile.profile.hypercallBatch == 1
    return isBatchOfKernel ? max(allOperations, state) : .assumed
  }

  /// Of what searches in the tree of mappings visit.
  package var work: Basis { max(allOperations, state) }

  /// Of mappings, which access flags, rights and the size of an IPA do not change.
  package var mappings: Basis {
    [OperationKind.map, .unmap, .wrprotect, .split].map { operations($0) }.reduce(state, max)
  }

  /// Of the bytes of mappings: what the host's slab takes for one is of its configuration.
  package var mappingTreeBytes: Basis {
    profile.isPKVM ? max(mappings, isKnown(.bytesPerNode)) : mappings
  }

  /// Of tables, the PGD and the pages that wait for tables: how many levels there are follows from the size of an IPA.
  package var tables: Basis { max(mappings, isKnown(.ipaBits)) }

  /// Of what EL2 has: the sizes of its structures are those of one build of the kernel, and no event tells of vCPUs that never faulted.
  package var hyp: Basis { profile.isPKVM ? .assumed : tables }

  /// Of all bytes.
  package var totalBytes: Basis { [tables, mappingTreeBytes, hyp].max() ?? tables }

  /// Of the faults that led to no operation: they are what those leave that did.
  package var faultsWithoutOperation: Basis {
    Self.basis(areOutcomesCertain && [.map, .relaxPerms, .mkyoung].allSatisfy(isDecided))
  }

  /// Of the pages that faults show in use.
  package var touched: Basis {
    isOtherKernel ? Self.basis(areAccessesCertain) : max(operations(.map), operations(.mkyoung))
  }

  /// Of what a field of the profile decides.
  private func isKnown(_ field: ProfileField.ID) -> Basis {
    Self.basis((profile.basis[field] ?? .assumed) <= .derived)
  }

  private func isDecided(_ kind: OperationKind) -> Bool {
    vms.allSatisfy { ($0.operations[kind]?.assumed ?? 0) == 0 }
  }

  private var areOutcomesCertain: Bool {
    isWholeTraceAttributed && vms.allSatisfy { $0.doubts.outcomes == 0 }
  }

  private var areAccessesCertain: Bool {
    areOutcomesCertain && vms.allSatisfy { $0.doubts.accesses == 0 }
  }

  private var areRightsCertain: Bool { vms.allSatisfy { $0.doubts.rights == 0 } }
}

extension OperationKind {
  /// The events of the MMU notifiers that lead to calls of the function.
  fileprivate var notifiers: [EventKind] {
    switch self {
    case .unmap: [.unmapHVARange]
    case .testClearYoung: [.ageHVA, .testAgeHVA]
    case .map, .relaxPerms, .mkyoung, .wrprotect, .flush, .split: []
    }
  }
}

extension Hypercall {
  /// The functions of the kinds that notifiers lead to which make it.
  fileprivate var operations: [OperationKind] {
    switch self {
    case .hostUnshareGuest, .forceReclaimGuestPage: [.unmap]
    case .hostTestClearYoungGuest, .tlbFlushVMID: [.testClearYoung]
    default: []
    }
  }
}
