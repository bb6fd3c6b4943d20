/// Why an event may break a rule without anything being wrong.
public enum DivergenceException: String, Hashable, Sendable, CaseIterable {
  /// A TLB holds a leaf as it was: relax_perms invalidates the local CPU alone, aging none.
  case staleTLB = "E1"
  /// Another vCPU, or an unmap, changed the table between the vCPU's entry and the event.
  case race = "E2"
  /// A mapping was being replaced by one of another size.
  case breakBeforeMake = "E3"
  /// The CPU sets access flags without telling.
  case hardwareAccessFlag = "E4"
  /// The architecture lets a CPU report a fault of a walk that it made before.
  case spuriousFault = "E5"
  /// Events were lost.
  case lostEvents = "E6"
  /// Tracing began when the VM had been running.
  case begunMidLife = "E7"
  /// A change that no event shows: of a slot, of dirty logging, of guest_memfd, a mapping of the kernel's own.
  case untracedChange = "E8"
  /// A map that failed.
  case failedMap = "E9"
  /// The host's tree and EL2 went apart after an error of a share or unshare.
  case failedHypercall = "E10"
  /// A fault that EL2 made up, or one of a nested guest.
  case syntheticFault = "E11"
  /// The host had the page for reading only, as the zero page.
  case hostReadOnly = "E12"
  /// A device that KVM emulates.
  case emulatedDevice = "E13"
  /// The event of an unmap or an age comes before its effect.
  case pendingNotifier = "E14"
  /// Several VMs share an address space, and each emits the event.
  case sharedAddressSpace = "E15"
  /// The host moved memory on its own account.
  case hostMemoryManagement = "E16"
  /// Another thread runs the vCPU now.
  case threadChange = "E17"
  /// The host's memory of a protected guest is pinned: an unmap has no effect.
  case pinnedMemory = "E18"
  /// The trace does not record a kind of event that would tell.
  case notRecorded = "E19"
  /// KVM gave an abort to the guest or to the VMM before it told of the fault.
  case abortGivenBack = "E20"
  /// The clock does not order the events of different CPUs: its ticks are longer than a fault takes.
  case unorderedClock = "E21"

  /// The exception's name in reports.
  public var id: String { rawValue }

  /// The rules that an event may break for it, as far as `treatment` tells them; nil for any. None where it is seen to before a rule is
  /// asked, and where it explains nothing.
  package var rules: Set<DivergenceRule>? {
    switch self {
    case .race, .breakBeforeMake, .lostEvents, .begunMidLife, .pendingNotifier, .notRecorded, .unorderedClock:
      nil
    case .staleTLB: [.permissionImpliesAccessFlag, .writableLeafStaysWritable, .grantedRightStays]
    case .hardwareAccessFlag:
      [.permissionImpliesAccessFlag, .accessFlagNeedsLeaf, .accessFaultNeedsNewAge, .ageNeedsLeaf]
    case .untracedChange:
      [
        .translationStopsAtInvalidEntry, .mmioLiesOutsideSlots, .writableLeafStaysWritable,
        .protectedMappingStays, .tableNeedsMapping,
      ]
    case .failedHypercall: [.translationStopsAtInvalidEntry, .permissionNeedsLeaf]
    case .hostReadOnly: [.writableLeafStaysWritable]
    case .abortGivenBack: [.abortHasGuestFault]
    case .spuriousFault, .failedMap, .syntheticFault, .emulatedDevice, .sharedAddressSpace,
      .hostMemoryManagement, .threadChange, .pinnedMemory:
      []
    }
  }

  /// How a replay makes sure that the exception leads to no unexplained divergence.
  public var treatment: String {
    switch self {
    case .staleTLB: "explains D3, and D11 and D13 after a relax_perms on another CPU"
    case .race: "explains what changed between the vCPU's kvm_entry and the end of its fault's window"
    case .breakBeforeMake: "explains faults in a region that changes between pages and a block"
    case .hardwareAccessFlag: "explains D3 and D4; D6 and D10 are not checked"
    case .spuriousFault: "explains nothing: such a fault cannot be told from a wrong model, and is rare"
    case .lostEvents: "makes all tables unknown from the gap on, until faults show them again"
    case .begunMidLife: "makes a VM's table unknown until faults show it"
    case .untracedChange:
      "explains D8 and D1 around a slot's removal, D11 under dirty logging, D14 where the host took the page, D15 where the kernel may map something itself"
    case .failedMap: "a fault with which KVM_RUN fails is replayed as one that maps nothing"
    case .failedHypercall: "leaves a warning in the host's log and no event; it shows as D1 or D2"
    case .syntheticFault:
      "the level of a fault for MEM_SHARE of a protected guest is not looked at; faults of nested guests are counted and not replayed"
    case .hostReadOnly: "explains D11 on a page that a read mapped"
    case .emulatedDevice: "faults outside all slots are held against tables alone"
    case .pendingNotifier:
      "explains what an unmap or an age changes between its event and the next of its thread"
    case .sharedAddressSpace: "the copies of an event count once"
    case .hostMemoryManagement: "an unmap needs no reason"
    case .threadChange: "a vCPU is known by its thread"
    case .pinnedMemory: "an unmap does nothing to a protected guest"
    case .notRecorded: "makes unknown what rests on events that were not recorded"
    case .abortGivenBack:
      "explains O2 where the vCPU goes on elsewhere, as at its vector, or KVM_RUN ends with the abort"
    case .unorderedClock: "makes unknown what rests on the order of events, and all operations assumed"
    }
  }

  /// The exception in one phrase.
  public var statement: String {
    switch self {
    case .staleTLB: "another CPU's TLB held the leaf as it was"
    case .race: "another vCPU or an unmap changed the table after the vCPU's last entry"
    case .breakBeforeMake: "the mapping was being replaced by one of another size"
    case .hardwareAccessFlag: "the CPU sets access flags itself"
    case .spuriousFault: "the CPU reported a walk that it made before"
    case .lostEvents: "events were lost"
    case .begunMidLife: "tracing began when the VM had been running"
    case .untracedChange: "a change that no event shows"
    case .failedMap: "a map failed"
    case .failedHypercall: "EL2 refused a share or an unshare"
    case .syntheticFault: "EL2 made the fault up, or a nested guest took it"
    case .hostReadOnly: "the host had the page for reading only"
    case .emulatedDevice: "KVM emulates a device there"
    case .pendingNotifier: "an unmap or an age was under way"
    case .sharedAddressSpace: "several VMs share the address space"
    case .hostMemoryManagement: "the host moved the memory"
    case .threadChange: "another thread runs the vCPU"
    case .pinnedMemory: "the memory is pinned"
    case .notRecorded: "events of a kind that would tell were not recorded"
    case .abortGivenBack: "KVM gave an external abort, or one beyond all addresses, to the guest or the VMM"
    case .unorderedClock: "the clock's ticks do not order the events of different CPUs"
    }
  }
}
