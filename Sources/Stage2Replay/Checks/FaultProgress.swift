internal import KVMTypes

/// L1: faults of one vCPU, one after the other, on the same page for the same reason.
///
/// The kernel lets a guest fault again in two cases: memory of the VM is being unmapped (`mmu_invalidate_retry`), or
/// another vCPU is changing the entry. Neither is bounded in number, but both leave their mark in the window. A fault
/// without such a mark performed its operation, and the next one on the page contradicts the model; or the operation
/// takes something for another vCPU's mapping, and does so for ever.
struct FaultProgress: Hashable {
  /// How many faults in a row that contradict the model prove that the vCPU makes no progress. One alone may be a walk
  /// that the CPU made before the mapping was there, which the architecture permits; then the walk is made anew. So the
  /// second one shows that what KVM maps has no effect, and the third that mapping it again does not help.
  static let contradictionsMax = 3
  /// How many retries in a row are worth telling though each is accounted for: more than twice as many as occur where
  /// vCPUs fault under a storm of unmaps.
  static let retriesMax = 32

  private var page = IPA(0)
  private var kind = FaultKind.other
  private var isWrite = false
  private var isExec = false
  private var contradictions = 0
  private var retries = 0

  /// A run of faults that is over, and how it is judged.
  struct Run: Hashable {
    var judgement: Judgement
    var faults: Int
    var page: IPA
  }

  /// Takes in a fault that has been judged. Returns the run before it if that ends here and led nowhere.
  ///
  /// - Parameters:
  ///   - contradicts: the fault broke a rule without anything to account for it, or its operation said that another vCPU
  ///     was faster where there was none.
  ///   - isRetried: it came to nothing, and faulted again.
  mutating func note(
    _ page: IPA, _ kind: FaultKind, isWrite: Bool, isExec: Bool, contradicts: Bool, isRetried: Bool
  ) -> Run? {
    let isSame =
      page == self.page && kind == self.kind && isWrite == self.isWrite && isExec == self.isExec
      && (contradicts || isRetried)
    let ended = isSame ? nil : end()
    if !isSame {
      (self.page, self.kind, self.isWrite, self.isExec) = (page, kind, isWrite, isExec)
    }
    if contradicts { contradictions += 1 }
    if isRetried { retries += 1 }
    return ended
  }

  /// Nothing follows.
  mutating func end() -> Run? {
    defer { (contradictions, retries) = (0, 0) }
    if contradictions >= Self.contradictionsMax {
      return Run(judgement: .unexplained(.faultsMakeProgress), faults: contradictions, page: page)
    }
    if retries >= Self.retriesMax {
      return Run(judgement: .explained(.faultsMakeProgress, .race), faults: retries, page: page)
    }
    return nil
  }
}
