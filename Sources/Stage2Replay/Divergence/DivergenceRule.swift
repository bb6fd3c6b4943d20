/// What a trace of KVM's stage 2 must satisfy, rule by rule.
///
/// A rule says which events are possible given the state of the table before them. An event that breaks one shows that
/// the model is wrong about the table, that the trace lacks something, or that the hardware or the kernel did what they
/// must not do.
public enum DivergenceRule: String, Hashable, Sendable, CaseIterable {
  /// A translation fault at level L: the walk of the address stops at level L.
  case translationStopsAtInvalidEntry = "D1"
  /// A permission fault at level L: a leaf of level L maps the address.
  case permissionNeedsLeaf = "D2"
  /// A permission fault: the leaf's access flag was set, for an access flag fault would come first.
  case permissionImpliesAccessFlag = "D3"
  /// An access flag fault at level L: a leaf of level L maps the address, and the CPU does not set the flag itself.
  case accessFlagNeedsLeaf = "D4"
  /// kvm_access_fault and kvm_guest_fault of an access flag fault come together, with one address.
  case accessFaultFollowsGuestFault = "D5"
  /// An access flag fault on a leaf that a fault made young: it was aged in between.
  case accessFaultNeedsNewAge = "D6"
  /// What is mapped lies in a slot and inside the address space.
  case leafLiesInSlot = "D7"
  /// kvm_mmio of a fault: no slot holds the address, or it is a write to one that is read-only.
  case mmioLiesOutsideSlots = "D8"
  /// kvm_unmap_hva_range covers whole pages.
  case notifierCoversPages = "D9"
  /// An access flag fault on a leaf: something aged it while it was there.
  case ageNeedsLeaf = "D10"
  /// A write permission fault on a leaf that was mapped writable: its right was taken away.
  case writableLeafStaysWritable = "D11"
  /// No read fails for want of a right.
  case leafIsReadable = "D12"
  /// A right that a fault was granted is not missing again on the same vCPU.
  case grantedRightStays = "D13"
  /// What a protected guest has mapped stays mapped.
  case protectedMappingStays = "D14"
  /// A translation fault below level L: a table of that level exists, so something near is mapped.
  case tableNeedsMapping = "D15"
  /// A block lies in a slot that can hold it.
  case blockNeedsSlot = "D16"
  /// A fault in which its own thread unmapped memory of the VM maps and relaxes nothing.
  case ownUnmapStopsFault = "D17"
  /// kvm_guest_fault follows a kvm_exit of its thread that was a trap of the same exception class.
  case exitMatchesFault = "D18"
  /// The syndrome of a fault does not contradict itself.
  case syndromeIsConsistent = "D19"
  /// The address of kvm_guest_fault is a multiple of 4 KiB.
  case addressHasPageGranularity = "D20"
  /// A fault with which KVM_RUN fails leaves the table as it was.
  case failureLeavesTable = "D21"
  /// A slot of guest_memfd has pages only.
  case guestMemfdMapsPages = "D22"
  /// No block is larger than the path can map.
  case blockHasPossibleSize = "D23"
  /// The host's counters of page table memory, mapping objects and huge pages, where markers in the trace tell them,
  /// change as the tables do, and KVM's counters of exits as the events.
  case accountingMatches = "D24"
  /// EL2 is called as often as the operations need it.
  case hypercallsMatch = "D25"
  /// kvm_entry and kvm_exit of a thread alternate, and what KVM does about an exit comes between exit and entry.
  case entryAndExitAlternate = "O1"
  /// A trap on an abort of the guest is followed by kvm_guest_fault.
  case abortHasGuestFault = "O2"
  /// A vCPU does not fault over and over on what is mapped for it.
  case faultsMakeProgress = "L1"

  /// The rule's name in reports.
  public var id: String { rawValue }

  /// The rule in one sentence.
  public var statement: String {
    switch self {
    case .translationStopsAtInvalidEntry: "a translation fault at level L needs a walk that stops at level L"
    case .permissionNeedsLeaf: "a permission fault at level L needs a leaf of level L"
    case .permissionImpliesAccessFlag: "a permission fault needs a leaf whose access flag is set"
    case .accessFlagNeedsLeaf:
      "an access flag fault at level L needs a leaf of level L and no hardware access flag"
    case .accessFaultFollowsGuestFault:
      "kvm_access_fault and the kvm_guest_fault of an access flag fault come together"
    case .accessFaultNeedsNewAge: "a second access flag fault on a leaf needs an age in between"
    case .leafLiesInSlot: "what is mapped lies in a memslot, below 2^(IPA bits)"
    case .mmioLiesOutsideSlots:
      "kvm_mmio needs an address outside all memslots, or a write to a read-only one"
    case .notifierCoversPages: "kvm_unmap_hva_range begins and ends at a page"
    case .ageNeedsLeaf: "an access flag fault needs a leaf that was there when it was aged"
    case .writableLeafStaysWritable: "a write permission fault needs a leaf that is not writable"
    case .leafIsReadable: "no read faults for want of a right"
    case .grantedRightStays: "a right that a vCPU was granted is not missing again"
    case .protectedMappingStays: "a protected guest takes one translation fault for each page, and no other"
    case .tableNeedsMapping:
      "a translation fault below level L needs something mapped by the table of that level"
    case .blockNeedsSlot: "a block needs a memslot that holds it, with congruent addresses"
    case .ownUnmapStopsFault:
      "a fault during which its thread unmapped the page, other than in reclaim, maps nothing"
    case .exitMatchesFault: "kvm_guest_fault needs a kvm_exit by a trap of its exception class right before"
    case .syndromeIsConsistent: "a syndrome does not contradict itself"
    case .addressHasPageGranularity: "kvm_guest_fault reports multiples of 4 KiB"
    case .failureLeavesTable: "a fault with which KVM_RUN fails maps nothing"
    case .guestMemfdMapsPages: "a slot of guest_memfd has no blocks"
    case .blockHasPossibleSize:
      "no block is larger than a level-2 one under pKVM, than the granule allows elsewhere"
    case .accountingMatches:
      "where markers tell them, SecPageTables, mapping objects and huge pages change as the tables do, and exits and "
        + "device accesses are those of the trace"
    case .hypercallsMatch: "EL2 is called as often as the operations need it"
    case .entryAndExitAlternate: "kvm_entry and kvm_exit of a thread alternate, its faults come in between"
    case .abortHasGuestFault: "a kvm_exit by an abort of the guest is followed by kvm_guest_fault"
    case .faultsMakeProgress: "a vCPU does not fault over and over on what is mapped for it"
    }
  }

  /// Why a trace cannot show that the rule is broken, nil for a rule that is checked.
  public var reasonNotChecked: String? {
    switch self {
    case .hypercallsMatch: "no event at EL1 shows a hypercall"
    default: nil
    }
  }
}
