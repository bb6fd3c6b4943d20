// What stands beside the codes of rules and exceptions, in a few words.

extension DivergenceRule {
  /// What breaks the rule, in a few words.
  public var title: String {
    switch self {
    case .translationStopsAtInvalidEntry: "translation fault where the walk does not stop"
    case .permissionNeedsLeaf: "permission fault without a leaf"
    case .permissionImpliesAccessFlag: "permission fault on an old leaf"
    case .accessFlagNeedsLeaf: "access flag fault without a leaf"
    case .accessFaultFollowsGuestFault: "kvm_access_fault apart from its fault"
    case .accessFaultNeedsNewAge: "access flag fault without an age"
    case .leafLiesInSlot: "mapping outside memslots"
    case .mmioLiesOutsideSlots: "kvm_mmio inside a memslot"
    case .notifierCoversPages: "unmap of a part of a page"
    case .ageNeedsLeaf: "access flag fault without an aged leaf"
    case .writableLeafStaysWritable: "write fault on a writable leaf"
    case .leafIsReadable: "read fault for want of a right"
    case .grantedRightStays: "fault for a right just granted"
    case .protectedMappingStays: "second fault of a protected guest"
    case .tableNeedsMapping: "fault below a table that maps nothing"
    case .blockNeedsSlot: "block that its memslot cannot hold"
    case .ownUnmapStopsFault: "map in spite of an own unmap"
    case .exitMatchesFault: "kvm_guest_fault without its kvm_exit"
    case .syndromeIsConsistent: "syndrome that contradicts itself"
    case .addressHasPageGranularity: "fault address off 4 KiB"
    case .failureLeavesTable: "failed fault that mapped"
    case .guestMemfdMapsPages: "block of guest_memfd"
    case .blockHasPossibleSize: "block of an impossible size"
    case .accountingMatches: "host's counters off the model"
    case .hypercallsMatch: "calls of EL2 off the model"
    case .entryAndExitAlternate: "kvm_entry and kvm_exit out of order"
    case .abortHasGuestFault: "abort without kvm_guest_fault"
    case .faultsMakeProgress: "vCPU without progress"
    }
  }
}

extension DivergenceException {
  /// The exception in a few words.
  public var title: String {
    switch self {
    case .staleTLB: "stale TLB"
    case .race: "a race"
    case .breakBeforeMake: "break-before-make"
    case .hardwareAccessFlag: "hardware access flag"
    case .spuriousFault: "spurious fault"
    case .lostEvents: "lost events"
    case .begunMidLife: "tracing begun mid-life"
    case .untracedChange: "an untraced change"
    case .failedMap: "a failed map"
    case .failedHypercall: "a failed hypercall"
    case .syntheticFault: "a fault made up"
    case .hostReadOnly: "a page the host may only read"
    case .emulatedDevice: "an emulated device"
    case .pendingNotifier: "a notifier under way"
    case .sharedAddressSpace: "a shared address space"
    case .hostMemoryManagement: "the host's memory management"
    case .threadChange: "another thread"
    case .pinnedMemory: "pinned memory"
    case .notRecorded: "events not recorded"
    case .abortGivenBack: "an abort given back"
    case .unorderedClock: "a clock that does not order CPUs"
    }
  }
}
