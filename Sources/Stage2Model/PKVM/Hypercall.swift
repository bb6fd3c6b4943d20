/// The calls from the host into pKVM's EL2 that concern stage 2. Each is one HVC round trip.
@frozen
public enum Hypercall: UInt8, Hashable, Sendable, CaseIterable {
  /// `__pkvm_host_share_guest`: maps host pages into a non-protected guest.
  case hostShareGuest
  /// `__pkvm_host_unshare_guest`: takes them back.
  case hostUnshareGuest
  /// `__pkvm_host_relax_perms_guest`: adds rights.
  case hostRelaxPermsGuest
  /// `__pkvm_host_wrprotect_guest`: takes the right to write.
  case hostWrprotectGuest
  /// `__pkvm_host_test_clear_young_guest`: reads and clears the access flag.
  case hostTestClearYoungGuest
  /// `__pkvm_host_mkyoung_guest`: sets the access flag.
  case hostMkyoungGuest
  /// `__pkvm_host_donate_guest`: gives a page to a protected guest.
  case hostDonateGuest
  /// `__pkvm_vcpu_in_poison_fault`: whether a protected guest touched a page taken from it by force.
  case vcpuInPoisonFault
  /// `__pkvm_reclaim_dying_guest_page`: takes a page back from a protected guest that is torn down.
  case reclaimDyingGuestPage
  /// `__pkvm_force_reclaim_guest_page`: takes a page back from a living one, which finds it poisoned.
  case forceReclaimGuestPage
  /// `__pkvm_tlb_flush_vmid`: invalidates everything of the VM.
  case tlbFlushVMID
  /// `__pkvm_reserve_vm`: a handle for a VM to be.
  case reserveVM
  /// `__pkvm_unreserve_vm`: gives back the handle of a VM that never ran.
  case unreserveVM
  /// `__pkvm_init_vm`: creates the VM at EL2.
  case initVM
  /// `__pkvm_init_vcpu`: creates a vCPU at EL2.
  case initVCPU
  /// `__pkvm_vcpu_load`: makes a vCPU the one that this CPU's hypercalls act on.
  case vcpuLoad
  /// `__pkvm_vcpu_put`: ends that.
  case vcpuPut
  /// `__pkvm_start_teardown_vm`: no vCPU can be loaded any more.
  case startTeardownVM
  /// `__pkvm_finalize_teardown_vm`: frees the VM at EL2.
  case finalizeTeardownVM
  /// `__pkvm_teardown_vm`: both in one, before protected guests had memory.
  case teardownVM

  /// The kernel's name without its prefix, as reports use it.
  public var name: String {
    switch self {
    case .hostShareGuest: "share_guest"
    case .hostUnshareGuest: "unshare_guest"
    case .hostRelaxPermsGuest: "relax_perms_guest"
    case .hostWrprotectGuest: "wrprotect_guest"
    case .hostTestClearYoungGuest: "test_clear_young_guest"
    case .hostMkyoungGuest: "mkyoung_guest"
    case .hostDonateGuest: "donate_guest"
    case .vcpuInPoisonFault: "vcpu_in_poison_fault"
    case .reclaimDyingGuestPage: "reclaim_dying_guest_page"
    case .forceReclaimGuestPage: "force_reclaim_guest_page"
    case .tlbFlushVMID: "tlb_flush_vmid"
    case .reserveVM: "reserve_vm"
    case .unreserveVM: "unreserve_vm"
    case .initVM: "init_vm"
    case .initVCPU: "init_vcpu"
    case .vcpuLoad: "vcpu_load"
    case .vcpuPut: "vcpu_put"
    case .startTeardownVM: "start_teardown_vm"
    case .finalizeTeardownVM: "finalize_teardown_vm"
    case .teardownVM: "teardown_vm"
    }
  }

  /// The locks that the handler takes, in the order in which they nest; not all are held at once. The host lock is one
  /// for the whole machine: share and unshare of *all* VMs serialise on it. A refill of the memory cache
  /// (`refillsMemcache`) takes `host` and `hypPGD` for each page, before these.
  public var locks: [HypLock] {
    switch self {
    case .hostShareGuest, .hostDonateGuest: [.host, .guest]
    case .hostUnshareGuest: [.vmTable, .host, .guest]
    case .hostRelaxPermsGuest, .hostMkyoungGuest, .vcpuInPoisonFault: [.guest]
    case .hostWrprotectGuest, .hostTestClearYoungGuest: [.vmTable, .guest]
    case .reclaimDyingGuestPage, .forceReclaimGuestPage: [.vmTable, .host, .guest]
    case .tlbFlushVMID, .reserveVM, .unreserveVM, .vcpuLoad, .vcpuPut, .startTeardownVM: [.vmTable]
    // What the host gives and gets back changes hands under the host's lock and EL2's own.
    case .initVCPU: [.vmTable, .host, .hypPGD]
    case .initVM, .finalizeTeardownVM, .teardownVM: [.vmTable, .host, .hypPGD, .guest]
    }
  }

  /// Whether the handler acts on the vCPU that is loaded on the calling CPU, and returns -EINVAL without
  /// one. The others name a VM by its handle.
  public var actsOnLoadedVCPU: Bool {
    switch self {
    case .hostShareGuest, .hostDonateGuest, .hostRelaxPermsGuest, .hostMkyoungGuest, .vcpuInPoisonFault: true
    default: false
    }
  }

  /// Whether it is part of a VM's beginning: what makes the VM and its vCPUs known to EL2.
  public var isOfCreation: Bool { self == .reserveVM || self == .initVM || self == .initVCPU }

  /// Whether the handler first moves pages from the host's memory cache to EL2's.
  public var refillsMemcache: Bool { self == .hostShareGuest || self == .hostDonateGuest }
}

/// The locks of EL2, in the order in which they nest.
@frozen
public enum HypLock: UInt8, Hashable, Sendable, CaseIterable {
  /// `vm_table_lock`: handles, references, life cycle.
  case vmTable
  /// `host_mmu.lock`: the host's stage 2 and the state of all host pages.
  case host
  /// `pkvm_pgd_lock`: EL2's own stage 1.
  case hypPGD
  /// `pkvm_hyp_vm::lock`: one guest's stage 2.
  case guest
}

/// How often each hypercall was made.
@frozen
public struct HypercallCounts: Hashable, Sendable {
  @usableFromInline var counts: [20 of Int] = .init(repeating: 0)
  /// All calls.
  public private(set) var total = 0

  /// None yet.
  public init() {}

  /// The calls of `hypercall`.
  @inlinable
  public subscript(hypercall: Hypercall) -> Int { counts[Int(hypercall.rawValue)] }

  /// One call more.
  @inline(__always)
  package mutating func count(_ hypercall: Hypercall) {
    counts[Int(hypercall.rawValue)] &+= 1
    total &+= 1
  }

  /// Whether every count is the same.
  public static func == (a: HypercallCounts, b: HypercallCounts) -> Bool {
    Hypercall.allCases.allSatisfy { a[$0] == b[$0] }
  }

  /// Every count enters the hash.
  public func hash(into hasher: inout Hasher) {
    for index in counts.indices { hasher.combine(counts[index]) }
  }
}
