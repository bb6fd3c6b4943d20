internal import KVMTypes

// Whose vCPU a thread runs. No event of a vCPU names its VM.

extension VMRegister {
  /// The VM whose vCPU a thread runs, as far as anything tells: the one that the first pass settled on; else a VM whose slots hold
  /// the address that it touches; else any. Nil where no VM is there.
  func owner(ofThread tid: ThreadID, touching gfn: GFN? = nil, _ evidence: VCPUEvidence) -> VMIndex? {
    if let settled = settledOwner(ofThread: tid, evidence) { return settled }
    if let gfn, let likely = likelyOwner(ofThread: tid, where: { self[$0].slots.table.slot(gfn) != nil }) {
      return likely
    }
    return likelyOwner(ofThread: tid) { _ in true }
  }

  /// The VM that the first pass settled on, if it is there.
  func settledOwner(ofThread tid: ThreadID, _ evidence: VCPUEvidence) -> VMIndex? {
    for settled in evidence.vms(of: tid) {
      guard let vm = roster.vm(at: settled.kvm) else { continue }
      let isKnownBefore = settled.wasRunning && self[vm].identity.wasRunning
      if isKnownBefore || self[vm].identity.since == settled.since { return vm }
    }
    return nil
  }

  /// Of the live VMs that satisfy a condition, that of the thread's own process, as far as numbers tell: a VMM creates
  /// its vCPUs' threads after itself, so it is the nearest creator below; else the youngest VM.
  private func likelyOwner(ofThread tid: ThreadID, where condition: (VMIndex) -> Bool) -> VMIndex? {
    var nearest: (vm: VMIndex, creator: ThreadID)?
    var youngest: VMIndex?
    for vm in live where condition(vm) {
      if let tids = self[vm].identity.tids {
        if tids.contains(tid) { return vm }
        continue
      }
      youngest = vm
      if let creator = creator(of: vm), creator <= tid, nearest.map({ $0.creator <= creator }) ?? true {
        nearest = (vm, creator)
      }
    }
    return nearest?.vm ?? youngest
  }
}
