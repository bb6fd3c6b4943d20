package import KVMTypes
internal import Stage2Model

/// How the figures of a replay are known: as the weakest of what they rest on.
///
/// Under another kernel, operations of accesses are as certain as the accesses; that kernel's answer follows.
package struct Certainty {
  private let vms: [VMResult]
  private let isOtherKernel: Bool
  private let isWholeTraceAttributed: Bool
  private let isIPASizeKnown: Bool

  /// Of a whole replay, or of one of its VMs.
  package init(_ result: ReplayResult, of vm: VMResult? = nil) {
    vms = vm.map { [$0] } ?? result.vms
    isOtherKernel = result.isOtherKernel
    isWholeTraceAttributed = result.unattributedFaults == 0
    isIPASizeKnown = (result.profile.basis[.ipaBits] ?? .assumed) <= .derived
  }

  private static func basis(_ isCertain: Bool, _ certain: Basis = .derived) -> Basis {
    isCertain ? certain : .assumed
  }

  /// Of which VMs there are.
  package var slots: Basis {
    Self.basis(
      !vms.isEmpty && vms.allSatisfy { !$0.slots.isEmpty && $0.slots.allSatisfy { $0.basis <= .derived } })
  }

  /// Of the number of faults: recorded, or what the accesses take under another kernel.
  package var faults: Basis {
    isOtherKernel
      ? Self.basis(areAccessesCertain && areRightsCertain) : Self.basis(isWholeTraceAttributed, .recorded)
  }

  /// Of the number of calls of one function.
  package func operations(_ kind: OperationKind) -> Basis {
    switch kind {
    case .map where isOtherKernel, .mkyoung where isOtherKernel: Self.basis(areAccessesCertain)
    case .relaxPerms where isOtherKernel: Self.basis(areAccessesCertain && areRightsCertain)
    case .map, .relaxPerms, .mkyoung: Self.basis(isDecided(kind) && areOutcomesCertain)
    case .unmap, .wrprotect, .testClearYoung, .flush, .split: Self.basis(isDecided(kind))
    }
  }

  /// Of what all operations together come to.
  package var allOperations: Basis { OperationKind.allCases.map { operations($0) }.max() ?? .derived }

  /// Whether the trace tells what is mapped at all: without faults, or slots for them, it does not.
  package var tellsTables: Bool { vms.allSatisfy(\.isTableKnown) }

  /// Of which tables there are: of the path, the page size, and what was there before.
  private var tables: Basis { vms.map(\.tableBasis).max() ?? .derived }

  /// Of hypercalls.
  package var hypercalls: Basis { max(allOperations, tables) }

  /// Of the faults that led to no operation: of all those that did not lead to one.
  package var faultsWithoutOperation: Basis {
    [OperationKind.map, .relaxPerms, .mkyoung].map { operations($0) }.reduce(.derived, max)
  }

  /// Of mappings and their tree, which access flags and rights do not change.
  package var mappings: Basis {
    [OperationKind.map, .unmap, .wrprotect, .split].map { operations($0) }.reduce(tables, max)
  }

  /// Of tables, of the PGD, and of the pages that are kept ready for them, and so of all bytes: the size of an IPA says at which level a
  /// walk begins.
  package var memory: Basis { isIPASizeKnown ? mappings : .assumed }

  /// Of the pages that faults show in use.
  package var touched: Basis {
    isOtherKernel ? Self.basis(areAccessesCertain) : max(operations(.map), operations(.mkyoung))
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
