internal import KVMTrace
internal import KVMTypes

/// Which VM's vCPU a thread runs, where several VMs are there at once: from a first pass over the whole trace.
///
/// No event of a vCPU names its VM. But some give it away:
///
/// - a part that was cut out of a recording says what the recording as a whole tells (`ThreadsMarker`);
/// - the thread made the VM's slots itself;
/// - a fault's thread waits for the VM's lock, which is the first field of `struct kvm`;
/// - a fault's thread unmaps the very page that its VM has at the address (a copy-on-write);
/// - faults that lie where a VM has no memory, without being device accesses, or are device accesses where it has
///   memory: a VM for which clearly more faults are like that than for another is not the one;
/// - a thread that again and again is given pages that a VM's vCPUs already have is of another VM (`PageRivalry`);
/// - a thread that was given no name of its own has that of its process.
///
/// What is left is a guess (`VCPUSettlement`): a VMM creates the threads of its vCPUs after itself, so the nearest creator
/// below is taken.
///
/// Memory: one entry for each VM and thread; while a thread's VM is open one for each VM that it may be, and a bounded
/// table of pages.
struct VCPUEvidence {
  /// A VM, which the address of its `struct kvm` does not identify by itself: it is used again.
  struct VM {
    let kvm: KernelAddress
    /// The moment of its first commit.
    let since: Nanoseconds
    /// Whether it was there before the trace began, and so before its first commit.
    let wasRunning: Bool
    fileprivate let creator: ThreadID
    fileprivate var slots: MemslotTable
    /// The threads that are settled on it.
    fileprivate var vcpus: [ThreadIndex] = []
  }

  private struct Thread {
    let tid: ThreadID
    /// Whether it faulted while there were several VMs.
    var isOfVCPU = false
    /// The VM that was settled on.
    var vm: VMIndex?
    var candidates = VCPUCandidates()
    /// Whether the open fault counts.
    var isInFault = false
  }

  private var roster = VMRoster()
  /// By `VMIndex`.
  private var vms: [VM] = []
  /// By `ThreadIndex`.
  private var threads: [Thread] = []
  private var settled: [ThreadID: [VMIndex]] = [:]
  /// By markers alone.
  private var told: [ThreadID: [VMIndex]] = [:]
  private var rivalry = PageRivalry()
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
  func vms(of tid: ThreadID) -> [VM] { (settled[tid] ?? []).map { vms[$0.position] } }

  /// The VMs whose first slots an event tells of, with the threads that were settled on each.
  var settledVMs: [(vm: VM, threads: [ThreadID])] {
    var threads = Array(repeating: [ThreadID](), count: vms.count)
    for (tid, vms) in settled { for vm in Set(vms) { threads[vm.position].append(tid) } }
    return zip(vms, threads).map { ($0, $1.sorted()) }
  }

  /// Grows with what is found.
  private(set) var revision = 0

  /// Whether events other than those of VMs' lives tell anything: with one VM at a time there is nothing to find out.
  @inline(__always)
  var isAsked: Bool { roster.live.count >= 2 }

  /// An event, and the windows of faults as they are before it begins one.
  @inline(__always)
  mutating func consume(_ record: TraceRecord, _ windows: FaultWindows) {
    if !isAsked, !record.kind.isLifeProbe { return }
    consumeAmongSeveral(record, windows)
  }

  private mutating func consumeAmongSeveral(_ record: TraceRecord, _ windows: FaultWindows) {
    switch record.kind {
    case .commitMemoryRegion: commit(record)
    case .initVM: _ = roster.initVM(record.vmCreation.kvm, record.vmCreation.type)
    case .destroyVM: _ = roster.destroyVM(record.destroyedVM)
    case .guestFault:
      guard let thread = windows.thread else { return }
      while threads.count <= thread.position {
        threads.append(Thread(tid: windows[ThreadIndex(threads.count)].tid))
      }
      begin(record.guestFault, thread)
    case .contentionBegin:
      guard let thread = inFault(windows.thread) else { return }
      let owner = threads[thread.position].candidates.list.first {
        roster.kvm(of: $0.vm) == record.contendedLock
      }
      if let owner { settle(thread, on: owner.vm) }
    case .unmapHVARange:
      take(record.hvaRange)
      guard let thread = inFault(windows.thread) else { return }
      let gfn = windows[thread].fault.ipa.gfn(pageSize)
      let owners = threads[thread.position].candidates.list.filter { candidate in
        guard let hva = vms[candidate.vm.position].slots.slot(gfn)?.hva(of: gfn, pageSize) else {
          return false
        }
        return record.hvaRange.contains(hva)
      }
      if owners.count == 1 { settle(thread, on: owners[0].vm) }
    default: break
    }
  }

  /// A marker behind the first change of a VM's slots, by the thread of the change, names the threads that run its vCPUs.
  mutating func note(vcpus threads: [ThreadID], by creator: ThreadID) {
    guard let vm = roster.live.last(where: { vms[$0.position].creator == creator }) else { return }
    for tid in threads where told[tid]?.contains(vm) != true {
      told[tid, default: []].append(vm)
      if settled[tid]?.contains(vm) != true { settled[tid, default: []].append(vm) }
    }
    revision += 1
  }

  /// Settles what is still open. Must be the last call.
  mutating func finish() {
    let open = threads.indices.filter { threads[$0].isOfVCPU && threads[$0].vm == nil }.map {
      VCPUSettlement.Thread(
        index: ThreadIndex($0), tid: threads[$0].tid, candidates: threads[$0].candidates)
    }
    if open.isEmpty { return }
    let creators = vms.map(\.creator)
    var settlement = VCPUSettlement(
      open, rivals: rivalry.rivals, settled: { threads[$0.position].vm },
      creator: { creators[$0.position] }, command: command)
    while let (thread, vm) = settlement.next() {
      if let vm {
        settle(thread, on: vm)
      } else {
        threads[thread.position].isOfVCPU = false
      }
    }
  }

  // MARK: Faults

  /// Whether a thread's open fault counts.
  @inline(__always)
  func isInFault(_ thread: ThreadIndex) -> Bool {
    thread.position < threads.count && threads[thread.position].isInFault
  }

  /// The thread, if its open fault counts.
  private func inFault(_ thread: ThreadIndex?) -> ThreadIndex? {
    thread.flatMap { isInFault($0) ? $0 : nil }
  }

  private mutating func begin(_ fault: GuestFault, _ thread: ThreadIndex) {
    let tid = threads[thread.position].tid
    // What there is beyond all addresses, no VM has.
    let counts = fault.ipa.rawValue < IPA.limit
    if !threads[thread.position].isOfVCPU { revision += 1 }
    threads[thread.position].isOfVCPU = true
    if let vm = threads[thread.position].vm {
      if !roster.isGone(vm) {
        threads[thread.position].isInFault = counts
        return
      }
      vms[vm.position].vcpus.removeAll { $0 == thread }
      threads[thread.position] = Thread(tid: tid, isOfVCPU: true)
    }
    let told = told[tid]?.last { !roster.isGone($0) }
    if let own = told ?? roster.live.last(where: { vms[$0.position].creator == tid }) {
      settle(thread, on: own)
      return
    }
    if threads[thread.position].candidates.list.isEmpty {
      threads[thread.position].candidates.list = roster.live.map { VCPUCandidates.Candidate(vm: $0) }
    }
    // A VM that is gone was not the one, unless the thread does nothing more.
    if threads[thread.position].candidates.list.contains(where: { !roster.isGone($0.vm) }) {
      threads[thread.position].candidates.list.removeAll { roster.isGone($0.vm) }
    }
    threads[thread.position].isInFault = counts
  }

  /// The window of a thread's fault, which counts, ended.
  mutating func close(_ window: FaultWindows.Window, _ thread: ThreadIndex) {
    assert(isInFault(thread))
    threads[thread.position].isInFault = false
    let esr = window.fault.esr
    let gfn = window.fault.ipa.gfn(pageSize)
    if esr.faultKind == .translation, !window.sawMMIO { rivalry.give(gfn, to: thread) }
    if threads[thread.position].vm != nil { return }
    threads[thread.position].candidates.faults += 1
    for index in threads[thread.position].candidates.list.indices {
      let vm = vms[threads[thread.position].candidates.list[index].vm.position]
      let slot = vm.slots.slot(gfn)
      // Of a VM that was there before the trace began, some slots may be known later or never.
      if slot == nil, vm.wasRunning { continue }
      let isMemory = slot.map { !(esr.isWrite && $0.flags.contains(.readOnly)) } ?? false
      if isMemory == window.sawMMIO { threads[thread.position].candidates.list[index].contradictions += 1 }
    }
    if threads[thread.position].candidates.faults == Self.faultsEnough {
      let likely = likely(thread)
      if likely.count == 1 { settle(thread, on: likely[0]) }
    }
  }

  /// The VMs that an open thread's vCPU may be of.
  private func likely(_ thread: ThreadIndex) -> [VMIndex] {
    var candidates = threads[thread.position].candidates
    for candidate in candidates.list {
      let rivals = vms[candidate.vm.position].vcpus.reduce(0) { $0 + rivalry.count(thread, $1) }
      candidates.contradict(candidate.vm, by: rivals)
    }
    return candidates.likely(
      threads[thread.position].tid, creator: { vms[$0.position].creator }, command: command)
  }

  private mutating func settle(_ thread: ThreadIndex, on vm: VMIndex) {
    let tid = threads[thread.position].tid
    revision += 1
    if let earlier = threads[thread.position].vm { vms[earlier.position].vcpus.removeAll { $0 == thread } }
    vms[vm.position].vcpus.append(thread)
    threads[thread.position] = Thread(tid: tid, isOfVCPU: true, vm: vm)
    if settled[tid]?.contains(vm) != true { settled[tid, default: []].append(vm) }
  }

  // MARK: VMs

  /// Whose memory a range of host addresses is, nobody says: it is taken from all VMs that have it.
  private mutating func take(_ range: HVARange) {
    for vm in roster.live { vms[vm.position].slots.overlaps(range).forEach { rivalry.take($0) } }
  }

  private mutating func commit(_ record: TraceRecord) {
    let commit = record.memslotCommit
    guard let update = MemslotUpdate(commit, pageSize) else { return }
    let isContradicted = roster.vm(at: commit.kvm).map { update.contradicts(vms[$0.position].slots) } ?? false
    let answer = roster.setMemoryRegion(
      of: commit.kvm, update.change, by: record.tid, isContradicted: isContradicted)
    if answer.news == .appeared {
      vms.append(
        VM(
          kvm: commit.kvm, since: record.time, wasRunning: roster.wasRunning(answer.vm), creator: record.tid,
          slots: MemslotTable(pageSize: pageSize)))
    }
    revision += 1
    rivalry.takeAll()
    if let base = update.oldBase { _ = vms[answer.vm.position].slots.remove(base: base) }
    if let slot = update.slot { vms[answer.vm.position].slots.insert(slot) }
  }
}
