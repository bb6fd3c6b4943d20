package import KVMTrace
package import KVMTypes

/// The VMs of a trace: which of them an event that names a `struct kvm` is about, and which of them are gone.
///
/// The kernel uses the address of a `struct kvm` again, and only a probe on `kvm_arch_destroy_vm` marks a VM's end. But
/// `kvm_set_memory_region` never creates a slot over another one or under a number in use, so a change that seems to
/// belongs to a new VM. Nor does one thread of a VMM often have two VMs at a time: unless probes tell when VMs begin and
/// end, its earlier ones are taken to be gone when it makes another, but for those whose vCPUs are in KVM_RUN then.
///
/// In a trace that begins while a VM runs, its vCPUs fault before any change of its slots: it is then the one whose slots
/// change first.
///
/// The roster says who is who. What a VM has, such as its memslots, those keep who ask.
package struct VMRoster: Sendable {
  /// Which VM it is, and what has become known of VMs with that.
  package struct Answer: Hashable, Sendable {
    /// The VM.
    package var vm: VMIndex
    /// Whether it appears with this event, or was there and gets its name.
    package var news = News.none
    /// The VMs that are gone by now, in the order in which that came out.
    package var retired: [VMIndex] = []

    /// What is new about a VM.
    package enum News: Hashable, Sendable {
      case none
      /// It was known by its vCPUs, and now by its address and creator.
      case named
      /// It was not known before.
      case appeared
    }
  }

  private struct VM: Sendable {
    /// The address of its `struct kvm`, nil while nothing told it.
    var kvm: KernelAddress?
    /// The thread that made the first change of its slots, which belongs to the VMM; nil while nothing told it.
    var creator: ThreadID?
    /// Whether it had slots, or ran, before the trace began.
    var wasRunning: Bool
    var isGone = false
  }

  private var vms: [VM] = []
  private var liveVMs = VMList()
  /// Of the live VMs, that at an address: a VM that comes to an address ends the one that had it.
  private var byKVM: [FrameKey: VMIndex] = [:]
  /// Of the live VMs, those whose slots a thread made, and those of which no event named address and thread.
  private var byCreator: [ThreadID: VMList] = [:]
  private var nameless = VMList()
  /// How many live VMs have no creator that is known.
  private var creatorless = 0
  /// Whether one thread made the slots of several live VMs. Asked for each notifier's event.
  private(set) var hasFellows = false
  /// Of the live VMs, those that no history tells of.
  private var unscheduled = VMList()
  /// The VMs that a probe on `kvm_arch_init_vm` told of, and none on `kvm_arch_destroy_vm`, with what they were created
  /// as.
  private var created: [KernelAddress: VMType] = [:]
  /// By position in the history of memslots, the VMs of it that have appeared.
  private var scheduled: [Int: VMIndex] = [:]

  /// No VMs.
  package init() {}

  // MARK: What is known

  /// How many VMs have appeared.
  package var count: Int { vms.count }

  /// The VMs that are not gone, in the order of appearance.
  @inline(__always)
  package var live: [VMIndex] { liveVMs.vms }

  /// The live VM whose `struct kvm` lies at an address.
  package func vm(at kvm: KernelAddress) -> VMIndex? { byKVM[FrameKey(kvm.rawValue)] }

  /// The first of the live VMs whose slots a thread made.
  func vm(createdBy thread: ThreadID) -> VMIndex? { byCreator[thread]?.vms.first }

  /// All of them.
  func vms(createdBy thread: ThreadID) -> [VMIndex] { byCreator[thread]?.vms ?? [] }

  /// Whether one thread made all live VMs, or of none of them it is known which thread did; there must be one.
  var isOfOneCreator: Bool { byCreator.count + (creatorless > 0 ? 1 : 0) == 1 }

  /// How many live VMs are known to share the address space of a live VM, itself among them: one thread made their slots, so one
  /// process has them.
  func fellows(of vm: VMIndex) -> Int { creator(of: vm).flatMap { byCreator[$0]?.vms.count } ?? 1 }

  /// The address of a VM's `struct kvm`.
  package func kvm(of vm: VMIndex) -> KernelAddress? { vms[vm.position].kvm }

  /// The thread that made a VM's slots.
  package func creator(of vm: VMIndex) -> ThreadID? { vms[vm.position].creator }

  /// Whether a VM had slots, or ran, before the trace began.
  package func wasRunning(_ vm: VMIndex) -> Bool { vms[vm.position].wasRunning }

  /// Whether no event concerns a VM any more.
  package func isGone(_ vm: VMIndex) -> Bool { vms[vm.position].isGone }

  /// What the VM at an address was created as, nil where no probe told of it or it has ended.
  package func type(of kvm: KernelAddress) -> VMType? { created[kvm] }

  /// The addresses of the VMs that probes told of, and what these were created as.
  package var types: [KernelAddress: VMType] { created }

  /// Whether a probe told of a VM's creation and none of its end.
  package func isKnownToLive(_ vm: VMIndex) -> Bool {
    vms[vm.position].kvm.map { created[$0] != nil } ?? false
  }

  // MARK: Events

  /// A probe on `kvm_arch_init_vm`: a VM of `type` is created at `kvm`. It has no number before its first slot.
  ///
  /// - Returns: the VM that had the address before, and is gone.
  package mutating func initVM(_ kvm: KernelAddress, _ type: VMType) -> VMIndex? {
    let earlier = vm(at: kvm)
    if let earlier { retire(earlier) }
    created[kvm] = type
    return earlier
  }

  /// A probe on `kvm_arch_destroy_vm`.
  ///
  /// - Returns: the VM that is gone, nil where it never appeared.
  package mutating func destroyVM(_ kvm: KernelAddress) -> VMIndex? {
    created[kvm] = nil
    let gone = vm(at: kvm)
    if let gone { retire(gone) }
    return gone
  }

  /// A probe tells that the slots of the VM at `kvm` changed, or were asked to.
  ///
  /// - Parameters:
  ///   - thread: the thread of the event.
  ///   - isContradicted: whether the change cannot be one of the slots that `vm(at: kvm)` has.
  ///   - running: VMs of the thread of which a vCPU is in KVM_RUN: that holds the VM, so it is not gone.
  package mutating func setMemoryRegion(
    of kvm: KernelAddress, _ change: MemslotChange, by thread: ThreadID, isContradicted: Bool,
    running: [VMIndex] = []
  ) -> Answer {
    var retired: [VMIndex] = []
    if let known = vm(at: kvm) {
      guard isContradicted else { return Answer(vm: known) }
      retire(known)
      retired.append(known)
    }
    if let nameless = nameless.vms.last(where: { unscheduled.vms.contains($0) }) {
      name(nameless, kvm, thread)
      return Answer(vm: nameless, news: .named, retired: retired)
    }
    if change == .create { retired += retire(vmsOf: thread, except: running) }
    let vm = append(VM(kvm: kvm, creator: thread, wasRunning: change != .create))
    return Answer(vm: vm, news: .appeared, retired: retired)
  }

  /// A history of memslots has a change for its VM at `position`, which is as `life` says.
  ///
  /// - Parameters:
  ///   - isNew: whether the VM, if it appears with that, is created then, and was not there before the trace
  ///     began: who creates a VM may be done with earlier ones, but several may have been there from the beginning.
  ///   - running: VMs of the creator of which a vCPU is in KVM_RUN.
  mutating func setMemoryRegion(
    scheduled position: Int, _ life: MemslotHistory.VM, isNew: Bool = true, running: [VMIndex] = []
  ) -> Answer {
    if let known = scheduled[position] { return Answer(vm: known) }
    var answer = Answer(vm: VMIndex(0))
    if let known = life.kvm.flatMap({ vm(at: $0) }) {
      retire(known)
      answer.retired.append(known)
    }
    if life.tids == nil, let other = unscheduled.last {
      name(other, life.kvm, life.creator)
      unscheduled.remove(other)
      (answer.vm, answer.news) = (other, .named)
    } else {
      if isNew, let creator = life.creator { answer.retired += retire(vmsOf: creator, except: running) }
      answer.vm = append(
        VM(kvm: life.kvm, creator: life.creator, wasRunning: life.isPartial), isScheduled: true)
      answer.news = .appeared
    }
    scheduled[position] = answer.vm
    return answer
  }

  /// A vCPU faults that is of no VM that is there: one runs whose slots no event has told of.
  package mutating func runWithoutSlots() -> VMIndex { append(VM(wasRunning: true)) }

  /// A history of memslots says that its VM at `position` is gone.
  ///
  /// - Returns: the VM, nil where it never appeared or was gone before.
  mutating func end(scheduled position: Int) -> VMIndex? {
    guard let vm = scheduled[position], !vms[vm.position].isGone else { return nil }
    retire(vm)
    return vm
  }

  // MARK: Changes

  private mutating func append(_ vm: VM, isScheduled: Bool = false) -> VMIndex {
    let index = VMIndex(vms.count)
    vms.append(vm)
    liveVMs.insert(index)
    if !isScheduled { unscheduled.insert(index) }
    enlist(index)
    return index
  }

  /// An event tells a live VM's address and creator, or a history does as far as it knows them.
  private mutating func name(_ vm: VMIndex, _ kvm: KernelAddress?, _ creator: ThreadID?) {
    delist(vm)
    (vms[vm.position].kvm, vms[vm.position].creator) = (kvm, creator)
    enlist(vm)
  }

  private mutating func retire(_ vm: VMIndex) {
    assert(!isGone(vm), "a VM goes once")
    vms[vm.position].isGone = true
    liveVMs.remove(vm)
    unscheduled.remove(vm)
    delist(vm)
  }

  /// Where probes tell of the ends of VMs, nothing is taken for one.
  private mutating func retire(vmsOf creator: ThreadID, except running: [VMIndex] = []) -> [VMIndex] {
    let gone = vms(createdBy: creator).filter { !isKnownToLive($0) && !running.contains($0) }
    for vm in gone { retire(vm) }
    return gone
  }

  /// Makes a live VM to be found by what is known of it.
  private mutating func enlist(_ vm: VMIndex) {
    if let kvm = vms[vm.position].kvm {
      assert(self.vm(at: kvm) == nil, "one live VM has an address")
      byKVM[FrameKey(kvm.rawValue)] = vm
    } else {
      nameless.insert(vm)
    }
    if let creator = vms[vm.position].creator {
      byCreator[creator, default: VMList()].insert(vm)
      if fellows(of: vm) > 1 { hasFellows = true }
    } else {
      creatorless += 1
    }
  }

  private mutating func delist(_ vm: VMIndex) {
    if let kvm = vms[vm.position].kvm { byKVM[FrameKey(kvm.rawValue)] = nil } else { nameless.remove(vm) }
    if let creator = vms[vm.position].creator {
      byCreator[creator]?.remove(vm)
      if byCreator[creator]?.isEmpty == true { byCreator[creator] = nil }
      if hasFellows { hasFellows = byCreator.values.contains { $0.vms.count > 1 } }
    } else {
      creatorless -= 1
    }
  }
}
