internal import KVMTrace
internal import KVMTypes

/// Which VM's vCPU a thread runs, where several VMs are there at once: from a first pass over the whole trace.
///
/// No event of a vCPU names its VM. But some give it away:
///
/// - the thread made the VM's slots itself;
/// - a fault's thread waits for the VM's lock, which is the first field of `struct kvm`;
/// - a fault's thread unmaps the very page that its VM has at the address (a copy-on-write);
/// - faults that lie where a VM has no memory, without being device accesses, or are device accesses where it has
///   memory: a VM for which clearly more faults are like that than for another is not the one;
/// - a thread that again and again is given pages that a VM's vCPUs already have is of another VM (`PageRivalry`);
/// - a thread that was given no name of its own has that of its process.
///
/// What is left is a guess: a VMM creates the threads of its vCPUs after itself, so the nearest creator below is taken.
///
/// Memory: one entry for each VM and thread, while a thread's VM is open one for each VM that it may be, and a bounded
/// table of pages.
struct VCPUEvidence {
  /// A VM, which the address of its `struct kvm` does not identify by itself: it is used again.
  struct VM {
    var kvm: KernelAddress
    /// The moment of its first commit.
    var since: Nanoseconds
    fileprivate var creator: ThreadID
    fileprivate var slots: MemslotTable
    fileprivate var isGone = false
  }

  private struct Candidate {
    var vm: Int
    var contradictions = 0
  }

  private struct Thread {
    /// The VM that was settled on.
    var vm: Int?
    var candidates: [Candidate] = []
    /// Faults that the candidates were held against.
    var faults = 0
    /// The fault whose window is open.
    var fault: (gfn: GFN, isWrite: Bool, isTranslation: Bool, isMMIO: Bool)?
  }

  private var vms: [VM] = []
  private var live: [Int] = []
  /// The VMs whose creation a probe told, and no end.
  private var knownToLive: Set<KernelAddress> = []
  private var threads: [ThreadID: Thread] = [:]
  private var settled: [ThreadID: [Int]] = [:]
  private var rivalry = PageRivalry()
  private var frames: [FrameRange] = []
  private let pageSize: PageSize
  private let command: (ThreadID) -> String?
  /// A thread is settled after so many faults, if only one VM fits.
  private static let faultsEnough = 1024

  /// - Parameter command: the name of a thread, where the trace has it.
  init(pageSize: PageSize, command: @escaping (ThreadID) -> String?) {
    self.pageSize = pageSize
    self.command = command
  }

  /// The VMs whose vCPUs the thread ran, in the order of time, as far as the question came up.
  func vms(of tid: ThreadID) -> [VM] { (settled[tid] ?? []).map { vms[$0] } }

  @inline(__always)
  mutating func consume(_ record: TraceRecord) {
    // With one VM at a time there is nothing to find out.
    if live.count < 2, !record.kind.isLifeProbe { return }
    consumeAmongSeveral(record)
  }

  private mutating func consumeAmongSeveral(_ record: TraceRecord) {
    switch record.kind {
    case .commitMemoryRegion: commit(record)
    case .initVM: knownToLive.insert(record.vmCreation.kvm)
    case .destroyVM:
      knownToLive.remove(record.destroyedVM)
      if let gone = live.last(where: { vms[$0].kvm == record.destroyedVM }) { retire(gone) }
    case .guestFault: begin(record)
    case .mmio, .mmioNISV: threads[record.tid]?.fault?.isMMIO = true
    case .entry, .userspaceExit: end(record.tid)
    case .contentionBegin:
      guard let thread = threads[record.tid], thread.fault != nil else { return }
      let owner = thread.candidates.first { vms[$0.vm].kvm == record.contendedLock }
      if let owner { settle(record.tid, on: owner.vm) }
    case .unmapHVARange:
      take(record.hvaRange)
      guard let thread = threads[record.tid], let fault = thread.fault else { return }
      let owners = thread.candidates.filter { candidate in
        guard let slot = vms[candidate.vm].slots.slot(fault.gfn), let start = slot.hva else { return false }
        let hva = start + ((fault.gfn - slot.base) << pageSize.shift)
        return record.hvaRange.start <= hva && hva < record.hvaRange.end
      }
      if owners.count == 1 { settle(record.tid, on: owners[0].vm) }
    default: break
    }
  }

  /// Settles what is still open. Must be the last call.
  mutating func finish() {
    // A thread that is settled tells something of the others.
    while let tid = open().first(where: { likely($0).count == 1 }) ?? open().first {
      guard let nearest = likely(tid).max(by: { vms[$0].creator < vms[$1].creator }) else {
        threads[tid] = nil
        continue
      }
      settle(tid, on: nearest)
    }
  }

  private func open() -> [ThreadID] {
    threads.filter { $0.value.vm == nil }.keys.sorted()
  }

  // MARK: Faults

  private mutating func begin(_ record: TraceRecord) {
    let tid = record.tid
    // Where kvm_entry is missing, the fault before ends here.
    end(tid)
    var thread = threads[tid] ?? Thread()
    defer { threads[tid] = thread }
    if let vm = thread.vm {
      if !vms[vm].isGone {
        thread.fault = pending(record)
        return
      }
      thread = Thread()
    }
    if let own = live.last(where: { vms[$0].creator == tid }) {
      thread = Thread(vm: own)
      settled[tid, default: []].append(own)
      return
    }
    if thread.candidates.isEmpty { thread.candidates = live.map { Candidate(vm: $0) } }
    // A VM that is gone was not the one, unless the thread does nothing more.
    if thread.candidates.contains(where: { !vms[$0.vm].isGone }) {
      thread.candidates.removeAll { vms[$0.vm].isGone }
    }
    thread.fault = pending(record)
  }

  private func pending(_ record: TraceRecord) -> (gfn: GFN, isWrite: Bool, isTranslation: Bool, isMMIO: Bool)?
  {
    let fault = record.guestFault
    guard fault.ipa.rawValue < IPA.limit else { return nil }
    return (fault.ipa.gfn(pageSize), fault.esr.isWrite, fault.esr.faultKind == .translation, false)
  }

  private mutating func end(_ tid: ThreadID) {
    guard let fault = threads[tid]?.fault else { return }
    threads[tid]!.fault = nil
    if fault.isTranslation, !fault.isMMIO { rivalry.give(fault.gfn, to: tid) }
    if threads[tid]!.vm != nil { return }
    threads[tid]!.faults += 1
    for index in threads[tid]!.candidates.indices {
      let slot = vms[threads[tid]!.candidates[index].vm].slots.slot(fault.gfn)
      let isMemory = slot.map { !(fault.isWrite && $0.flags.contains(.readOnly)) } ?? false
      if isMemory == fault.isMMIO { threads[tid]!.candidates[index].contradictions += 1 }
    }
    if threads[tid]!.faults == Self.faultsEnough {
      let likely = likely(tid)
      if likely.count == 1 { settle(tid, on: likely[0]) }
    }
  }

  /// The VMs that an open thread's vCPU may be of: those that clearly less contradicts than the others.
  private func likely(_ tid: ThreadID) -> [Int] {
    guard let thread = threads[tid] else { return [] }
    let contradictions = thread.candidates.map { candidate in
      let vcpus = threads.lazy.filter { $0.value.vm == candidate.vm }
      return candidate.contradictions + vcpus.reduce(0) { $0 + rivalry.count(tid, $1.key) }
    }
    // Slots that come and go under the vCPUs' hands contradict the right VM, too, now and then.
    let most = 2 * (contradictions.min() ?? 0) + thread.faults / 16
    let likely = zip(thread.candidates, contradictions)
      .filter { $0.1 <= most && vms[$0.0.vm].creator <= tid }
      .map(\.0.vm)
    guard let name = command(tid) else { return likely }
    let namesakes = likely.filter { command(vms[$0].creator) == name }
    return namesakes.isEmpty ? likely : namesakes
  }

  private mutating func settle(_ tid: ThreadID, on vm: Int) {
    threads[tid] = Thread(vm: vm)
    settled[tid, default: []].append(vm)
  }

  // MARK: VMs

  /// Whose memory a range of host addresses is, nobody says: it is taken from all VMs that have it.
  private mutating func take(_ range: HVARange) {
    frames.removeAll(keepingCapacity: true)
    for vm in live { vms[vm].slots.appendOverlaps(range, to: &frames) }
    for overlap in frames { rivalry.take(overlap) }
  }

  /// As `Replayer` does, which see.
  private mutating func commit(_ record: TraceRecord) {
    let commit = record.memslotCommit
    guard let update = MemslotUpdate(commit, pageSize) else { return }
    var vm = live.last { vms[$0].kvm == commit.kvm }
    if let known = vm, update.contradicts(vms[known].slots) {
      retire(known)
      vm = nil
    }
    if vm == nil {
      for other in live where vms[other].creator == record.tid && !knownToLive.contains(vms[other].kvm) {
        retire(other)
      }
      vm = vms.count
      vms.append(
        VM(kvm: commit.kvm, since: record.time, creator: record.tid, slots: MemslotTable(pageSize: pageSize)))
      live.append(vms.count - 1)
    }
    guard let vm else { return }
    rivalry.takeAll()
    if let base = update.oldBase { _ = vms[vm].slots.remove(base: base) }
    if let slot = update.slot { vms[vm].slots.insert(slot) }
  }

  private mutating func retire(_ vm: Int) {
    vms[vm].isGone = true
    live.removeAll { $0 == vm }
  }
}
